"""How many datagrams of the stream cross from one host of the lab to another, with relays and without. Pure."""

from collections import defaultdict
from collections.abc import Mapping

from flume.lab.evidence.facts import Evidence
from flume.lab.trial.verdict import HostLink


def host_links(hops: Mapping[str, Evidence], hosts: Mapping[str, str]) -> list[HostLink]:
    """Return what each host sent to each other host, in the order of their names; nothing where there is one host.

    *hops* has the evidence of each server, by its name, and *hosts* the host of each tap, by the tap's name. Counted is
    what left a server's interface for a client at another host, whether it arrived or not. A client without a tap, or
    one whose tap has no host, is left out. Raises :class:`~flume.errors.EvidenceError` for a server's tap that is not
    there.

    >>> from flume.lab.evidence.facts import MediaDatagram, Subject, Tap, TapFacts
    >>> ends = ("198.18.0.2", 5004), ("198.18.0.11", 50000)
    >>> tap = Tap("server", "eth0", "server.pcap", 1, 0, 262144, 1.0, 1.0, None)
    >>> facts = TapFacts(tap, (MediaDatagram(1.0, *ends, b"1", 7, 1, 1328, 0),))
    >>> subject = Subject(name="client-1", address="198.18.0.11", tap="client-1")
    >>> evidence = Evidence(1.0, "server", (facts,), (subject,))
    >>> host_links({"server": evidence}, {"server": "h1", "client-1": "h2"})
    [HostLink(source='h1', destination='h2', datagrams=1, bytes=1328)]
    """
    datagrams: dict[tuple[str, str], int] = defaultdict(int)
    octets: dict[tuple[str, str], int] = defaultdict(int)
    for evidence in hops.values():
        source = hosts.get(evidence.server_tap)
        at = {one.address: hosts[one.tap] for one in evidence.subjects if one.tap is not None and one.tap in hosts}
        if source is None:
            continue
        for one in evidence.facts(evidence.server_tap).media:
            destination = at.get(one.destination[0])
            if destination is not None and destination != source:
                datagrams[source, destination] += 1
                octets[source, destination] += one.bytes
    return [
        HostLink(source=ends[0], destination=ends[1], datagrams=count, bytes=octets[ends])
        for ends, count in sorted(datagrams.items())
    ]
