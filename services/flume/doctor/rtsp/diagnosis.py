"""The conclusions of ``flume doctor rtsp://…``: observations in, findings with remedies out. Pure."""

from collections.abc import Sequence

from flume.control.rtsp.responses import Media, ServerTransport
from flume.doctor import remedies as common
from flume.doctor.diagnosis import LOSSY_DATAGRAMS, LOSSY_PCT, Finding
from flume.doctor.remedies import PathEnds
from flume.doctor.rtsp import remedies
from flume.doctor.rtsp.observations import AnswerSeen, MediaSeen, RequestSeen, asks_for_basic_untrusted, shown
from flume.doctor.rtsp.vlc_modules import VlcModules

NEEDED = ("DESCRIBE", "SETUP", "PLAY", "TEARDOWN")
"""Methods that players use, beside PAUSE."""


def rtsp(seen: AnswerSeen, path: PathEnds) -> Finding:
    """Conclude which program answers on the port, and whether it speaks RTSP."""
    match seen.outcome:
        case "answered":
            missing = [method for method in (*NEEDED, "PAUSE") if seen.methods and method not in seen.methods]
            lacks = f"; it lists no {', '.join(missing)}" if missing else ""
            said = f" with {seen.text}" if seen.text else ""
            detail = f"answers OPTIONS in {seen.took_s * 1000:.0f} ms{said}{lacks}"
            return Finding(leg="rtsp", finding="ok", detail=detail)
        case "turned_away":
            detail = f"the server says: {seen.text}"
            return Finding(leg="rtsp", finding="turned_away", detail=detail, remedy=remedies.TURNED_AWAY)
        case "silent" if seen.unacknowledged_bytes:
            detail = f"the port opens, but OPTIONS is not even acknowledged within {seen.took_s:.1f} s"
            return Finding(leg="rtsp", finding="silent", detail=detail, remedy=common.control_cut(path))
        case "silent":
            detail = f"the port opens, and OPTIONS has no answer within {seen.took_s:.1f} s"
            return Finding(leg="rtsp", finding="silent", detail=detail, remedy=remedies.SILENT)
        case _:
            return Finding(leg="rtsp", finding="not_rtsp", detail=seen.text, remedy=remedies.not_rtsp(path))


def describe(seen: RequestSeen, media: Sequence[Media], *, has_credentials: bool) -> Finding:
    """Conclude whether the server describes a stream, and lets this user have it."""
    status, detail = seen.status, f"DESCRIBE is answered with {seen.text}"
    if status == 0:
        return Finding(leg="describe", finding="silent", detail=f"DESCRIBE: {seen.text}", remedy=remedies.SILENT)
    if status == 401:
        header = shown(seen.header("www-authenticate"))
        asked = "Basic" if asks_for_basic_untrusted(header) else header.partition(" ")[0] or "no scheme named"
        detail += f": the server wants credentials ({asked})" + (", others than those given" if has_credentials else "")
        remedy = remedies.LOGIN if asked == "Basic" else remedies.LOGIN_DIGEST
        return Finding(leg="describe", finding="login_required", detail=detail, remedy=remedy)
    if status == 404:
        return Finding(leg="describe", finding="not_found", detail=detail, remedy=remedies.NOT_FOUND)
    if status != 200:
        where = shown(seen.header("location"))
        detail += f", Location: {where}" if where else ""
        return Finding(leg="describe", finding="refused", detail=detail, remedy=remedies.REFUSED)
    if not media:
        body = seen.response.body if seen.response is not None else b""
        what = "the description (SDP) names no stream over RTP" if body[:3] == b"v=0" else "what comes is no SDP"
        begin = shown(body[:40].decode("utf-8", "replace"))
        detail = f"{what}: it begins with {begin!r}" if body else "DESCRIBE is answered without a description"
        return Finding(leg="describe", finding="no_stream", detail=detail, remedy=remedies.NO_STREAM)
    streams = ", ".join(f"{each.kind} {each.format}" for each in media[:4])
    return Finding(leg="describe", finding="ok", detail=f"the server describes {streams}")


