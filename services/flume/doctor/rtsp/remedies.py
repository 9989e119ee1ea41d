"""The fix of each finding of ``flume doctor rtsp://…``: what to open, or which option a player needs. Pure.

Each is one clause without a capital letter at its beginning and without a full stop.
"""

from flume.doctor.remedies import PathEnds
from flume.doctor.rtsp.observations import PLAYERS_PORTS

OVER_TCP = (
    "VLC with live555 'vlc --rtsp-tcp', 'ffplay -rtsp_transport tcp', 'mpv --rtsp-transport=tcp', GStreamer "
    "'rtspsrc protocols=tcp'"
)
"""How players take the media on their connection. Debian's VLC cannot."""

SILENT = (
    "see on the server which program has the port (ss -ltnp), and restart it if it hangs; let established connections "
    "pass in both directions on firewalls between"
)
TURNED_AWAY = (
    "try again when the server has room; with 'flume serve' see its limits (--max-sessions), --allow and --deny, and "
    "that it has no TLS, beside which there is no RTSP"
)
LOGIN = "give --user NAME and its secret, with --login-without-tls: RTSP is not encrypted"
LOGIN_DIGEST = "try it in a player: the doctor has Basic alone; a wrong user or secret is refused there as well"
NOT_FOUND = "give the path of the stream as the server's documents name it; that of 'flume serve' is empty"
NO_STREAM = "give the path of a stream; a server without a source says so in its log"
REFUSED = "see the server's log: a source that does not start and a server without room answer so as well"
NO_SOURCE = "see on the server whether its source plays: neither over UDP nor on the connection a datagram came"
MEDIA_TCP = "use a player that takes media over UDP; the server's documents say whether it has RTP/AVP/TCP"
STREAMS_ON = "end the player's connection as well: this server does not end the stream with TEARDOWN alone"
SAT_IP = (
    "to pause, and to play on the connection, use mpv or ffplay, or a VLC with live555: that of Flathub, of snap or of "
    "videolan.org"
)
NO_MODULE = "install VLC's plugins, in Debian 'apt-get install vlc-plugin-base'"


def not_rtsp(path: PathEnds) -> str:
    """Another program answers on the port."""
    return (
        f"give the port of the RTSP server in the address; on the server 'ss -ltnp' shows it, and the program that has "
        f"{path.port} instead; 'flume serve' speaks RTSP without TLS alone, and not with --no-rtsp"
    )


def tcp_only() -> str:
    """The server sends no media over UDP."""
    return f"let the player take them on its connection: {OVER_TCP}; Debian's VLC cannot play such a stream"


def dropped(path: PathEnds, server_port: int | None, *, works_over_tcp: bool) -> str:
    """No datagram arrives."""
    sport = f" --sport {server_port}" if server_port is not None else ""
    first, last = PLAYERS_PORTS[0], PLAYERS_PORTS[-1] + 1
    rule = f"{path.iptables} -I INPUT -p udp -s {path.server}{sport} --dport {first}:{last} -j ACCEPT"
    meanwhile = f"; until then play on the connection: {OVER_TCP}" if works_over_tcp else ""
    return (
        f"let the stream in: on this machine '{rule}' (Debian's VLC uses these ports, other players any above 1024), "
        f"likewise on firewalls between, and on the server let it out; a NAT before this machine lets no stream in "
        f"that was not asked for{meanwhile}"
    )


def after_punch(path: PathEnds, server_port: int | None) -> str:
    """A firewall lets the stream in only after a datagram from here."""
    return (
        "nothing for mpv, ffplay, GStreamer and VLC with live555, which send such a datagram; for Debian's VLC, which "
        f"does not, {dropped(path, server_port, works_over_tcp=False)}"
    )


def ended(path: PathEnds, server_port: int | None) -> str:
    """The server ends the session while it plays."""
    return (
        "a firewall that rejects (ICMP port unreachable) makes a server do so: "
        f"{dropped(path, server_port, works_over_tcp=False)}; if there is none, see the server's log"
    )


def no_reports(rtcp_port: int | None) -> str:
    """No sender report comes."""
    if rtcp_port is None:
        return "nothing: the server announces no port for reports, and players play without them"
    return f"players play without them; to have them, let UDP port {rtcp_port} of the server in, as that of the media"
