"""All targets by name: functions that take any bytes, and raise nothing as long as the product keeps its word."""

from collections.abc import Callable, Mapping

from fuzz import (
    control_targets,
    evidence_targets,
    inspect_targets,
    measure_targets,
    media_targets,
    probe_targets,
    rtsp_targets,
    source_targets,
)
from support.paths import ROOT

Target = Callable[[bytes], None]

TARGETS: Mapping[str, Target] = {
    target.__name__: target
    for target in (
        control_targets.control_request,
        control_targets.control_answer,
        control_targets.process_frames,
        control_targets.reader_event,
        control_targets.player_event,
        control_targets.media_port,
        control_targets.doctor,
        media_targets.rtp_packet,
        media_targets.framer,
        media_targets.tables,
        media_targets.packetizer,
        media_targets.reception,
        measure_targets.stream_file,
        measure_targets.stream_packets,
        measure_targets.sent_frames,
        measure_targets.picture_name,
        evidence_targets.capture,
        evidence_targets.json_lines,
        evidence_targets.segments,
        evidence_targets.fragments,
        evidence_targets.statistics,
        inspect_targets.inspected,
        probe_targets.clock_datagram,
        probe_targets.path_datagram,
        probe_targets.underlay,
        rtsp_targets.rtsp_request,
        rtsp_targets.rtsp_response,
        rtsp_targets.rtcp,
        rtsp_targets.rtsp_evidence,
        source_targets.playlist,
        source_targets.programs,
        media_targets.relayed,
        media_targets.entries,
    )
}

CORPUS = ROOT / "tests" / "fuzz" / "corpus"
"""A folder for each target. Files of former crashes begin with ``crash-`` and stay."""

MAX_BYTES = 4096
"""Longest input."""


def any_target(data: bytes) -> None:
    """Give *data* to the target that its first byte names: all targets in one process."""
    if data:
        names = tuple(TARGETS)
        TARGETS[names[data[0] % len(names)]](data[1:])
