"""The fix of each finding of ``flume doctor``: which rule to open, on which side, as commands to copy. Pure.

Each function returns one clause without a capital letter at its beginning and without a full stop::

    >>> udp_out_here(PathEnds("192.0.2.7", 5004, "192.0.2.9"))
    "on this machine 'iptables -I OUTPUT -p udp -d 192.0.2.7 --dport 5004 -j ACCEPT'"
"""

from typing import NamedTuple

from flume.media.datagrams import PACKETS_PER_DATAGRAM
from flume.media.mpegts import PACKET_BYTES
from flume.media.rtp import HEADER_BYTES
from flume.settings import DEFAULT_PORT


class PathEnds(NamedTuple):
    """The two ends of the path: addresses without brackets and interface, and the server's port."""

    server: str
    port: int
    here: str
    zone: str = ""
    """The interface of a link-local address, with a percent sign before it; rules of firewalls go without."""
    is_rtsp: bool = False
    """Whether the server may be any that speaks RTSP."""

    @property
    def named(self) -> str:
        """The server's address as programs take it."""
        return self.server + self.zone

    @property
    def route(self) -> str:
        """What follows ``ip route get``."""
        return f"{self.server} oif {self.zone[1:]}" if self.zone else self.server

    @property
    def iptables(self) -> str:
        """The program that holds the rules for this version of IP."""
        return "ip6tables" if ":" in self.server else "iptables"


NAME = "give the server's address instead of its name, or enter the name in DNS or in /etc/hosts on this machine"
NAME_SERVER = (
    "give the server's address, or open UDP and TCP port 53 from this machine to the name servers in /etc/resolv.conf"
)
TURNED_AWAY = "try again when the server has room; on the server see its limits --max-sessions, or its version"
ACCESS = {
    "tls_required": "give --tls, and --ca FILE where this machine does not know the issuer of the server's certificate",
    "tls_failed": (
        "as it says; 'openssl s_client -connect HOST:PORT' shows the certificate that the server sends, and "
        "'openssl x509 -noout -dates -ext subjectAltName' from when to when and for which names it is valid"
    ),
    "login_required": "give --user NAME and its secret; on the server 'flume users list FILE' shows the names",
}
"""By finding."""
OTHER_ADDRESS = (
    "let TCP and UDP of this machine take the same path: with several links or a proxy for TCP, route the "
    "server's address over one of them (ip route get shows which is taken)"
)

LAB = "pip install 'flumelab[lab]'"
ENGINE = "'make setup' installs and starts what a lab needs, and reports what it cannot install"


def host(path: PathEnds, *, no_route: bool) -> str:
    """The host answers nothing."""
    first = f"check the address, that the machine is on, and the route (ip route get {path.route})"
    if not no_route:
        return first
    return (
        f"{first}; if all that is right, a firewall isolates this machine: on the server "
        f"'{path.iptables} -I INPUT -s {path.here} -j ACCEPT', here '{path.iptables} -I INPUT -s {path.server} "
        "-j ACCEPT' and the same for OUTPUT with -d"
    )


def tcp_dropped(path: PathEnds, *, alive: bool) -> str:
    """SYNs get no answer."""
    return (
        ("" if alive else "first the fix for the server's machine; if that is in order, ")
        + f"open TCP port {path.port} to the server: on the server '{_accept(path, 'tcp')}' (or 'ufw allow "
        f"{path.port}/tcp'), in a cloud its security group; then the same on firewalls between; on this machine "
        f"'{path.iptables} -I OUTPUT -p tcp -d {path.server} --dport {path.port} -j ACCEPT' and answers "
        f"'{path.iptables} -I INPUT -p tcp -s {path.server} --sport {path.port} -j ACCEPT'"
    )


def tcp_rejected(path: PathEnds, sender: str | None) -> str:
    """A firewall refuses SYNs; *sender* is the address that its ICMP message came from."""
    return (
        f"{_where(path, sender)} put before the REJECT rule: '{_accept(path, 'tcp')}' "
        f"('{path.iptables} -L -v -n' shows which rule's count rises)"
    )


def refused(path: PathEnds) -> str:
    """The port answers with a RST, and nothing shows whether the host or a firewall sent it."""
    return (
        f"{start_server(path)}; if it does, a REJECT rule is in the way: on the server or on a firewall between "
        f"'{_accept(path, 'tcp')}'"
    )


def start_server(path: PathEnds) -> str:
    """No server listens on the port."""
    program = "its RTSP server" if path.is_rtsp else "'flume serve'"
    how = f"see on the server whether {program} runs and on which port (ss -ltnp 'sport = :{path.port}'); "
    if ":" in path.server:
        how += "if it listens on 0.0.0.0 or another IPv4 address, give that, or serve with '--host ::' for both; "
    return how + (
        "start it, or give its port in the address" if path.is_rtsp else "start it, or give its port with --port"
    )


def route(path: PathEnds) -> str:
    """This machine or a router has no route to the host."""
    return f"check this machine's network and route: ip route get {path.route}; ip neigh show {path.server}"


def control_cut(path: PathEnds) -> str:
    """A firewall lets the SYN pass and drops the rest of the connection."""
    return (
        f"let established connections pass in both directions: on the server, on firewalls between and here "
        f"'{path.iptables} -I INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT' and the same for OUTPUT; "
        "control has no other path"
    )


def control_mute(path: PathEnds) -> str:
    """The command was acknowledged and not answered."""
    return (
        f"see on the server which program listens: ss -ltnp 'sport = :{path.port}'; if it is 'flume serve', "
        "restart it; if it is not, give the right --port"
    )


