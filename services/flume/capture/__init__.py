"""Capture files, and the layers in them: frames, segments, payloads. Pure, but for the reader of files."""
