"""A stream whose numbers begin again at 0 while players receive it."""

import secrets

import pytest

from support.clients.numbers import assert_complete
from support.clients.rtsp_client import RtspClient, is_reset, sequences
from support.servers.running_server import running_server

RESETS = 4


@pytest.fixture
def shortly_before_the_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's first number is 40 below the end. Other random numbers, identifiers of sources, are as they are."""
    before = secrets.randbits
    monkeypatch.setattr(secrets, "randbits", lambda bits: 65_536 - 40 if bits == 16 else before(bits))


@pytest.mark.usefixtures("shortly_before_the_wrap")
@pytest.mark.parametrize("describes", [False, True], ids=["begins with SETUP", "asks for a description"])
def test_numbers_go_on_at_0_and_a_player_that_needs_it_is_told_65535_again(*, describes: bool) -> None:
    with running_server() as server, RtspClient(server.port) as player:
        if describes:
            assert player.ask("DESCRIBE").status == 200
        player.setup()
        player.play()
        received = player.receive(for_s=10, at_least=200)
        assert player.ask("PAUSE").status == 200
        received += player.the_rest()
        numbers = sequences(received)
        assert_complete(numbers)
        assert {65_535, 0} <= set(numbers)
        assert sum(map(is_reset, received)) == (0 if describes else RESETS)
