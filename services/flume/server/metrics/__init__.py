"""The server's figures for Prometheus: ``flume serve --metrics PORT``."""
