"""The transport stream as it arrived at one client's interface, examined by ETSI TR 101 290. Pure.

What arrived of each window is examined in the order of the stream, each datagram once, as a receiver of RTP hands it
on. So reordering and duplicates are no errors of the stream, and what was lost is one. A pause is no error either.
"""

from collections.abc import Callable

import msgspec

from flume.lab.trial.case import Case
from flume.measures.ts.stream import TransportStream
from flume.measures.ts.values import StreamFigures

Packets = Callable[[bytes], bytes]
"""Returns the transport packets of the datagram with an identity that left the server."""


def stream_figures(case: Case, packets: Packets | None) -> StreamFigures | None:
    """Return the figures of *case*; None without a capture at the client, the bytes of datagrams, or any of them."""
    if packets is None or case.matching is None or not case.matching.arrived:
        return None
    arrival_s = {id(departure): arrival.time_s for departure, arrival in case.matching.arrived}
    stream = TransportStream()
    time_s, is_first = 0.0, True
    for window in case.flow.allowed:
        arrived = [one for one in window if id(one) in arrival_s]
        if arrived and not is_first:
            stream.interrupt()
        for one in arrived:
            # One that overtook the datagram before it is examined behind it, so not before its time.
            time_s = max(time_s, arrival_s[id(one)])
            stream.add_untrusted(packets(one.identity), time_s)
        is_first = is_first and not arrived
    if is_first:
        return None
    found = stream.result()
    times_s = (None if one.time_s is None else round(one.time_s - case.started_s, 4) for one in found.findings)
    findings = [
        msgspec.structs.replace(one, time_s=since_s) for one, since_s in zip(found.findings, times_s, strict=True)
    ]
    return msgspec.structs.replace(found, findings=findings)
