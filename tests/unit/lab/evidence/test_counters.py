"""The kernel's counters, from text as the kernel prints it."""

import pytest

from flume.errors import EvidenceError
from flume.lab.evidence.counters import (
    backlog_drops,
    damaged,
    firewall_drops,
    receive_buffer_errors,
    socket_drops,
)

UDP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 1411: 00000000:C350 00000000:0000 07 00000000:00000000 00:00000000 00000000 10001        0 38122 2 0000000000000000 17
 1412: 0100007F:C351 00000000:0000 07 00000000:00000000 00:00000000 00000000 10001        0 38123 2 0000000000000000 5
"""
IPTABLES = """\
*filter
:INPUT ACCEPT [120:9000]
[12:15936] -A FLUME-IN-3 -p udp -m udp --sport 5004 -m comment --comment "flumelab blocked media" -j DROP
[5:6640] -A FLUME-IN-3 -p udp -m comment --comment "flumelab also media" -m udp --sport 5004 -j DROP
[7:280] -A FLUME-IN-3 -p tcp -m comment --comment "flumelab blocked control" -j DROP
[9:9] -A FLUME-IN-3 -p udp -m comment --comment "flumelab open media" -j RETURN
[3:180] -A INPUT -p tcp -m tcp --dport 22 -j REJECT --reject-with tcp-reset
[40:4000] -A INPUT -s 198.18.0.2/32 -j ACCEPT
[2:2712] -A FLUME-IN-3 -p udp -m length --length 1281 -m comment --comment "flumelab blocked media in fragments" -j DROP
[8:80] -A FLUME-IN-3 -p udp -m comment --comment "flumelab blocked mediation" -j DROP
COMMIT
# of a scenario that was removed
[20:26560] -A FLUME-IN-3 -p udp -m comment --comment "flumelab blocked media" -j REJECT --reject-with icmp
"""


def test_drops_are_those_of_the_one_socket():
    assert socket_drops(UDP, 50000) == 17
    assert socket_drops(UDP, 50001) == 5
    with pytest.raises(EvidenceError, match="port 50002"):
        socket_drops(UDP, 50002)


def test_only_rules_that_take_media_away_count():
    assert firewall_drops(IPTABLES) == 39
    assert firewall_drops("") == 0


def test_damage_is_what_the_checksums_and_addresses_found():
    snmp = """\
Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams
Ip: 1 64 14277 2 1 4800
Icmp: InMsgs InErrors InCsumErrors
Icmp: 25 15 9
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors
Udp: 78 0 40 79 5 0 40
"""
    assert damaged(snmp) == 43
    assert damaged("") == 0


def softnet(*counts: tuple[int, int, int]) -> str:
    """Return the file as Linux 6 prints it, for (CPU, packets, dropped)."""
    return "".join(f"{packets:08x} {dropped:08x} {'00000018 ' * 10}{cpu:08x} 0 0\n" for cpu, packets, dropped in counts)


@pytest.mark.parametrize(
    ("before", "after", "dropped"),
    [
        (softnet((0, 5, 987), (1, 6, 812)), softnet((0, 9, 989), (1, 9, 852)), 42),
        (softnet((0, 5, 987), (1, 6, 812)), softnet((0, 9, 987), (1, 9, 812)), 0),
        (softnet((0, 5, 3), (2, 6, 8)), softnet((0, 9, 4), (1, 9, 2), (2, 6, 8)), 3),
        (softnet((0, 5, 2**32 - 1)), softnet((0, 5, 6)), 7),
        ("0000000a 00000001 00000000\n", "0000000b 0000000c 00000000\n", 11),
    ],
    ids=["two CPUs", "none", "a CPU that was off", "32 bits", "Linux before 5.10"],
)
def test_what_the_kernel_dropped_between_interfaces_is_the_second_count_of_each_cpu(before, after, dropped):
    assert backlog_drops(before, after) == dropped


def test_counts_of_an_unknown_form_are_an_error():
    with pytest.raises(EvidenceError, match="softnet_stat has an unknown form: 'No such file"):
        backlog_drops("No such file\n", softnet((0, 5, 3)))


def test_the_drops_of_all_sockets_of_a_host_are_those_of_its_udp():
    snmp = """\
Ip: Forwarding InHdrErrors
Ip: 1 0
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors
Udp: 900 1 40 3 39 0
UdpLite: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors
UdpLite: 0 0 0 0 5 0
"""
    assert receive_buffer_errors(snmp) == 39
    assert receive_buffer_errors("") == 0
