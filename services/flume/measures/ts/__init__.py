"""Errors in an MPEG transport stream by ETSI TR 101 290. Pure.

::

    bytes of a file ──Framer──► whole packets ──┐
                                                ├─► TransportStream ──► StreamFigures
    payloads of datagrams, with arrival times ──┘

Start with :class:`TransportStream`; :func:`examine_untrusted` does all of it for a file.
"""

from flume.measures.ts.framing import Framer, Gap, Packets, examine_untrusted
from flume.measures.ts.stream import TransportStream
from flume.measures.ts.values import (
    INDICATORS,
    PcrFigures,
    PidFigures,
    ProgramFigures,
    StreamFigures,
    StreamFinding,
    Thresholds,
)

__all__ = [
    "INDICATORS",
    "Framer",
    "Gap",
    "Packets",
    "PcrFigures",
    "PidFigures",
    "ProgramFigures",
    "StreamFigures",
    "StreamFinding",
    "Thresholds",
    "TransportStream",
    "examine_untrusted",
]
