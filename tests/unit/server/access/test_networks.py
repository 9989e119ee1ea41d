"""Which addresses may come in."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.errors import SettingsError
from flume.server.access.networks import NetworkRules


def test_without_rules_every_address_is_admitted():
    rules = NetworkRules()
    assert rules.is_empty
    assert rules.admits("192.0.2.1")
    assert rules.admits("fe80::1%eth0")


@pytest.mark.parametrize(
    ("allow", "deny", "admitted", "refused"),
    [
        (["192.0.2.0/24"], [], ["192.0.2.7", "::ffff:192.0.2.7"], ["192.0.3.1", "2001:db8::1", "::ffff:192.0.3.1"]),
        ([], ["192.0.2.0/24"], ["192.0.3.1", "2001:db8::1"], ["192.0.2.7", "::ffff:192.0.2.7"]),
        (["192.0.2.7"], ["192.0.2.0/24"], ["192.0.2.7"], ["192.0.2.8", "198.51.100.1"]),
        (["192.0.2.0/24"], ["192.0.2.0/24"], [], ["192.0.2.7"]),
        (["192.0.2.0/24"], ["192.0.2.7"], ["192.0.2.6"], ["192.0.2.7"]),
        (["0.0.0.0/0"], [], ["198.51.100.1"], ["2001:db8::1"]),
        (["::/0"], [], ["2001:db8::1"], ["198.51.100.1", "::ffff:198.51.100.1"]),
        (["2001:db8::/32"], ["2001:db8:1::/48"], ["2001:db8:2::1"], ["2001:db8:1::1", "2001:db9::1"]),
        (["fe80::/10"], [], ["fe80::1%eth0", "fe80::1%2"], ["2001:db8::1"]),
        (["::ffff:192.0.2.0/120"], [], ["192.0.2.7", "::ffff:192.0.2.7"], ["192.0.3.1"]),
        (["::ffff:0:0/96"], ["192.0.2.0/24"], ["198.51.100.1"], ["192.0.2.1", "2001:db8::1"]),
    ],
)
def test_the_most_specific_network_decides(allow, deny, admitted, refused):
    rules = NetworkRules(allow=allow, deny=deny)
    assert [address for address in admitted if not rules.admits(address)] == []
    assert [address for address in refused if rules.admits(address)] == []


@pytest.mark.parametrize("text", ["localhost", "192.0.2", "192.0.2.0/33", "", "192.0.2.0/24,10.0.0.0/8", "fe80::%x/10"])
def test_what_is_no_network_is_named(text):
    with pytest.raises(SettingsError, match="allow="):
        NetworkRules(allow=[text])


def test_a_network_with_bits_behind_its_prefix_is_refused_with_the_one_that_is_meant():
    with pytest.raises(SettingsError, match=r"192\.0\.2\.0/24 is meant"):
        NetworkRules(deny=["192.0.2.7/24"])


@given(st.integers(0, 2**32 - 1), st.integers(0, 32), st.booleans())
def test_an_address_in_an_allowed_network_is_admitted_in_either_notation(number, length, is_mapped):
    network = ipaddress.ip_network((number, length), strict=False)
    address = ipaddress.IPv4Address(number)
    text = f"::ffff:{address}" if is_mapped else str(address)
    assert NetworkRules(allow=[str(network)]).admits(text)
    assert not NetworkRules(deny=[str(network)]).admits(text)
