"""The conclusions of ``flume doctor``: observations in, findings with remedies out. Pure.

A *leg* is one part of the path between client and server. Each has one finding, one line long: which leg, what was
seen, which rule to open and on which side::

    >>> nat(("10.0.0.2", 40_000), ("192.0.2.9", 61_000)).finding
    'translated'
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from flume.client.reception.receive_buffer import RATE_MBIT, ReceiveBuffer, lasts_ms, remedy_of_shortage, shortage
from flume.doctor import remedies
from flume.doctor.observations import (
    ControlSeen,
    HostSeen,
    NameSeen,
    StateSeen,
    StreamSeen,
    TcpSeen,
    TokenSeen,
)
from flume.doctor.remedies import PathEnds
from flume.settings import check

Weight = Literal["well", "advice", "blocked", "untested"]

PATH_LEGS: Mapping[str, Mapping[str, Weight]] = {
    "name": {"ok": "well", "unknown": "blocked"},
    "host": {"reachable": "well", "silent": "blocked"},
    "tcp": {"open": "well", "dropped": "blocked", "rejected": "blocked", "unreachable": "blocked"},
    "control": {
        "ok": "well",
        "silent": "blocked",
        "not_flume": "blocked",
        "turned_away": "blocked",
        "tls_required": "blocked",
        "tls_failed": "blocked",
        "login_required": "blocked",
    },
    "udp_out": {"ok": "well", "dropped": "blocked", "rejected": "blocked"},
    "nat": {"none": "well", "translated": "well"},
    "udp_back": {"ok": "well", "dropped": "blocked", "rejected": "blocked", "lossy": "blocked"},
    "path_mtu": {"ok": "well", "fragmented": "advice", "too_big": "blocked"},
    "udp_state": {"ok": "well", "forgets": "blocked"},
    "receive_buffer": {"ok": "well", "small": "advice"},
}
"""The legs of the path in the order of their examination, with their findings; ``untested`` is always possible."""

RTSP_LEGS: Mapping[str, Mapping[str, Weight]] = {
    "name": PATH_LEGS["name"],
    "host": PATH_LEGS["host"],
    "tcp": PATH_LEGS["tcp"],
    "rtsp": {"ok": "well", "silent": "blocked", "not_rtsp": "blocked", "turned_away": "blocked"},
    "describe": {
        "ok": "well",
        "silent": "blocked",
        "login_required": "blocked",
        "not_found": "blocked",
        "refused": "blocked",
        "no_stream": "blocked",
    },
    "setup_udp": {"ok": "well", "silent": "blocked", "tcp_only": "advice", "refused": "blocked"},
    "play": {"ok": "well", "silent": "blocked", "refused": "blocked"},
    "media_udp": {
        "ok": "well",
        "off": "advice",
        "after_punch": "advice",
        "dropped": "blocked",
        "ended": "blocked",
        "lossy": "blocked",
        "no_source": "blocked",
    },
    "rtcp": {"ok": "well", "none": "advice"},
    "media_tcp": {"ok": "well", "silent": "blocked", "refused": "blocked", "no_source": "blocked"},
    "teardown": {"ok": "well", "silent": "advice", "refused": "advice", "streams_on": "advice"},
    "vlc_rtsp": {"live555": "well", "sat_ip": "advice", "none": "advice", "absent": "advice"},
}
"""The legs of the path of other people's players, to any RTSP server."""

MACHINE_LEGS: Mapping[str, Mapping[str, Weight]] = {
    "engine": {"ok": "well", "none": "blocked"},
    "netem": {"kernel": "well", "wire": "well", "none": "advice"},
    "vlc": {"ok": "well", "absent": "blocked"},
    "receive_buffer": PATH_LEGS["receive_buffer"],
}
"""What this machine needs, examined without a server."""

FINDINGS: Mapping[str, Mapping[str, Weight]] = {**PATH_LEGS, **RTSP_LEGS, **MACHINE_LEGS}

