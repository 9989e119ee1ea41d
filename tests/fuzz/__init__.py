"""Coverage-guided fuzzing of every parser that takes bytes from a network, a capture, another process or a file."""
