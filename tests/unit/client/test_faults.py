"""What a server reports as wrong, in words."""

import msgspec

from flume.client.faults import describe_faults
from flume.control.messages import ServerStatus

SERVER = ServerStatus(
    uptime_s=1.0, source="film", ingest="running", sessions=1, active=1, datagrams=9, segmentation=True, drops={}
)


def test_faults_are_named_and_nothing_else():
    assert describe_faults(SERVER) == ""
    bad = msgspec.structs.replace(
        SERVER,
        source_counts={"stalls": 2, "pcr_jumps": 1},
        fallbacks={"segmentation_eio": 3},
        drops={"send_buffer_full": 7},
    )
    words = "; the source: stalls 2, pcr_jumps 1; sent singly: segmentation_eio 3; not sent: send_buffer_full 7"
    assert describe_faults(bad) == words
