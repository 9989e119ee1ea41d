"""FFmpeg as an engine: an item's packets with their own timestamps, in order, as one program of MPEG-TS."""
