"""What is known to fail today, by the name of its entry, and why. An entry that passes again must leave this table."""

KNOWN: dict[str, str] = {}