def not_flume(path: PathEnds) -> str:
    """Another program answers on the port."""
    return (
        "give the port of 'flume serve' with --port; on the server 'ss -ltnp' shows it, and the program that has "
        f"{path.port} instead"
    )


def udp_out(path: PathEnds) -> str:
    """Tokens do not reach the server."""
    return (
        f"open UDP port {path.port} to the server: on the server '{_accept(path, 'udp')}' (or 'ufw allow "
        f"{path.port}/udp'), in a cloud its security group; then firewalls between; {udp_out_here(path)}; "
        f"if all are open, see which programs have the port there: ss -anpu 'sport = :{path.port}'; "
        f"{_meanwhile(path)}"
    )


def udp_out_here(path: PathEnds) -> str:
    """Sending is forbidden on this machine."""
    return f"on this machine '{path.iptables} -I OUTPUT -p udp -d {path.server} --dport {path.port} -j ACCEPT'"


def udp_out_rejected(path: PathEnds, sender: str | None) -> str:
    """Tokens are answered with an ICMP refusal from *sender*."""
    return f"{_where(path, sender)} put before the REJECT rule: '{_accept(path, 'udp')}'; {_meanwhile(path)}"


def udp_back(path: PathEnds, target: str) -> str:
    """The stream does not arrive; *target* (DROP or REJECT) is that of the rule that seems to stop it."""
    return (
        f"let the replies in: on this machine, before the {target} rule, '{path.iptables} -I INPUT -p udp "
        f"-s {path.server} --sport {path.port} -j ACCEPT', or better '-m conntrack --ctstate "
        f"ESTABLISHED'; likewise on firewalls between; on the server "
        f"'{path.iptables} -I OUTPUT -p udp --sport {path.port} -j ACCEPT'; {_meanwhile(path)}"
    )


def udp_back_at_server(path: PathEnds) -> str:
    """The server's own firewall forbids it to send."""
    return (
        f"on the server let its datagrams out: '{path.iptables} -I OUTPUT -p udp --sport {path.port} -j ACCEPT'; "
        f"{_meanwhile(path)}"
    )


def udp_lossy(path: PathEnds) -> str:
    """A part of the stream does not arrive."""
    return (
        "look for a rule that limits the rate (-m limit, -m hashlimit, a policer of tc): its counters rise in "
        f"'{path.iptables} -L -v -n' on this machine, on the server and on firewalls between; raise it above the "
        "stream's rate; if there is none, the link is too slow or bad: use a cable, or a video of a lower rate"
    )


def too_big(path: PathEnds, need: int, passing: int) -> str:
    """Packets of the stream's size, *need* bytes, do not arrive; datagrams of *passing* bytes do."""
    icmp = "icmpv6 --icmpv6-type packet-too-big" if ":" in path.server else "icmp --icmp-type fragmentation-needed"
    return (
        f"{_smaller(passing)}raise the MTU to {need} or more "
        "on every link (ip link set dev eth0 mtu 1500; a VPN or tunnel takes its "
        f"share), or let fragments and ICMP pass on this machine, on the server and between: "
        f"'{path.iptables} -I INPUT -p {icmp} -j ACCEPT'"
        + (f", 'iptables -I INPUT -f -s {path.server} -j ACCEPT'" if ":" not in path.server else "")
        + f"; {_meanwhile(path)}"
    )


def _smaller(passing: int) -> str:
    """Return how the server makes datagrams of at most *passing* bytes, and " or " behind it; empty where it cannot."""
    packets = min(PACKETS_PER_DATAGRAM, (passing - HEADER_BYTES) // PACKET_BYTES)
    return (
        f"let the server send shorter datagrams (flume serve --datagram-packets {packets}), or " if packets > 0 else ""
    )


def fragmented(need: int, passing: int) -> str:
    """Packets of the stream's size, *need* bytes, arrive in fragments; datagrams of *passing* bytes would not."""
    return (
        f"it works, but one lost piece loses the whole: {_smaller(passing)}raise the MTU of the "
        f"narrow link to {need} or more "
        "(tracepath to the server shows where it is)"
    )


def forgets(path: PathEnds) -> str:
    """After a silence a firewall no longer lets the stream in."""
    return (
        "a NAT or stateful firewall forgets too soon: raise its limit for UDP to 30 s or more ('sysctl -w "
        "net.netfilter.nf_conntrack_udp_timeout=30 net.netfilter.nf_conntrack_udp_timeout_stream=120' where it "
        f"is), or let {path.server} in without state, on this machine '{path.iptables} -I INPUT -p udp -s "
        f"{path.server} --sport {path.port} -j ACCEPT'; until then the stream recovers when the client repeats "
        "its token"
    )


def _accept(path: PathEnds, protocol: str) -> str:
    return f"{path.iptables} -I INPUT -p {protocol} --dport {path.port} -j ACCEPT"


def _meanwhile(path: PathEnds) -> str:
    port = "" if path.port == DEFAULT_PORT else f" --port {path.port}"
    return f"until then 'flume watch {path.named}{port} --transport tcp' receives the stream over TCP"


def _where(path: PathEnds, sender: str | None) -> str:
    if sender is None:
        return "on whichever firewall refuses (the server's, or one between)"
    if sender == path.here:
        return "on this machine (its own firewall refuses; -I OUTPUT instead of INPUT)"
    if sender == path.server:
        return "on the server"
    return f"on the router {sender}, which refuses (-I FORWARD instead of INPUT)"
