"""A server with the settings that people have, as a program: ``python -m support.plain_server HOST PORT``."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from flume.server.app import Server
from flume.settings import ServerSettings
from support.namespaces import SERVER_ADDRESS, WirePair
from support.synthetic import SyntheticSource

ROOT = Path(__file__).parents[2]
PORT = 5004
ENVIRONMENT = {"PYTHONPATH": f"{ROOT / 'services'}:{ROOT / 'tests'}", "PATH": os.environ["PATH"]}


@contextlib.contextmanager
def served(pair: WirePair, host: str = SERVER_ADDRESS) -> Iterator[None]:
    """Such a server in its namespace of *pair*; it has to end well."""
    program = (sys.executable, "-m", "support.plain_server", host, str(PORT))
    process = subprocess.Popen(pair.inside(pair.server, *program), stdout=subprocess.PIPE, env=ENVIRONMENT)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 0


async def serve(host: str, port: int) -> None:
    """Serve until SIGTERM; say ``ready`` once clients are accepted."""
    server = Server(SyntheticSource(), ServerSettings(host=host, port=port))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    await server.start()
    print("ready", flush=True)
    await server.run()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
