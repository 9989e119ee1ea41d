"""What speaks a dialect: bytes of a control connection to commands, and replies and events to bytes."""
