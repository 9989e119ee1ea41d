"""While clients abuse the TLS handshake, viewers over UDP and TLS receive everything and a new one joins in time."""

from pathlib import Path

import pytest

from support.attacks.beside import Honest, attack, attacked_server, wait_until_counted, watching_over_tcp
from support.ports import free_port
from support.servers import certificates

FOR_S = 2.0
AT_LEAST = 200
"""Datagrams of a watching client: the stream has 190 a second."""


@pytest.mark.parametrize(
    ("name", "count", "refused"),
    [
        ("tls_handshakes", 3, "too_many_handshakes"),
        ("tls_garbage", 40, "tls_handshake"),
        ("tls_stalled", 600, "gave_way"),
    ],
)
def test_a_flood_of_handshakes_costs_the_viewers_nothing_and_is_counted(
    tmp_path: Path, name, count, refused, record_property
):
    files, port = certificates.write(tmp_path), free_port()
    with (
        attacked_server(port, tls_certificate=files.certificate, max_sessions_per_address=8) as server,
        Honest(port, tls=files.client) as honest,
        watching_over_tcp(port, tls=files.client) as over_tls,
        attack(name, port, for_s=90, count=count),
    ):
        outcome = honest.watch(for_s=FOR_S)
        wait_until_counted(port, refused, tls=files.client)
    outcome.is_well(at_least=AT_LEAST, slowest_s=5)
    assert len(over_tls.packets()) >= AT_LEAST
    assert b"Traceback" not in server.said  # type: ignore[attr-defined]
    record_property("measured", f"{name}: slowest join {max(outcome.joins_s):.2f} s")