def setup_udp(seen: RequestSeen, transport: ServerTransport, port: int) -> Finding:
    """Conclude whether the server sends media over UDP to *port* of this machine."""
    if seen.status == 0:
        return Finding(leg="setup_udp", finding="silent", detail=f"SETUP: {seen.text}", remedy=remedies.SILENT)
    if seen.status == 461:
        detail = f"the server sends no media over UDP: {seen.text}"
        return Finding(leg="setup_udp", finding="tcp_only", detail=detail, remedy=remedies.tcp_only())
    if seen.status != 200 or transport.over_tcp:
        detail = f"SETUP is answered with {seen.text}"
        detail += f", Transport: {shown(seen.header('transport'))}" if seen.status == 200 else ""
        return Finding(leg="setup_udp", finding="refused", detail=detail, remedy=remedies.REFUSED)
    ports = f"{transport.port}" if transport.port is not None else "which it does not name"
    ports += f", reports from {transport.rtcp_port}" if transport.rtcp_port is not None else ""
    detail = f"the server will send from port {ports}, to port {port} of this machine"
    return Finding(leg="setup_udp", finding="ok", detail=detail)


def play(seen: RequestSeen) -> Finding:
    """Conclude whether the stream is started."""
    if seen.status == 0:
        return Finding(leg="play", finding="silent", detail=f"PLAY: {seen.text}", remedy=remedies.SILENT)
    if seen.status != 200:
        detail = f"PLAY is answered with {seen.text}"
        return Finding(leg="play", finding="refused", detail=detail, remedy=remedies.REFUSED)
    return Finding(leg="play", finding="ok", detail=f"PLAY is answered in {seen.took_s * 1000:.0f} ms")


def media_off(setup: RequestSeen) -> Finding:
    """No media over UDP were asked for, for the server has none."""
    detail = f"not asked for: the server has media on the connection alone ({setup.text})"
    return Finding(leg="media_udp", finding="off", detail=detail)


def media_udp(
    seen: MediaSeen, transport: ServerTransport, path: PathEnds, *, over_tcp: MediaSeen | None = None
) -> Finding:
    """Conclude whether datagrams arrive. *over_tcp*: what came on the connection where none did."""
    if seen.ended is not None:
        came = f" after {seen.datagrams} datagrams" if seen.datagrams else ", and no datagram came"
        detail = f"{seen.ended} while it played{came}"
        return Finding(leg="media_udp", finding="ended", detail=detail, remedy=remedies.ended(path, transport.port))
    if not seen.datagrams:
        return _nothing_came(seen, transport, path, over_tcp)
    first = f"{seen.datagrams} datagrams came in {seen.window_s:.1f} s, {seen.mbit:.1f} Mbit/s"
    first += f", the first after {(seen.first_s or 0) * 1000:.0f} ms"
    other = [port for port in seen.from_ports if transport.port is not None and port != transport.port]
    first += f", from port {other[0]} instead of the announced {transport.port}" if other else ""
    if seen.lost >= LOSSY_DATAGRAMS and seen.lost_pct >= LOSSY_PCT:
        detail = f"{first}; {seen.lost_pct:.1f} % are missing, up to {seen.longest_gap} in a row"
        return Finding(leg="media_udp", finding="lossy", detail=detail, remedy=common.udp_lossy(path))
    if seen.has_punched:
        detail = f"{first}, and only after this machine had sent one to the server's port: a NAT, or a firewall's state"
        remedy = remedies.after_punch(path, transport.port)
        return Finding(leg="media_udp", finding="after_punch", detail=detail, remedy=remedy)
    return Finding(leg="media_udp", finding="ok", detail=first)


def _nothing_came(seen: MediaSeen, transport: ServerTransport, path: PathEnds, over_tcp: MediaSeen | None) -> Finding:
    if over_tcp is not None and not over_tcp.datagrams:
        detail = f"no datagram came within {seen.window_s:.1f} s, nor on the connection: the source sends nothing"
        return Finding(leg="media_udp", finding="no_source", detail=detail, remedy=remedies.NO_SOURCE)
    detail = f"no datagram came within {seen.window_s:.1f} s, also after one was sent to the server's port"
    detail += ", while the stream comes on the connection" if over_tcp is not None else ""
    detail += ", while its reports come" if seen.reports else ""
    detail += f"; {seen.strangers} came from other addresses" if seen.strangers else ""
    detail += ": a firewall or a NAT is in the way"
    remedy = remedies.dropped(path, transport.port, works_over_tcp=over_tcp is not None)
    return Finding(leg="media_udp", finding="dropped", detail=detail, remedy=remedy)


