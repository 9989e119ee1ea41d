"""What each process of a server loads: a module that is not needed costs every server its memory, up to 5 MB."""

import os
import subprocess
import sys

import click
import pytest

from flume import cli
from flume.errors import FlumeError

HTTP = {"http.client", "urllib.request", "email"}
"""What fetches playlists."""

OPENSSL = {"ssl", "_ssl", "hashlib", "_hashlib"}
"""5 MB. The server's event loop brings it in."""


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
        ("flume.reader.__main__", {*HTTP, *OPENSSL, "av", "vlc", "asyncio", "subprocess", "ctypes", "json", "click"}),
        (
            "flume.reader.ffmpeg.engine",
            {*HTTP, *OPENSSL, "vlc", "asyncio", "subprocess", "ctypes", "json", "click", "numpy"},
        ),
        ("flume.parent_link", {*HTTP, *OPENSSL, "asyncio", "subprocess", "ctypes", "typing", "re", "logging"}),
    ],
)
def test_a_process_loads_nothing_that_it_does_not_need(module: str, unneeded: set[str]) -> None:
    loaded = modules_after(module)
    assert module in loaded
    assert not loaded & unneeded


def test_a_command_whose_folder_is_left_out_as_in_an_image_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cli._COMMANDS, "inspect", ("flume.inspected.cli", "inspect", "Not here."))
    with pytest.raises(
        FlumeError, match=r"^'flume inspect' is not part of this image: pip install 'flumelab\[inspected\]'$"
    ):
        cli.LazyGroup("flume").get_command(click.Context(click.Command("flume")), "inspect")
