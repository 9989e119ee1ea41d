"""The control protocol as a pure core: bytes in, values out, a table of states. No socket, clock or thread."""
