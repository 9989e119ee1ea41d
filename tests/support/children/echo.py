"""A child process for tests: it answers each message with itself, or does what the message names."""

import sys

from flume.child_process import MESSAGE, ParentLink


def main() -> None:
    """Serve the parent until it has gone."""
    link = ParentLink(sys.argv, name="flume-echo")
    kept = bytearray()

    def obey(message: bytes) -> None:
        if message == b"raise":
            raise OSError("as asked")
        if message == b"grow":
            kept.extend(bytes(256 << 20))
        link.send(MESSAGE, message)

    link.run(obey)


if __name__ == "__main__":
    main()
