"""Cures for what ``flume doctor`` finds: which rule to open, on whose side, as commands to copy. Pure."""

from typing import NamedTuple

from flume.settings import DEFAULT_PORT


class Ends(NamedTuple):
    """The two ends of a way: addresses without brackets, and the server's port."""

    server: str
    port: int
    here: str

    @property
    def tables(self) -> str:
        """The program that keeps the rules for this version of IP."""
        return "ip6tables" if ":" in self.server else "iptables"


NAME = "give the server's address instead of its name, or enter the name in DNS or in /etc/hosts on this machine"
NAME_SERVER = (
    "give the server's address, or open UDP and TCP port 53 from this machine to the name servers in /etc/resolv.conf"
)
TURNED_AWAY = "try again when the server has room; on the server see its limits --max-sessions, or its version"
OTHER_ADDRESS = (
    "let TCP and UDP of this machine take the same way out: with several links or a proxy for TCP, route the "
    "server's address over one of them (ip route get shows which is taken)"
)

VLC = "apt-get install --no-install-recommends libvlc5 vlc-plugin-base libvlc-bin"
LAB = "pip install 'flumelab[lab]'"
ENGINE = "'make setup' installs and starts what a lab needs, and says what it cannot"
PYTHON_VLC = "pip install 'flumelab[client]'"


def host(ends: Ends, *, no_route: bool) -> str:
    """Nobody answers."""
    first = f"check the address, that the machine is on, and the route (ip route get {ends.server})"
    if not no_route:
        return first
    return (
        f"{first}; if all that is right, a firewall isolates this machine: on the server "
        f"'{ends.tables} -I INPUT -s {ends.here} -j ACCEPT', here '{ends.tables} -I INPUT -s {ends.server} -j ACCEPT' "
        "and the same for OUTPUT with -d"
    )


def tcp_dropped(ends: Ends, *, alive: bool) -> str:
    """SYNs vanish."""
    return (
        ("" if alive else "first what is said of the server's machine; if that is in order, ")
        + f"open TCP port {ends.port} to the server: on the server '{_accept(ends, 'tcp')}' (or 'ufw allow "
        f"{ends.port}/tcp'), in a cloud its security group; then the same on firewalls between; on this machine "
        f"'{ends.tables} -I OUTPUT -p tcp -d {ends.server} --dport {ends.port} -j ACCEPT' and answers "
        f"'{ends.tables} -I INPUT -p tcp -s {ends.server} --sport {ends.port} -j ACCEPT'"
    )


def tcp_rejected(ends: Ends, sender: str | None) -> str:
    """A firewall answers."""
    return (
        f"{_where(ends, sender)} put before the REJECT rule: '{_accept(ends, 'tcp')}' "
        f"('{ends.tables} -L -v -n' shows whose count rises)"
    )


def refused(ends: Ends) -> str:
    """RST, by whomever."""
    return (
        f"{start_server(ends)}; if it does, a REJECT rule is in the way: on the server or on a firewall between "
        f"'{_accept(ends, 'tcp')}'"
    )


def start_server(ends: Ends) -> str:
    """Nothing listens."""
    return (
        f"see on the server whether 'flume serve' runs and on which port (ss -ltnp 'sport = :{ends.port}'); "
        "start it, or give its port with --port"
    )


def route(ends: Ends) -> str:
    """No way there."""
    return f"check this machine's network and route: ip route get {ends.server}; ip neigh show {ends.server}"


def control_cut(ends: Ends) -> str:
    """Established TCP is dropped."""
    return (
        f"let established connections pass in both directions: on the server, on firewalls between and here "
        f"'{ends.tables} -I INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT' and the same for OUTPUT; "
        "the way of control cannot be replaced by another"
    )


def control_mute(ends: Ends) -> str:
    """Taken and not answered."""
    return (
        f"see on the server who listens: ss -ltnp 'sport = :{ends.port}'; if it is 'flume serve', restart it; "
        "if it is not, give the right --port"
    )


def not_flume(ends: Ends) -> str:
    """Somebody else's port."""
    return (
        "give the port of 'flume serve' with --port; on the server 'ss -ltnp' shows it, and who has "
        f"{ends.port} instead"
    )


