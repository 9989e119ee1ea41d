"""libvlc as an engine."""