LEG_NAMES: Mapping[str, str] = {
    "name": "Name of the server",
    "host": "Server's machine",
    "tcp": "TCP to the server",
    "control": "Control over TCP",
    "udp_out": "UDP to the server",
    "nat": "Address translation",
    "udp_back": "UDP back to here",
    "path_mtu": "Size of datagrams",
    "udp_state": "UDP after a pause",
    "receive_buffer": "Receive buffer here",
    "rtsp": "RTSP on the port",
    "describe": "Description (DESCRIBE)",
    "setup_udp": "Media over UDP (SETUP)",
    "play": "Start (PLAY)",
    "media_udp": "UDP to here",
    "rtcp": "Reports (RTCP)",
    "media_tcp": "Media on the connection",
    "teardown": "End (TEARDOWN)",
    "vlc_rtsp": "VLC here",
    "engine": "Engine of the lab",
    "netem": "Links of the lab",
    "vlc": "VLC",
}

LOSSY_PCT, LOSSY_DATAGRAMS = 0.5, 3
"""Least loss of a path that is called lossy. At 1 % VLC without repair shows 20 of 300 frames. One or two datagrams are
lost by chance."""

UDP_OVERHEAD_BYTES = {4: 28, 6: 48}
"""IP and UDP headers, by version of IP."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The finding of one leg. *remedy* is ``None`` where nothing has to change.

    Raises :class:`~flume.errors.SettingsError` for a leg or a finding that does not exist.
    """

    leg: str
    finding: str
    detail: str
    remedy: str | None = None

    def __post_init__(self) -> None:
        """Check that the leg has such a finding."""
        check(self.leg in FINDINGS, "leg", self.leg, " or ".join(FINDINGS))
        known = (*FINDINGS[self.leg], "untested")
        check(self.finding in known, self.leg, self.finding, " or ".join(known))

    @property
    def weight(self) -> Weight:
        """How grave the finding is."""
        return FINDINGS[self.leg].get(self.finding, "untested")


def untested(leg: str, because: str) -> Finding:
    """Return that *leg* could not be examined."""
    return Finding(leg=leg, finding="untested", detail=because)


def is_well(findings: Sequence[Finding]) -> bool:
    """Whether nothing is blocked."""
    return all(finding.weight in {"well", "advice"} for finding in findings)


def name(seen: NameSeen) -> Finding:
    """Conclude from the look-up of the server's name."""
    if seen.addresses:
        what = ", ".join(dict.fromkeys(seen.addresses))
        detail = f"{seen.host} is an address" if what == seen.host else f"the name {seen.host} resolves to {what}"
        return Finding(leg="name", finding="ok", detail=detail)
    if seen.reason is None:
        detail = f"no name server answered for {seen.host!r} within {seen.took_s:.1f} s"
        return Finding(leg="name", finding="unknown", detail=detail, remedy=remedies.NAME_SERVER)
    detail = f"{seen.host!r} is not known here ({seen.reason})"
    return Finding(leg="name", finding="unknown", detail=detail, remedy=remedies.NAME)


def host(tcp: TcpSeen, seen: HostSeen, path: PathEnds) -> Finding:
    """Conclude whether the host is there, from the port in question and from others."""
    proofs = [f"TCP port {tcp.port} opens"] if tcp.outcome == "open" else []
    proofs += [f"it refuses TCP port {tcp.port}"] if tcp.outcome == "refused" else []
    proofs += [f"it refuses TCP port {a.port}" for a in seen.attempts if a.outcome == "refused"]
    proofs += [f"TCP port {a.port} opens" for a in seen.attempts if a.outcome == "open"]
    proofs += ["it answers ping"] if seen.ping else []
    if proofs:
        return Finding(leg="host", finding="reachable", detail=f"{path.named} is there: {proofs[0]}")
    if tcp.icmp is not None and tcp.icmp.is_refusal and tcp.icmp.sender == path.server:
        return Finding(leg="host", finding="reachable", detail=f"{path.named} is there: it answers {tcp.icmp.text}")
    tried = [f"TCP port {attempt.port}" for attempt in (tcp, *seen.attempts)] + (["ping"] if seen.ping is False else [])
    if tcp.outcome == "unreachable":
        detail = f"no route to {path.named}: {tcp.icmp.text if tcp.icmp else tcp.reason}"
    else:
        detail = f"{path.named} answers nothing at all: not {', not '.join(tried)}, for {tcp.took_s:.1f} s"
    return Finding(leg="host", finding="silent", detail=detail, remedy=remedies.host(path, no_route=tcp.icmp is None))


