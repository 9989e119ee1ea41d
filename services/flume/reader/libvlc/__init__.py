"""The engine that reads by libvlc: devices, what FFmpeg cannot open, and transcode chains of VLC's."""
