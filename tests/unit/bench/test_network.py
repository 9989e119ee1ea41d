"""The addresses and the drop counter of the wire."""

import ipaddress

import pytest

from bench import network
from bench.destinations import format_listing, parse_listing
from bench.values import BenchError


@pytest.mark.parametrize("clients", [1, 8, 9, 1000])
def test_samples_come_first_and_every_client_has_its_own_address(clients: int) -> None:
    addresses = network.client_addresses(clients)
    assert len(set(addresses)) == clients
    samples = [each for each in addresses if ipaddress.ip_address(each) in network.SAMPLES]
    assert samples == addresses[: min(clients, network.SAMPLE_CLIENTS)]
    assert all(ipaddress.ip_address(each) in network.LIVE for each in addresses[len(samples) :])


def test_there_are_only_so_many_dead() -> None:
    assert network.dead_addresses(2) == ["198.18.0.100", "198.18.0.101"]
    with pytest.raises(BenchError, match="there are addresses for 100"):
        network.dead_addresses(101)


def test_the_counter_of_the_drop_rule() -> None:
    listing = (
        '{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"chain": {"name": "in"}}, {"rule": {"expr": '
        '[{"match": {}}, {"counter": {"packets": 12, "bytes": 130000}}, {"drop": null}]}}]}'
    )
    assert network.parse_drop_counter(listing) == (12, 130000)
    with pytest.raises(BenchError, match="no counter"):
        network.parse_drop_counter('{"nftables": []}')


def test_a_listing_of_destinations_comes_back_as_it_was() -> None:
    pairs = [("198.18.32.1", 6000), ("198.18.16.1", 6001)]
    assert parse_listing(format_listing(pairs)) == pairs
