"""The server: reads one video, sends it to many clients over UDP, obeys each over TCP."""
