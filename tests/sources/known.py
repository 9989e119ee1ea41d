"""What is known to fail today, by the name of its entry, and why. An entry that passes again must leave this table."""

KNOWN: dict[str, str] = {
    "f5-other-pids-after-the-jump": "the recordings are mixed with one another",
    "f5-tracks-of-two-epochs": "nothing is sent: the picture waits for the audio",
    "f6-a-beep-of-wav": "the PMT gives a language of nothing to one of two items of the same shape",
    "f13-aspect-in-the-container-alone": "it is lost without a word",
}
