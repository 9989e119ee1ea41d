"""The counters of the packetizer, as one value."""

import msgspec


class PacketizerStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counters over all items so far. Codecs and *video_pid* (outgoing) describe the present item."""

    items: int
    datagrams: int
    packets: int
    random_access_points: int
    null_packets: int
    """Written to fill up a datagram: the one before a random access point, and the last one of an item."""
    unreferenced_packets: int
    """Dropped: their PID is not in the PMT. Null packets and service tables are dropped without being counted."""
    damaged_packets: int
    """Dropped: marked with transport_error_indicator."""
    resyncs: int
    skipped_bytes: int
    continuity_gaps: int
    """How often packets were missing in the source: continuity counters jump in the output, too."""
    duplicate_packets: int
    """Dropped: equal to the packet before on their PID. The standard allows one repetition."""
    damaged_tables: int
    """PAT and PMT sections with a wrong CRC. The tables before them stay valid."""
    table_changes: int
    """How often a PMT changed inside an item."""
    pcr_jumps: int
    """How often a PCR went back inside an item, or was too far ahead to be believed."""
    timestamp_jumps: int
    """How often the timestamps of an item's streams jumped without its PCR. The streams continued where they were."""
    pcr_gaps: int
    """How often no PCR came for too long, so that PCRs were estimated from timestamps."""
    stray_timestamps: int
    """PES whose timestamps fit neither their stream nor the PCR. They were placed where their stream continues."""
    overrun_packets: int
    """Left out between :meth:`~flume.media.packetizer.Packetizer.skip` and the packet at which the stream continued."""
    cut_pes: int
    """PES of declared length, mostly audio, that an item's end cut off: replaced by null packets."""
    unclocked_datagrams: int
    """Their due time was extrapolated at the last known rate, because no PCR came in time."""
    rate_limited_datagrams: int
    """Sent later than their PCR says, because they came at a rate that is absurd for their item."""
    inserted_parameter_sets: int
    """Random access points without parameter sets of their own, into which those that came before were put."""
    video_codec: str | None
    audio_codecs: tuple[str, ...]
    video_pid: int | None