def tcp(seen: TcpSeen, other: HostSeen, path: PathEnds, *, alive: bool) -> Finding:
    """Conclude how the port answers a SYN; *alive*: the host answers something."""
    if seen.outcome == "open":
        detail = f"port {seen.port} of {seen.address} opens in {seen.took_s * 1000:.0f} ms"
        return Finding(leg="tcp", finding="open", detail=detail)
    if seen.outcome == "silent":
        but = "although the machine does answer" if alive else "and nothing else answers either"
        detail = f"SYNs to port {seen.port} vanish: no answer within {seen.took_s:.1f} s, {but}"
        return Finding(leg="tcp", finding="dropped", detail=detail, remedy=remedies.tcp_dropped(path, alive=alive))
    if seen.icmp is not None and seen.icmp.is_refusal:
        detail = f"a firewall refuses port {seen.port}: {seen.icmp.text}"
        return Finding(
            leg="tcp", finding="rejected", detail=detail, remedy=remedies.tcp_rejected(path, seen.icmp.sender)
        )
    if seen.outcome == "refused":
        return _refused(seen, other, path)
    because = seen.icmp.text if seen.icmp else seen.reason
    return Finding(
        leg="tcp", finding="unreachable", detail=f"no route to the server: {because}", remedy=remedies.route(path)
    )


def _refused(seen: TcpSeen, other: HostSeen, path: PathEnds) -> Finding:
    detail = f"port {seen.port} refuses with a RST in {seen.took_s * 1000:.0f} ms"
    if other.udp_port_refused:
        detail += f", and nothing listens on UDP port {seen.port} either: no server listens at {path.named}"
        return Finding(leg="tcp", finding="rejected", detail=detail, remedy=remedies.start_server(path))
    if other.other_udp_refused:
        detail += f", but UDP port {seen.port} is in use there: the server seems to run behind a firewall that rejects"
        return Finding(leg="tcp", finding="rejected", detail=detail, remedy=remedies.tcp_rejected(path, path.server))
    detail += ": nothing listens there, or a firewall answers in its place"
    return Finding(leg="tcp", finding="rejected", detail=detail, remedy=remedies.refused(path))


def control(seen: ControlSeen, path: PathEnds) -> Finding:
    """Conclude which program answers on the port, and whether it answers at all."""
    match seen.outcome:
        case "answered":
            detail = f"answers in {seen.took_s * 1000:.0f} ms: {seen.text}"
            return Finding(leg="control", finding="ok", detail=detail)
        case "turned_away":
            return Finding(
                leg="control",
                finding="turned_away",
                detail=f"the server says: {seen.text}",
                remedy=remedies.TURNED_AWAY,
            )
        case "tls_required" | "tls_failed" | "login_required":
            return Finding(leg="control", finding=seen.outcome, detail=seen.text, remedy=remedies.ACCESS[seen.outcome])
        case "silent" if seen.unacknowledged_bytes == 0:
            detail = (
                f"the port opens and takes the question, but answers nothing within {seen.took_s:.1f} s: "
                "a program that is not flume or hangs, or a firewall that cuts the answers"
            )
            return Finding(leg="control", finding="silent", detail=detail, remedy=remedies.control_mute(path))
        case "silent":
            detail = (
                f"the port opens, but what is sent then is not even acknowledged within {seen.took_s:.1f} s: "
                "a firewall lets the SYN pass and drops the rest"
            )
            return Finding(leg="control", finding="silent", detail=detail, remedy=remedies.control_cut(path))
        case _:
            return Finding(leg="control", finding="not_flume", detail=seen.text, remedy=remedies.not_flume(path))


