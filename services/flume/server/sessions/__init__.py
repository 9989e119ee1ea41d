"""One client, from its first command to its end: commands, replies and events as values, in no dialect."""
