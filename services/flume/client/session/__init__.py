"""The session with the server: the control connection, the delivery windows, and recovery after a failure."""
