"""The choice of the engine that a lab runs on."""

from collections.abc import Callable

import pytest

from flume.errors import SettingsError, SetupError
from flume.lab.engines.decision import (
    Choice,
    EnginePreference,
    Machine,
    choose,
    parse_os_release,
    parse_preference,
    remedy,
)

DEBIAN = Machine("x86_64", {"ID": "debian"}, "6.1.0-9-cloud-amd64", has_packages=True, can_install=True, is_root=True)


def _asked(answer: bool) -> tuple[Callable[[], bool], list[int]]:
    """Return a has_netem that returns *answer*, and a list that grows with each call of it."""
    asked: list[int] = []

    def has_netem() -> bool:
        asked.append(1)
        return answer

    return has_netem, asked


def _choose(
    preference: EnginePreference = "auto",
    *,
    netem: bool = True,
    has: bool = False,
    docker_host: str | None = None,
    on: Machine = DEBIAN,
) -> Choice:
    return choose(preference, netem=netem, docker_host=docker_host, has_netem=_asked(has)[0], machine=on)


def test_auto_takes_the_lab_kernel_only_where_netem_is_needed_and_missing() -> None:
    """In every other case it takes the usual engine."""
    assert _choose().kind == "kernel"
    assert "no netem" in _choose().reason
    assert _choose(has=True).kind == "local"
    assert _choose(netem=False).kind == "local"


def test_for_a_clean_profile_no_kernel_is_looked_at() -> None:
    """The look costs time that a lab without netem need not spend."""
    has_netem, asked = _asked(True)
    choose("auto", netem=False, docker_host=None, has_netem=has_netem, machine=DEBIAN)
    assert asked == []


def test_a_preference_is_followed_or_refused() -> None:
    """It is never replaced silently."""
    assert _choose("kernel", netem=False).kind == "kernel"
    assert _choose("kernel", has=True).kind == "kernel"
    assert _choose("local", has=True).kind == "local"
    assert _choose("local", netem=False).kind == "local"
    with pytest.raises(SetupError, match=r"ENGINE=local.*modprobe sch_netem"):
        _choose("local")


def test_an_engine_at_docker_host_is_never_replaced_silently() -> None:
    """A person named it. If it has no netem that is an error; the lab kernel is used only if it is preferred."""
    with pytest.raises(SetupError, match=r"tcp://far:2375.*ENGINE=kernel"):
        _choose(docker_host="tcp://far:2375")
    assert _choose(docker_host="tcp://far:2375", has=True) == Choice(
        "local", "the engine at tcp://far:2375: its kernel has netem"
    )
    assert _choose("kernel", docker_host="tcp://far:2375").kind == "kernel"


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (DEBIAN._replace(architecture="aarch64"), "this is aarch64"),
        (DEBIAN._replace(has_packages=False, can_install=False), "package user-mode-linux"),
        (DEBIAN._replace(is_root=False), "sudo"),
    ],
)
def test_where_it_cannot_run_the_error_says_why_and_what_else_helps(machine: Machine, words: str) -> None:
    """With and without the preference for the lab kernel."""
    for preference in ("auto", "kernel"):
        with pytest.raises(SetupError, match=words) as error:
            _choose(parse_preference(preference), on=machine)
        assert "sch_netem" in str(error.value)


@pytest.mark.parametrize(
    ("os_release", "release", "words"),
    [
        ({"ID": "debian"}, "6.1.0-9-amd64", "linux-image-6.1.0-9-amd64"),
        ({"ID": "ubuntu", "ID_LIKE": "debian"}, "6.8.0-31-generic", "linux-modules-extra-6.8.0-31-generic"),
        ({"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, "6.8.0-31-generic", "linux-modules-extra"),
        ({"ID": "fedora"}, "6.9.4-200.fc40.x86_64", "kernel-modules-extra-6.9.4-200.fc40.x86_64"),
        ({"ID": "ubuntu"}, "5.15.153.1-microsoft-standard-WSL2", "wslconfig"),
        ({"ID": "debian"}, "6.6.31-linuxkit", "Docker Desktop"),
        ({}, "6.0", "CONFIG_NET_SCH_NETEM"),
    ],
)
def test_the_remedy_is_that_of_this_system(os_release: dict[str, str], release: str, words: str) -> None:
    """Package names differ, and in the virtual machines of WSL2 and Docker Desktop no package helps."""
    assert words in remedy(DEBIAN._replace(os_release=os_release, release=release))


def test_os_release_is_read_with_and_without_quotes() -> None:
    """As os-release(5) allows."""
    text = "PRETTY_NAME=\"Debian GNU/Linux 12\"\n# remark=1\n\nID=debian\nID_LIKE='ubuntu debian'\n"
    assert parse_os_release(text)["ID"] == "debian"
    assert parse_os_release(text)["ID_LIKE"] == "ubuntu debian"


def test_a_preference_is_one_of_three() -> None:
    """Make passes an empty string where the variable is not set."""
    assert parse_preference("") == "auto"
    with pytest.raises(SettingsError, match="auto, local, kernel"):
        parse_preference("uml")
