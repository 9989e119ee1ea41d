"""The commands of ``flume lab``."""