def udp_out(seen: TokenSeen, path: PathEnds) -> Finding:
    """Conclude whether datagrams reach the server."""
    match seen.outcome:
        case "arrived":
            detail = f"the token reached port {path.port} in {seen.took_s * 1000:.0f} ms"
            detail += f", {seen.sent} times sent" if seen.sent > 1 else ""
            return Finding(leg="udp_out", finding="ok", detail=detail)
        case "forbidden":
            detail = f"this machine's own firewall forbids sending to UDP port {path.port} ({seen.text})"
            return Finding(leg="udp_out", finding="dropped", detail=detail, remedy=remedies.udp_out_here(path))
        case "refused":
            by = f" ({seen.icmp.text})" if seen.icmp else ""
            detail = f"the token is refused at UDP port {path.port}{by}, though the server says it listens there"
            sender = seen.icmp.sender if seen.icmp else None
            return Finding(
                leg="udp_out", finding="rejected", detail=detail, remedy=remedies.udp_out_rejected(path, sender)
            )
        case "other_address":
            return Finding(leg="udp_out", finding="rejected", detail=seen.text, remedy=remedies.OTHER_ADDRESS)
        case "closed":
            return untested("udp_out", seen.text)
        case _:
            detail = (
                f"the token, sent {seen.sent} times to UDP port {path.port} in {seen.took_s:.1f} s, never reached "
                "the server, while TCP works"
            )
            return Finding(leg="udp_out", finding="dropped", detail=detail, remedy=remedies.udp_out(path))


def nat(local: tuple[str, int], seen: tuple[str, int]) -> Finding:
    """Conclude from the media socket's own address and the one that the server sees."""
    mine, theirs = (f"{address} port {port}" for address, port in (local, seen))
    if local == seen:
        return Finding(leg="nat", finding="none", detail=f"the server sees the media socket as it is, {mine}")
    what = "another port" if local[0] == seen[0] else "another address"
    detail = f"the server sees {theirs} instead of {mine}: {what}, which works because this side sends first"
    return Finding(leg="nat", finding="translated", detail=detail)


def udp_back(seen: StreamSeen, path: PathEnds) -> Finding:
    """Conclude whether the stream arrives."""
    if seen.closed == "port_unreachable":
        detail = (
            "the server's datagrams are answered with ICMP port unreachable"
            + (f", after {seen.received} that came" if seen.received else "")
            + ": a firewall rejects them on this side"
        )
        return Finding(leg="udp_back", finding="rejected", detail=detail, remedy=remedies.udp_back(path, "REJECT"))
    if not seen.received:
        return _nothing_came(seen, path)
    share = (seen.sent or seen.received) / seen.received
    mbit = seen.received_bytes * 8 / 1e6 / seen.window_s * share  # at the server
    count = f"{seen.received} of {seen.sent if seen.sent is not None else 'an unknown number of'} datagrams came"
    is_lossy = seen.lost >= LOSSY_DATAGRAMS and seen.lost_pct >= LOSSY_PCT
    if is_lossy and seen.is_cut_by_size:
        detail = f"{count}; those that came show that the path is open, and their size decides which do"
        return Finding(leg="udp_back", finding="ok", detail=detail)
    if is_lossy:
        detail = f"{count}: {seen.lost_pct:.1f} % of {mbit:.1f} Mbit/s are lost, up to {seen.longest_gap} in a row"
        return Finding(leg="udp_back", finding="lossy", detail=detail, remedy=remedies.udp_lossy(path))
    detail = f"{count} in {seen.window_s:.1f} s, {mbit:.1f} Mbit/s"
    return Finding(leg="udp_back", finding="ok", detail=detail)


