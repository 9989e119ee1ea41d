"""``flume doctor``: which leg of the path to a server is blocked; without a server, what this machine lacks."""

import ctypes.util
import importlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import click
import msgspec
from click.core import ParameterSource

from flume.client.playback.packages import INSTALL_VLC
from flume.client.session.control_link import AccessChoice
from flume.client.terminal.access_options import access_choice, access_options
from flume.control.endpoint import endpoint
from flume.doctor import remedies
from flume.doctor.diagnosis import LEG_NAMES, Finding, is_well, untested
from flume.doctor.examination import Examination, own_buffer
from flume.doctor.rtsp.address import StreamAddress, stream_address
from flume.doctor.rtsp.examination import RtspExamination
from flume.errors import FlumeError, SettingsError
from flume.settings import DEFAULT_PORT, check_port

_MARKS = {"well": ("ok", "green"), "advice": ("note", "yellow"), "blocked": ("BLOCKED", "red"), "untested": ("-", None)}
_WIDTH = 8


class _Progress:
    """The leg under examination, on a line of a terminal that its finding replaces."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._length = 0

    def on_leg(self, leg: str) -> None:
        """Show *leg*."""
        if self._shown:
            self.clear()
            text = f"{'...':<{_WIDTH}} {LEG_NAMES[leg]}"
            click.echo(text, nl=False, err=True)
            self._length = len(text)

    def clear(self) -> None:
        """Erase the line."""
        if self._length:
            click.echo("\r" + " " * self._length + "\r", nl=False, err=True)
            self._length = 0


def _line(finding: Finding, *, colour: bool) -> str:
    mark, tint = _MARKS[finding.weight]
    label = f"{mark:<{_WIDTH}}"
    if colour and tint:
        label = click.style(label, fg=tint, bold=finding.weight == "blocked")
    name = LEG_NAMES.get(finding.leg, finding.leg)
    remedy = f". Fix: {finding.remedy}" if finding.remedy else ""
    return f"{label} {name}: {finding.finding.replace('_', ' ')}. {_sentence(finding.detail)}{remedy}"


def _json(finding: Finding) -> bytes:
    """Return *finding* as one JSON object; the remedy also under its old key ``cure``, for one release."""
    return msgspec.json.encode({**msgspec.structs.asdict(finding), "cure": finding.remedy})


def _sentence(text: str) -> str:
    """Return *text* as a sentence begins; an address or a host's name at its beginning stays as it is.

    >>> _sentence("port 5004 opens"), _sentence("fd00::2 is there")
    ('Port 5004 opens', 'fd00::2 is there')
    """
    return text[:1].upper() + text[1:] if text.partition(" ")[0].rstrip(",:;").isalpha() else text


@click.command()
@click.argument("host", required=False)
@click.option(
    "--port", default=DEFAULT_PORT, envvar="FLUME_PORT", show_default=True, show_envvar=True, help="TCP port."
)
@access_options
@click.option("--json", "as_json", is_flag=True, help="One object a line: leg, finding, detail, remedy.")
def doctor(*, host: str | None, port: int, as_json: bool, **access: Any) -> None:
    """Report which leg of the path to the server at HOST is blocked, how, and what opens it.

    It examines name, machine, TCP, control, UDP there and back, size of datagrams, a pause, and the receive buffer,
    one after another. A session of its own receives the stream for three seconds. It takes eight seconds, never more
    than twelve, and leaves the server as it was found.

    HOST may be an address as players take it, of any RTSP server: rtsp://HOST:PORT/PATH, port 554 where it names none.
    Then it does what a player does, over UDP and on the connection, and reports which module for RTSP this machine's
    VLC has. It takes nine seconds, never more than thirty.

    Without HOST it reports what this machine has for a lab, and where the lab's links would meet netem.

    The exit status is 0 when all is well, 1 when a leg is blocked or could not be examined, 2 for a wrong option.

    \b
      flume doctor 192.0.2.7
      flume doctor server.example --port 6004 --json
      flume doctor rtsp://192.0.2.7:5004/
    """
    check_port("port", port)
    choice = access_choice(**access)
    stream = _stream(host, choice) if host is not None and "://" in host else None
    terminal = sys.stdout.isatty() and not as_json
    progress = _Progress(shown=terminal and sys.stderr.isatty())
    findings: list[Finding] = []
    if not as_json:
        place = stream.uri if stream is not None else host and endpoint(host, port)
        click.echo(f"the path from here to {place}" if place else "this machine")
    for finding in _findings(stream or host, port, choice, progress):
        findings.append(finding)
        progress.clear()
        if as_json:
            click.echo(_json(finding))
        else:
            click.echo(_line(finding, colour=terminal and "NO_COLOR" not in os.environ))
    # A machine needs no lab to be well. A path that could not be examined is not well.
    if host is None:
        findings = [finding for finding in findings if finding.weight != "untested"]
    sys.exit(0 if is_well(findings) else 1)


def _stream(text: str, access: AccessChoice) -> StreamAddress:
    """Return the address of a stream, with which options for flume's own protocol make no sense."""
    stream = stream_address(text)
    if click.get_current_context().get_parameter_source("port") is ParameterSource.COMMANDLINE:
        raise SettingsError("port", "--port", "in the address: rtsp://HOST:PORT/")
    if access.tls:
        raise SettingsError("tls", "--tls", "left out for rtsp://, which is not encrypted")
    return stream


def _findings(
    host: str | StreamAddress | None, port: int, access: AccessChoice, progress: _Progress
) -> Iterator[Finding]:
    if host is None:
        return _examine_machine()
    if isinstance(host, StreamAddress):
        return RtspExamination(host, access=access, on_leg=progress.on_leg).legs()
    return Examination(host, port, access=access, on_leg=progress.on_leg).legs()


def _examine_machine() -> Iterator[Finding]:
    yield from _lab()
    yield _vlc()
    yield own_buffer()


def _lab() -> Iterator[Finding]:
    """Examine what a lab would run on: the engine, and the place where its links meet netem."""
    try:
        netem = importlib.import_module("flume.lab.engines.netem")
    except ModuleNotFoundError as error:
        lacking = f"the lab is not installed here (no {error.name})"
        yield untested("engine", f"{lacking}: {remedies.LAB} where containers are to run")
        yield untested("netem", lacking)
        return
    try:
        engine = netem.Engine.connect()
    except FlumeError as error:
        yield Finding(leg="engine", finding="none", detail=str(error), remedy=remedies.ENGINE)
        yield untested("netem", "no engine answers")
        return
    with engine:
        seen = engine.info
        detail = f"Docker {seen.version} at {seen.endpoint}, {seen.cpus} CPUs"
        yield Finding(leg="engine", finding="ok", detail=detail)
        yield _netem(netem, engine)


def _netem(netem: Any, engine: Any) -> Finding:
    try:
        found = netem.find_netem(engine)
    except FlumeError as error:
        return Finding(leg="netem", finding="none", detail=str(error))
    return Finding(leg="netem", finding=found.place, detail=found.reason)


def _vlc() -> Finding:
    library = ctypes.util.find_library("vlc")
    if library is None:
        return Finding(leg="vlc", finding="absent", detail="libvlc is not installed here", remedy=INSTALL_VLC)
    return Finding(leg="vlc", finding="ok", detail=f"the library {library} is installed")