def rtcp(seen: MediaSeen, rtcp_port: int | None, *, over_tcp: bool) -> Finding:
    """Conclude whether reports of the sender arrive."""
    where = "on the connection" if over_tcp else "over UDP"
    if seen.reports:
        after = f", the first {seen.first_report_s:.1f} s after PLAY" if seen.first_report_s is not None else ""
        many = "report of the sender" if seen.reports == 1 else "reports of the sender"
        return Finding(leg="rtcp", finding="ok", detail=f"{seen.reports} {many} came {where}{after}")
    detail = f"no report of the sender came {where} in {seen.window_s:.1f} s"
    remedy = None if over_tcp else remedies.no_reports(rtcp_port)
    return Finding(leg="rtcp", finding="none", detail=detail, remedy=remedy)


def media_tcp(requests: Sequence[RequestSeen], seen: MediaSeen | None) -> Finding:
    """Conclude whether media come on the RTSP connection, from what came of SETUP and PLAY, and then."""
    failed = next((request for request in requests if request.status != 200), None)
    if failed is not None or seen is None:
        method = failed.method if failed is not None else "TCP"
        text = failed.text if failed is not None else "no second connection opens"
        finding = "refused" if failed is not None and failed.status else "silent"
        remedy = remedies.MEDIA_TCP if finding == "refused" else remedies.SILENT
        return Finding(leg="media_tcp", finding=finding, detail=f"{method}: {text}", remedy=remedy)
    if not seen.datagrams:
        ended = f" ({seen.ended})" if seen.ended else ""
        detail = f"PLAY is answered, and no packet came on the connection within {seen.window_s:.1f} s{ended}"
        return Finding(leg="media_tcp", finding="no_source", detail=detail, remedy=remedies.NO_SOURCE)
    detail = f"{seen.datagrams} packets came between the answers in {seen.window_s:.1f} s"
    detail += f", the first after {(seen.first_s or 0) * 1000:.0f} ms"
    return Finding(leg="media_tcp", finding="ok", detail=detail)


def teardown(requests: Sequence[RequestSeen], *, came_after: int) -> Finding:
    """Conclude whether the server ends its sessions; *came_after*: datagrams that came long after its answer."""
    if came_after:
        detail = f"{came_after} datagrams came after the answer to TEARDOWN"
        return Finding(leg="teardown", finding="streams_on", detail=detail, remedy=remedies.STREAMS_ON)
    failed = next((request for request in requests if request.status != 200), None)
    if failed is not None:
        finding = "refused" if failed.status else "silent"
        detail = f"TEARDOWN: {failed.text}; the connection was closed, which ends a session too"
        return Finding(leg="teardown", finding=finding, detail=detail)
    slowest_ms = max((request.took_s for request in requests), default=0.0) * 1000
    detail = f"answered in {slowest_ms:.0f} ms, and nothing came afterwards: no session is left"
    return Finding(leg="teardown", finding="ok", detail=detail)


def vlc(seen: VlcModules, media: Sequence[Media], *, has_udp: bool | None) -> Finding:
    """Conclude what this machine's VLC can do with such an address.

    *media*: the streams that the server describes. *has_udp*: whether they come over UDP; ``None``: not known.
    """
    if not seen.folders and not seen.has_library:
        return Finding(leg="vlc_rtsp", finding="absent", detail="no VLC is installed here, or not where others have it")
    if seen.has_live555:
        detail = (
            "this machine's VLC has live555: UDP, and the connection with --rtsp-tcp; a pause where the stream ends"
        )
        return Finding(leg="vlc_rtsp", finding="live555", detail=detail)
    if not seen.has_sat_ip:
        where = ", ".join(seen.folders[:3]) or "a folder that is not known"
        detail = f"this machine's VLC has no module for RTSP (plugins in {where})"
        return Finding(leg="vlc_rtsp", finding="none", detail=detail, remedy=remedies.NO_MODULE)
    detail = (
        "this machine's VLC has no live555, as Debian builds it, and plays RTSP by its SAT>IP module: "
        "MPEG-TS over UDP alone, begun with SETUP, and no pause"
    )
    if media and not any(each.format.upper().startswith("MP2T") for each in media):
        detail += "; it cannot play this stream, which is not MPEG-TS"
    elif has_udp is False:
        detail += "; it cannot play this stream as long as no media come over UDP"
    return Finding(leg="vlc_rtsp", finding="sat_ip", detail=detail, remedy=remedies.SAT_IP)
