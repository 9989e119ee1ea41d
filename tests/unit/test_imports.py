"""What each process of a server loads: a module that is not needed costs every server its memory, up to 5 MB."""

import os
import subprocess
import sys

import pytest

HTTP = {"http.client", "urllib.request", "email", "tempfile", "ssl", "_ssl", "hashlib", "_hashlib"}
"""What fetches playlists; with OpenSSL it takes 7 MB."""


def run(program: str) -> str:
    """Return what *program* prints, in a fresh process. -S: without modules of this machine's own."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        [sys.executable, "-P", "-S", "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def modules_after(module: str) -> set[str]:
    return set(run(f"import sys, {module}; print(*sys.modules)").split())


@pytest.mark.parametrize(
    ("module", "unneeded"),
    [
        ("flume.server.cli", {*HTTP, "av", "vlc", "flume.client", "flume.lab", "rich", "numpy"}),
        ("flume.reader.__main__", {*HTTP, "av", "vlc", "asyncio", "subprocess", "ctypes", "json", "click"}),
        ("flume.reader.ffmpeg.engine", {*HTTP, "vlc", "asyncio", "subprocess", "ctypes", "json", "click", "numpy"}),
        ("flume.parent_link", {*HTTP, "asyncio", "subprocess", "ctypes", "typing", "re", "logging"}),
    ],
)
def test_a_process_loads_nothing_that_it_does_not_need(module: str, unneeded: set[str]) -> None:
    loaded = modules_after(module)
    assert module in loaded
    assert not loaded & unneeded


def test_a_server_whose_event_loop_has_no_tls_still_fetches_over_https() -> None:
    program = """
import sys, flume.server.cli, asyncio
assert asyncio.sslproto.ssl is None and "ssl" not in sys.modules
from flume.errors import SourceError
from flume.server.sources.fetching import fetch_untrusted
import socket, threading
listener = socket.create_server(("127.0.0.1", 0))
def answer():
    connection, _ = listener.accept()
    hello = connection.recv(3)
    print(hello[0] == 22 and "a TLS handshake")  # RFC 8446, 5.1
    connection.close()
thread = threading.Thread(target=answer)
thread.start()
try:
    fetch_untrusted(f"https://127.0.0.1:{listener.getsockname()[1]}/list.m3u", timeout_s=5)
except SourceError as error:
    print(error)
thread.join()
"""
    assert run(program).startswith("a TLS handshake\n")


def test_a_program_that_uses_asyncio_with_tls_keeps_it() -> None:
    assert run("import asyncio, flume.server.cli; print(asyncio.sslproto.ssl.__name__)") == "ssl\n"
    assert run("import ssl, flume.server.cli, asyncio; print(asyncio.sslproto.ssl.__name__)") == "ssl\n"
    assert run("import flume.server.app, asyncio; print(asyncio.sslproto.ssl.__name__)") == "ssl\n"