def udp_out(ends: Ends) -> str:
    """Tokens vanish."""
    return (
        f"open UDP port {ends.port} to the server: on the server '{_accept(ends, 'udp')}' (or 'ufw allow "
        f"{ends.port}/udp'), in a cloud its security group; then firewalls between; {udp_out_here(ends)}; "
        f"{_meanwhile(ends)}"
    )


def udp_out_here(ends: Ends) -> str:
    """Sending is forbidden on this machine."""
    return f"on this machine '{ends.tables} -I OUTPUT -p udp -d {ends.server} --dport {ends.port} -j ACCEPT'"


def udp_out_rejected(ends: Ends, sender: str | None) -> str:
    """Tokens are refused."""
    return f"{_where(ends, sender)} put before the REJECT rule: '{_accept(ends, 'udp')}'; {_meanwhile(ends)}"


def udp_back(ends: Ends, target: str) -> str:
    """The stream does not come."""
    return (
        f"let the replies in: on this machine, before the {target} rule, '{ends.tables} -I INPUT -p udp "
        f"-s {ends.server} --sport {ends.port} -j ACCEPT', or better '-m conntrack --ctstate "
        f"ESTABLISHED'; likewise on firewalls between; on the server "
        f"'{ends.tables} -I OUTPUT -p udp --sport {ends.port} -j ACCEPT'; {_meanwhile(ends)}"
    )


def udp_back_at_server(ends: Ends) -> str:
    """The server may not send."""
    return (
        f"on the server let its datagrams out: '{ends.tables} -I OUTPUT -p udp --sport {ends.port} -j ACCEPT'; "
        f"{_meanwhile(ends)}"
    )


def udp_lossy(ends: Ends) -> str:
    """Some of the stream does not come."""
    return (
        "look for a rule that limits the rate (-m limit, -m hashlimit, a policer of tc): its counters rise in "
        f"'{ends.tables} -L -v -n' on this machine, on the server and on firewalls between; raise it above the "
        "stream's rate; if there is none, the link is too slow or bad: use a cable, or a video of a lower rate"
    )


def too_big(ends: Ends, need: int) -> str:
    """Long packets vanish."""
    icmp = "icmpv6 --icmpv6-type packet-too-big" if ":" in ends.server else "icmp --icmp-type fragmentation-needed"
    return (
        f"raise the MTU to {need} or more on every link (ip link set dev eth0 mtu 1500; a VPN or tunnel takes its "
        f"share), or let fragments and ICMP pass on this machine, on the server and between: "
        f"'{ends.tables} -I INPUT -p {icmp} -j ACCEPT'"
        + (f", 'iptables -I INPUT -f -s {ends.server} -j ACCEPT'" if ":" not in ends.server else "")
        + f"; {_meanwhile(ends)}"
    )


def fragmented(need: int) -> str:
    """Long packets come in pieces."""
    return (
        f"it works, but one lost piece loses the whole: raise the MTU of the narrow link to {need} or more "
        "(tracepath to the server shows where it is)"
    )


def forgets(ends: Ends) -> str:
    """The way back closes."""
    return (
        "a NAT or stateful firewall forgets too soon: raise its limit for UDP to 30 s or more ('sysctl -w "
        "net.netfilter.nf_conntrack_udp_timeout=30 net.netfilter.nf_conntrack_udp_timeout_stream=120' where it "
        f"stands), or let {ends.server} in without state, on this machine '{ends.tables} -I INPUT -p udp -s "
        f"{ends.server} --sport {ends.port} -j ACCEPT'; until then the stream recovers when the client repeats "
        "its token"
    )


def _accept(ends: Ends, protocol: str) -> str:
    return f"{ends.tables} -I INPUT -p {protocol} --dport {ends.port} -j ACCEPT"


def _meanwhile(ends: Ends) -> str:
    port = "" if ends.port == DEFAULT_PORT else f" --port {ends.port}"
    return f"until then 'flume watch {ends.server}{port} --transport tcp' has the stream over TCP"


def _where(ends: Ends, sender: str | None) -> str:
    if sender is None:
        return "on whichever firewall refuses (the server's, or one between)"
    if sender == ends.here:
        return "on this machine (its own firewall refuses; -I OUTPUT instead of INPUT)"
    if sender == ends.server:
        return "on the server"
    return f"on the router {sender}, which refuses (-I FORWARD instead of INPUT)"
