"""Which interfaces belong together, and what the new ones are called."""

import pytest

from probe import plugging
from probe.plugging import Client, Interface, Plug

IP_LINK = r"""1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN mode DEFAULT group default qlen 1000\    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00
2: eth0@if13: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP mode DEFAULT group default \    link/ether 02:42:c6:12:07:0d brd ff:ff:ff:ff:ff:ff link-netnsid 0
7: b3@if14: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN mode DEFAULT group default qlen 1000\    link/ether 66:ad:1f:2e:6f:3c brd ff:ff:ff:ff:ff:ff link-netnsid 0
8: docker0: <BROADCAST,UP> mtu 1500 qdisc noqueue state UP mode DEFAULT group default \    link/ether 02:42:4e:00:00:01 brd ff:ff:ff:ff:ff:ff
"""  # noqa: E501 - as ip prints it

ETH0 = Interface("eth0", ifindex=2, peer=13, mac="02:42:c6:12:07:0d")


def test_the_ends_of_veth_pairs_are_found() -> None:
    """lo and a bridge are none."""
    assert plugging.interfaces(IP_LINK) == {"eth0": ETH0, "b3": Interface("b3", 7, 14, "66:ad:1f:2e:6f:3c")}


@pytest.mark.parametrize(("ifindex", "peer", "same"), [(13, 2, True), (13, 3, False), (12, 2, False)])
def test_two_interfaces_are_one_link_if_each_names_the_other(ifindex: int, peer: int, same: bool) -> None:
    """Another namespace may have an interface with the same number."""
    client = Client(3, 900, ETH0)
    assert client.is_peer(Interface("c3", ifindex, peer, "66:ad:1f:2e:6f:3d")) is same


def test_a_port_has_a_name_that_fits_and_is_unique_on_the_host() -> None:
    """With the largest number of a process, and more clients than a lab has."""
    names = {
        Plug(Client(number, 900, ETH0), wire, "br-1", 0, "veth1").port
        for wire in (77, 4194303, 4194304)
        for number in (1, 11, 9999)
    }
    assert len(names) == 9
    assert max(map(len, names)) <= 15
