"""The reader: plays one item after another as MPEG-TS, by FFmpeg or libvlc, in a process of its own."""
