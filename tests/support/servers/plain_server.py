"""A server with the settings that people have, as a program.

``python -m support.servers.plain_server HOST PORT [OPTION…]``; the options are ``--sender KIND``, ``--bitrate KBIT``,
``--gop FRAMES`` of a group of pictures, ``--set KEY=JSON`` for any other setting. ``--unread SECONDS`` shortens the
time for which an unread or unacknowledged connection is kept, which is no setting.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence

from flume.server.app import Server
from flume.server.fronts import connection
from flume.settings import ServerSettings
from support.media.synthetic import GOP_FRAMES, SyntheticSource
from support.namespaces import SERVER_ADDRESS, WirePair
from support.servers.program import running

PORT = 5004


@contextlib.contextmanager
def plain_server(
    pair: WirePair, host: str = SERVER_ADDRESS, *, port: int = PORT, options: Sequence[str] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """Such a server in its namespace of *pair*; it has to end well."""
    program = (sys.executable, "-m", "support.servers.plain_server", host, str(port), *options)
    with running(pair.inside(pair.server, *program)) as process:
        yield process


@contextlib.contextmanager
def served(pair: WirePair, host: str = SERVER_ADDRESS, *, options: Sequence[str] = ()) -> Iterator[None]:
    """:func:`plain_server` where nothing is done to its process."""
    with plain_server(pair, host, options=options):
        yield


async def serve(options: argparse.Namespace) -> None:
    """Serve until SIGTERM; say ``ready`` once clients are accepted."""
    others = {key: json.loads(value) for key, _, value in (word.partition("=") for word in options.set)}
    settings = ServerSettings(host=options.host, port=options.port, sender=options.sender, **others)
    server = Server(SyntheticSource(bitrate_kbit=options.bitrate, gop_frames=options.gop), settings)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    await server.start()
    print("ready", flush=True)
    await server.run()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--sender", default="auto")
    parser.add_argument("--bitrate", type=int, default=2000)
    parser.add_argument("--gop", type=int, default=GOP_FRAMES)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--unread", type=float, metavar="SECONDS")
    chosen = parser.parse_args()
    if chosen.unread is not None:
        connection.USER_TIMEOUT_MS = round(chosen.unread * 1000)
    asyncio.run(serve(chosen))
