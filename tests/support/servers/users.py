"""A file of users for a server under test, and the secret of the user in it."""

from pathlib import Path

from flume.server.access.hashing import make_hash

SECRET = "correct horse battery staple"


def write(folder: Path) -> str:
    """Write a file with the user ``ann``, whose secret is :data:`SECRET`; return its path."""
    path = folder / "users"
    path.touch(mode=0o600)
    path.write_text(f"ann:{make_hash(SECRET)}\n")
    return str(path)
