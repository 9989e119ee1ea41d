"""Health checks: a client whose stream is silent is not healthy, even if its process is alive."""

import time
from pathlib import Path

import msgspec

from flume.client.faults import describe_faults, describe_upstream
from flume.client.reception.statistics import SILENT_AFTER_S
from flume.client.session.control_link import PLAIN, AccessChoice, ControlLink
from flume.client.statistics import ClientStatistics, parse_published
from flume.control import messages
from flume.errors import NetworkError

FRESH_S = 5.0
"""Oldest state file of a healthy client, which writes it once a second."""


def check_client(path: Path, *, now_s: float) -> tuple[bool, str]:
    """Return whether the client that writes *path* is healthy, and a line that says why.

    *now_s* is the present time in seconds since the epoch, as in the file.
    """
    try:
        state = parse_published(path.read_bytes())
    except OSError as error:
        return False, f"no state file {path}: {error.strerror}"
    except msgspec.DecodeError as error:
        return False, f"the state file {path} cannot be read: {error}"
    complaint = _complaint(state, now_s)
    if complaint is not None:
        return False, complaint
    return True, f"{state.state}, {state.datagrams} datagrams, {state.player.frames_displayed} frames"


def _complaint(state: ClientStatistics, now_s: float) -> str | None:
    age_s = now_s - state.time_s
    if age_s > FRESH_S:
        return f"the state file is {age_s:.1f} s old: the client has stopped writing it"
    if age_s < -FRESH_S:  # a client that lives has written it anew since
        return f"the state file is {-age_s:.1f} s ahead of the clock, which was set back: has the client stopped?"
    if state.desired != "closed" and not state.linked:
        return f"no control connection to {state.server}: {state.last_error or 'not yet tried'}"
    if state.desired == "active" and state.state != "active":
        return f"{state.state} instead of active: {state.last_error or 'waiting'}"
    silent_s = state.last_datagram_age_s
    if state.state == "active" and (silent_s is None or silent_s > SILENT_AFTER_S):
        return "active, but no datagram came" + ("" if silent_s is None else f" for {silent_s:.1f} s")
    return None


def check_server(host: str, port: int, *, timeout_s: float, access: AccessChoice = PLAIN) -> tuple[bool, str]:
    """Return whether the server at *host* answers ``status``, and a line with its answer."""
    began_s = time.monotonic()
    try:
        link = ControlLink.open(
            host,
            port,
            timeout_s=timeout_s,
            on_message=lambda _message: None,
            on_lost=lambda _link, _reason: None,
            access=access,
        )
    except NetworkError as error:
        return False, str(error)
    try:
        reply = link.request(messages.StatusQuery(), timeout_s=timeout_s)
    except NetworkError as error:
        return False, str(error)
    finally:
        link.close()
    if isinstance(reply, messages.Refused):
        return False, f"{host} port {port}: {reply.message}"
    if not isinstance(reply, messages.Status):
        return False, f"{host} port {port} answered {reply!r:.120} to status"
    server = reply.server
    took_ms = (time.monotonic() - began_s) * 1000
    words = f"{server.source}: ingest {server.ingest}, {server.active} active, answered in {took_ms:.0f} ms"
    return True, words + describe_upstream(server.upstream) + describe_faults(server)
