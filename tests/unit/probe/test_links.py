"""What is remembered of a link, and what it says about a link that is gone."""

import os
import threading

import pytest

from probe import links
from probe.links import Link


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember in a folder of this test."""
    monkeypatch.setattr(links, "STATE", str(tmp_path))


def test_a_link_is_remembered_as_it_is() -> None:
    """With the place where it is shaped."""
    links.remember(Link(12, 900, "fw77-12", wire=77, pair=3))
    links.remember(Link(3, 901, "veth3"))
    assert links.remembered_links() == [Link(3, 901, "veth3"), Link(12, 900, "fw77-12", 77, 3)]
    assert links.remembered(4) is None


def test_a_new_link_has_lost_nothing_yet_and_the_same_link_keeps_its_losses() -> None:
    """A client that was restarted, and a link that was led through a wire, have counters that begin again."""
    links.remember(Link(1, 900, "veth1"))
    links.write(1, "own", "7 8")
    links.remember(Link(1, 900, "veth1"))
    assert links.read(1, "own") == "7 8"
    links.remember(Link(1, 900, "fw77-1", 77, 0))
    assert links.read(1, "own") == "0 0"


def test_a_link_exists_as_long_as_the_process_and_the_interface() -> None:
    """lo stands for an interface that is there."""
    ours = os.getpid()
    assert Link(1, ours, "lo").exists
    assert not Link(1, ours, "nonesuch0").exists
    assert not Link(1, 2**22, "lo").exists


def test_only_a_link_through_a_wire_can_lose_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interface is gone and the client is not."""
    ours = os.getpid()
    monkeypatch.setattr(links, "has_interface", lambda pid, name: (pid, name) in {(77, "c1"), (0, "lo")})
    assert Link(1, ours, "nonesuch0", wire=77).has_ended
    assert not Link(1, ours, "nonesuch0").has_ended
    assert not Link(1, ours, "lo", wire=77).has_ended
    assert not Link(1, 2**22, "nonesuch0", wire=77).has_ended, "the client has ended, and its link with it"


def test_a_link_ends_with_the_clients_interface_too_which_only_the_wires_namespace_shows() -> None:
    """The port on the bridge stays, and the client has a new eth0."""
    ours = os.getpid()
    assert Link(1, ours, "lo", wire=ours).has_ended, "no c1 is here"
    assert links.has_interface(ours, "lo")
    assert not links.has_interface(ours, "l")
    assert not links.has_interface(2**22, "lo")


def test_links_are_set_by_one_at_a_time() -> None:
    """The second one waits for the first."""
    done = threading.Event()

    def second() -> None:
        with links.locked():
            done.set()

    with links.locked():
        thread = threading.Thread(target=second)
        thread.start()
        assert not done.wait(0.1)
    thread.join(timeout=10)
    assert done.is_set()
