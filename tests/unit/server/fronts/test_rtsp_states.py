"""The front for RTSP: every state and method, for media over UDP and on the connection."""

import pytest

from flume.control.session import State
from support.async_tests import run
from support.servers.front_harness import REACHED, TCP, UDP, paper_player, reach

SESSION_STATE = {
    "init": State.CLOSED,
    "ready": State.CLOSED,
    "playing": State.ACTIVE,
    "paused": State.INTERRUPTED,
}

TABLE = {
    # (state, method): status, and the state after it
    ("init", "OPTIONS"): (200, "init"),
    ("init", "DESCRIBE"): (200, "init"),
    ("init", "GET_PARAMETER"): (200, "init"),
    ("init", "SET_PARAMETER"): (200, "init"),
    ("init", "SETUP"): (200, "ready"),
    ("init", "PLAY"): (455, "init"),
    ("init", "PAUSE"): (455, "init"),
    ("init", "TEARDOWN"): (454, "init"),
    ("ready", "OPTIONS"): (200, "ready"),
    ("ready", "DESCRIBE"): (200, "ready"),
    ("ready", "GET_PARAMETER"): (200, "ready"),
    ("ready", "SET_PARAMETER"): (200, "ready"),
    ("ready", "SETUP"): (200, "ready"),
    ("ready", "PLAY"): (200, "playing"),
    ("ready", "PAUSE"): (455, "ready"),
    ("ready", "TEARDOWN"): (200, "init"),
    ("playing", "OPTIONS"): (200, "playing"),
    ("playing", "DESCRIBE"): (200, "playing"),
    ("playing", "GET_PARAMETER"): (200, "playing"),
    ("playing", "SET_PARAMETER"): (200, "playing"),
    ("playing", "SETUP"): (455, "playing"),
    ("playing", "PLAY"): (200, "playing"),
    ("playing", "PAUSE"): (200, "paused"),
    ("playing", "TEARDOWN"): (200, "init"),
    ("paused", "OPTIONS"): (200, "paused"),
    ("paused", "DESCRIBE"): (200, "paused"),
    ("paused", "GET_PARAMETER"): (200, "paused"),
    ("paused", "SET_PARAMETER"): (200, "paused"),
    ("paused", "SETUP"): (455, "paused"),
    ("paused", "PLAY"): (200, "playing"),
    ("paused", "PAUSE"): (455, "paused"),
    ("paused", "TEARDOWN"): (200, "init"),
    **{
        (state, method): (501, state)
        for state in REACHED
        for method in ("ANNOUNCE", "RECORD", "REDIRECT", "HELLO", "play")
    },
}


@pytest.mark.parametrize("transport", [UDP, TCP], ids=["udp", "tcp"])
@pytest.mark.parametrize(("state", "method"), TABLE)
@run
async def test_every_state_and_method(state: str, method: str, transport: str):
    status, after = TABLE[state, method]
    async with paper_player() as player:
        await reach(player, state, transport)
        had_session = player.session_id is not None
        response = await (player.setup(transport) if method == "SETUP" else player.ask(method))
        assert response.status == status
        assert player.state is SESSION_STATE[after]
        assert player.harness.subscriptions.active_count == (after == "playing")
        assert not player.ended
        if status == 455:
            allowed = response.headers["allow"].split(", ")
            assert {TABLE[state, one][0] for one in allowed} == {200}, "what it lists is possible"
        # "ready" and "init" have the same state of the session: the next PLAY tells them apart.
        if after in {"init", "ready"}:
            player.session_id = None
            assert (await player.ask("PLAY")).status == (200 if after == "ready" else 455)
        else:
            assert had_session


def test_the_table_has_every_pair():
    methods = {method for _, method in TABLE}
    assert len(TABLE) == len(REACHED) * len(methods)
    assert {"OPTIONS", "DESCRIBE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER", "SET_PARAMETER"} < methods
