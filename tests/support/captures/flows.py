"""How many bytes went to and fro between a server's UDP port and each address and port, by a capture."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from scapy.layers.inet import IP, UDP
from scapy.utils import PcapReader

Endpoint = tuple[str, int]


class Flows(NamedTuple):
    """Bytes on the wire, IP header included, and datagrams of the stream, by the other end."""

    to_server: Counter[Endpoint]
    from_server: Counter[Endpoint]
    media: Counter[Endpoint]

    def factor(self, endpoint: Endpoint) -> float:
        """How many times the bytes that *endpoint* sent the server sent there."""
        return self.from_server[endpoint] / max(1, self.to_server[endpoint])


def read_flows(path: Path, server: Endpoint) -> Flows:
    flows = Flows(Counter(), Counter(), Counter())
    with PcapReader(str(path)) as packets:
        for packet in packets:
            if UDP not in packet or IP not in packet:
                continue
            source, destination = (packet[IP].src, packet[UDP].sport), (packet[IP].dst, packet[UDP].dport)
            if destination == server:
                flows.to_server[source] += packet[IP].len
            elif source == server:
                flows.from_server[destination] += packet[IP].len
                flows.media[destination] += packet[UDP].len > 1000
    return flows
