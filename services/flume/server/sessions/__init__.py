"""One client, from its first command to its end, in no dialect."""
