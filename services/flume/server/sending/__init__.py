"""The hot path: datagrams from the ring to every recipient."""