def _nothing_came(seen: StreamSeen, path: PathEnds) -> Finding:
    stuck = [reason for reason in seen.server_drops if reason.startswith("send_e")]
    if seen.largest_echo and (not seen.sent or seen.largest_echo < seen.datagram_bytes):
        why = "the source had nothing to send" if not seen.sent else f"none of {seen.sent} long ones did"
        detail = f"datagrams of up to {seen.largest_echo} bytes come back; {why} in {seen.window_s:.1f} s"
        return Finding(leg="udp_back", finding="ok", detail=detail)
    sent = f"the {seen.sent} datagrams that the server sent" if seen.sent else "answers of the server"
    detail = f"{sent} in {seen.window_s:.1f} s did not come, though its control says that the token arrived"
    detail += f" (it could not send: {', '.join(stuck)})" if stuck else ""
    if "send_eperm" in stuck:
        detail = "the server's own firewall forbids it to send: send_eperm"
        return Finding(leg="udp_back", finding="dropped", detail=detail, remedy=remedies.udp_back_at_server(path))
    finding = "rejected" if {"send_ehostunreach", "send_econnrefused"} & set(stuck) else "dropped"
    return Finding(leg="udp_back", finding=finding, detail=detail, remedy=remedies.udp_back(path, "DROP"))


def path_mtu(seen: StreamSeen, path: PathEnds) -> Finding:
    """Conclude whether datagrams of the stream's size arrive, and whether in one piece."""
    overhead = UDP_OVERHEAD_BYTES[6 if ":" in path.server else 4]
    need = seen.datagram_bytes + overhead
    kernel = f"; this machine's kernel takes the path's MTU for {seen.kernel_mtu}" if seen.kernel_mtu else ""
    is_cut = seen.is_cut_by_size and seen.lost >= LOSSY_DATAGRAMS and seen.lost_pct >= LOSSY_PCT
    if seen.fragment_bytes and seen.received and not is_cut:
        detail = f"packets of {need} bytes come in pieces of at most {seen.fragment_bytes} bytes{kernel}"
        return Finding(
            leg="path_mtu",
            finding="fragmented",
            detail=detail,
            remedy=remedies.fragmented(need, seen.fragment_bytes - overhead),
        )
    if (seen.received and not is_cut) or seen.largest_echo >= seen.datagram_bytes:
        most = max(need if seen.received else 0, seen.largest_echo + overhead if seen.largest_echo else 0)
        detail = f"packets of {most} bytes pass in one piece, the stream's have {need}{kernel}"
        return Finding(leg="path_mtu", finding="ok", detail=detail)
    if seen.largest_echo:
        detail = (
            f"packets of {seen.largest_echo + overhead} bytes pass, packets of the stream, {need} bytes, vanish{kernel}"
        )
        return Finding(
            leg="path_mtu", finding="too_big", detail=detail, remedy=remedies.too_big(path, need, seen.largest_echo)
        )
    return untested("path_mtu", "no datagram came back, of any size")


def udp_state(seen: StateSeen, path: PathEnds) -> Finding:
    """Conclude whether the path back stays open during a silence."""
    after = f"after {seen.silence_s:.1f} s of silence"
    if seen.closed is not None and seen.closed != "port_unreachable":
        return untested("udp_state", f"the server ended the session meanwhile ({seen.closed})")
    if seen.before_token:
        return Finding(leg="udp_state", finding="ok", detail=f"{after} the stream comes back by itself")
    if seen.closed is not None:
        detail = f"{after} the server's datagrams are refused with ICMP port unreachable: a firewall forgot the flow"
        return Finding(leg="udp_state", finding="forgets", detail=detail, remedy=remedies.forgets(path))
    if not seen.sent:
        return untested("udp_state", f"{after} the server had nothing to send")
    detail = f"{after} {seen.sent} datagrams of the server did not come"
    if seen.after_token:
        detail += ", and the stream came back when the token was sent again"
        detail += f" ({seen.moved})" if seen.moved else ""
    else:
        detail += ", nor did any after the token was sent again"
    return Finding(leg="udp_state", finding="forgets", detail=detail, remedy=remedies.forgets(path))


def receive_buffer(seen: ReceiveBuffer) -> Finding:
    """Conclude whether the receive buffer is large enough, from its size and from the datagrams that found no room."""
    detail = shortage(seen)
    if detail is not None:
        return Finding(leg="receive_buffer", finding="small", detail=detail, remedy=remedy_of_shortage(seen))
    held = f"{lasts_ms(seen.granted)} ms of a stream of {RATE_MBIT} Mbit/s"
    detail = f"the kernel grants the {seen.asked} bytes asked for, {held}"
    return Finding(leg="receive_buffer", finding="ok", detail=detail)
