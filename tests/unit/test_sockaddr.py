"""Addresses with an interface, between text and the form of sockets."""

import socket

import pytest

from flume.control.endpoint import endpoint, lacks_interface, without_brackets
from flume.sockaddr import address_of, has_address, sockaddr_of, source_towards


def test_a_link_local_address_keeps_its_interface_there_and_back():
    assert address_of(("fe80::1", 5004, 0, 1)) == ("fe80::1%lo", 5004)
    assert sockaddr_of(("fe80::1%lo", 5004)) == sockaddr_of(("fe80::1%1", 5004)) == ("fe80::1", 5004, 0, 1)


@pytest.mark.parametrize("sockaddr", [("192.0.2.7", 5004), ("2001:db8::1", 5004, 0, 0)])
def test_other_addresses_are_host_and_port(sockaddr):
    assert address_of(sockaddr) == sockaddr[:2]
    assert sockaddr_of(sockaddr[:2]) == sockaddr[:2]


def test_an_interface_that_has_gone_is_its_number_and_one_that_never_was_is_an_error():
    assert address_of(("fe80::1", 5004, 0, 4_000_000)) == ("fe80::1%4000000", 5004)
    with pytest.raises(OSError, match="interface"):
        sockaddr_of(("fe80::1%nothing", 5004))


def test_an_interface_stands_in_brackets_as_people_and_urls_write_it():
    assert without_brackets("[fe80::1%25eth0]") == without_brackets("[fe80::1%eth0]") == "fe80::1%eth0"
    assert endpoint("fe80::1%eth0", 5004) == "[fe80::1%eth0]:5004"


@pytest.mark.parametrize("host", ["fe80::1", "FE80::1", "[febf::1]"])
def test_a_link_local_address_without_an_interface_is_told(host: str):
    assert lacks_interface(host)
    assert not lacks_interface(f"{without_brackets(host)}%eth0")


@pytest.mark.parametrize("host", ["fec0::1", "192.0.2.7", "feb.example", "::1"])
def test_others_lack_none(host: str):
    assert not lacks_interface(host)


def test_what_this_host_has_and_would_take():
    assert has_address("127.0.0.1")
    assert not has_address("192.0.2.1")
    assert not has_address("2001:db8::1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        assert source_towards(server.getsockname()) == "127.0.0.1"
        assert source_towards(("fe80::1%nothing", 5004)) is None
