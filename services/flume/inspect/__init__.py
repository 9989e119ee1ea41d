"""``flume inspect``: the measures of every stream in a capture, a transport stream or a live address."""
