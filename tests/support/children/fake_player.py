"""The player's process without libvlc, for tests: FAKE_PLAYER in the environment says what it does.

``plays``: it reports one frame more each time; ``fails``: it cannot start; ``hangs``: it starts and answers nothing;
``silent``: it does not even start; ``babbles``: it sends what is no event; ``grows``: it takes 200 MB; ``frozen``: it
plays, and stops answering after three reports. Where pictures are recorded, the number of each is that of the report.
"""

import json
import os
import socket
import sys
import time

from flume.parent_link import MESSAGE, ParentLink

MODE = os.environ["FAKE_PLAYER"]


def main() -> None:
    link = ParentLink(sys.argv, name="fake-player")
    media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    media.bind(("127.0.0.1", 0))
    kept: list[bytearray] = []
    expected, first_s, frames, record = 0, None, 0, False

    def say(**event: object) -> None:
        link.send(MESSAGE, json.dumps(event).encode())

    def obey(message: bytes) -> None:
        nonlocal expected, first_s, frames, record
        command = json.loads(message)
        if command["type"] == "play":
            expected, record = command["expected"], command["record"]
            if MODE == "fails":
                say(type="failed", reason="libvlc has no plug-ins: install them")
            elif MODE == "babbles":
                say(type="report", frames="many")
            elif MODE != "silent":
                say(type="listening", port=media.getsockname()[1])
            if MODE == "grows":
                kept.append(bytearray(200 << 20))
        elif command["type"] == "expect":
            expected, first_s = command["number"], None
        elif command["type"] == "ask" and MODE != "hangs" and (MODE, frames) != ("frozen", 3):
            frames += 1
            first_s = first_s or time.monotonic()
            shown = [[time.monotonic(), frames]] if record else []
            say(type="report", frames=frames, last_s=time.monotonic(), expected=expected, first_s=first_s, shown=shown)

    link.run(obey)


if __name__ == "__main__":
    main()
