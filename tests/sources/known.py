"""What is known to fail today, by the name of its entry, and why. An entry that passes again must leave this table."""

_END = "the last audio frames of a track that ends early come late"
_PCR = "too long between two PCRs where pictures are more than a second apart"
_SETS = "parameter sets are not sent again where a client joins"
_REORDER = "the delay of B-frames becomes silence at a seam"

KNOWN: dict[str, str] = {
    "f1-sound-ends-early": _END,
    "f1-second-sound-ends-early": _END,
    "f1-first-sound-ends-early": _END,
    "f1-sound-ends-early-over-loops": _END,
    "f1-transcoded-sound-ends-early": _END,
    "f1-picture-ends-early": _PCR,
    "f1-hole-in-the-picture": _PCR,
    "f3-a-picture-in-two-seconds": _PCR,
    "f3-a-picture-in-ten-seconds": _PCR,
    "f3-slides-in-a-ts": _PCR,
    "f3-screen-that-does-not-change-mkv": _PCR,
    "f6-one-picture-mkv-with-sound": _PCR,
    "f3-one-picture-a-second": _REORDER,
    "f3-picture-png-between-films": _REORDER,
    "f5-other-pids-after-the-jump": "the recordings are mixed with one another",
    "f7-sets-change-in-the-middle": "two pictures have one time where the recordings meet",
    "raw-hevc": "two pictures have one time",
    "f13-teletext": "its times are not those of the picture",
    "offset-of-picture": "audio comes late at a seam",
    "f7-intra-refresh": _SETS,
    "f7-mpeg2-sequence-header-only-once": _SETS,
    "f7-one-keyframe-beyond-the-ring": "nothing says that no picture comes",
    "growing": "the reader reads ahead to the present end of the file, and takes it for the end of the recording",
}
