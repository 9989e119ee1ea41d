"""Hosts and ports as people write them."""

import pytest

from flume.control.endpoint import endpoint, without_brackets


@pytest.mark.parametrize(
    ("host", "written"),
    [
        ("localhost", "localhost:5004"),
        ("192.0.2.7", "192.0.2.7:5004"),
        ("::1", "[::1]:5004"),
        ("[::1]", "[::1]:5004"),
        ("fe80::1%eth0", "[fe80::1%eth0]:5004"),
    ],
)
def test_a_host_and_its_port_are_one_word(host: str, written: str) -> None:
    assert endpoint(host, 5004) == written


@pytest.mark.parametrize("host", ["[", "]", "[::1", "localhost", ""])
def test_only_a_pair_of_brackets_is_removed(host: str) -> None:
    assert without_brackets(host) == host
    assert without_brackets("[::1]") == "::1"
