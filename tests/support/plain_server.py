"""A server with the settings that people have, as a program: ``python -m support.plain_server HOST PORT``."""

import asyncio
import signal
import sys

from flume.server.app import Server
from flume.settings import ServerSettings
from support.synthetic import SyntheticSource


async def serve(host: str, port: int) -> None:
    """Serve until SIGTERM; say ``ready`` once clients are accepted."""
    server = Server(SyntheticSource(), ServerSettings(host=host, port=port))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    await server.start()
    print("ready", flush=True)
    await server.run()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
