"""A protocol client of its own, with sockets and json alone: nothing of flume is imported.

    python3 examples/client_in_40_lines.py localhost 5004 3

connects, proves that it wants the stream by sending the token and what the server answers, counts RTP datagrams for 3
seconds, interrupts, and compares its count with the server's.
"""

import contextlib
import json
import socket
import sys
import time


def read_message(lines, key):
    """Print the server's messages up to the first one that has *key*, and return that one."""
    for line in lines:
        print(line.strip())
        message = json.loads(line)
        if message.get("reply") == "error" or message.get("event") == "closed":
            sys.exit(message["message"])
        if key in message:
            return message
    sys.exit("the server closed the control connection")


def count_datagrams(media, token, until_s):
    """Return how many RTP datagrams arrive before *until_s*; send back what asks whether this port wants them."""
    datagrams = 0
    with contextlib.suppress(TimeoutError):
        while (left_s := until_s - time.monotonic()) > 0:
            media.settimeout(left_s)
            if (data := media.recv(2048)).startswith(token):
                media.send(data)
            datagrams += data[0] >> 6 == 2  # RTP version 2 (RFC 3550, section 5.1)
    return datagrams


def main(host, port, seconds):
    """Receive the stream of the server at *host* for *seconds*."""
    control = socket.create_connection((host, port), timeout=10)
    lines = control.makefile("r", encoding="utf-8")
    control.sendall(b'{"command":"connect"}\n')
    session = read_message(lines, "reply")
    media = socket.socket(control.family, socket.SOCK_DGRAM)
    media.connect((control.getpeername()[0], session["port"]))
    token, datagrams, end_s = session["token"].encode(), 0, time.monotonic() + seconds
    while time.monotonic() < end_s:  # the token repeats: without it the server stops sending after some seconds
        media.send(token)
        datagrams += count_datagrams(media, token, min(end_s, time.monotonic() + session["token_interval_ms"] / 1000))
    control.sendall(b'{"command":"interrupt"}\n')
    window = read_message(lines, "reply")
    datagrams += count_datagrams(media, token, time.monotonic() + 0.2)  # the last ones may still be on their way
    print(f"received {datagrams} datagrams of {window['datagrams']} sent")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
