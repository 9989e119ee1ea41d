"""Commands from a terminal, a file or a script, and the views of a client."""
