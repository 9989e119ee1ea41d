"""Puts another server on trial in a lab: it replaces the real one by means of `--topology` and `--video`."""

import zipfile
from pathlib import Path
from typing import Any

import yaml

from support.paths import ROOT

MAIN = """
import asyncio, sys, zipfile
from flume.server.sources.item_source import ItemSource
from flume.server.sources.expand import expand
from support.servers import broken_server
with zipfile.ZipFile(sys.argv[0]) as archive:
    film = archive.extract("film.mp4", "/tmp")
source = ItemSource(expand([film]))
asyncio.run(broken_server.serve(sys.argv[1], "0.0.0.0", 5004, ready='{"event": "listening"}', source=source))
"""

PAUSES = """
description = "one stays, the others are interrupted"
duration_s = {duration_s}
[[part]]
name = "steady"
commands = "connect; wait 100%"
[[part]]
name = "pauses"
commands = "connect; wait 50%; interrupt; wait 50%"
[[part]]
name = "pauses, in words of its own"
commands = "connect; wait 50%; interrupt; wait 50%"
"""
"""A scenario in which servers that stream on after an interrupt are caught; it lasts *duration_s*."""


def broken_server_program(path: Path, film: Path) -> Path:
    """Write the broken servers as one file that Python runs; the lab carries it to the container as its video.

    They stream *film*, which is in the file too: other people's players need one.
    """
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("__main__.py", MAIN)
        archive.write(film, "film.mp4")
        for package in ("support", "support/servers", "support/media"):
            archive.writestr(f"{package}/__init__.py", "")
        for name in ("servers/broken_server.py", "servers/broken_rtsp.py", "media/synthetic.py"):
            archive.write(ROOT / "tests" / "support" / name, f"support/{name}")
    return path


def topology(path: Path, **changes: Any) -> Path:
    """Write compose/lab.yaml with *changes*, ``section__name={key: value}``, to *path*."""
    document = yaml.safe_load((ROOT / "compose" / "lab.yaml").read_text())
    for where, values in changes.items():
        section, name = where.split("__")
        document[section][name] = {**(document[section][name] or {}), **values}
    path.write_text(yaml.safe_dump(document))
    return path


def udp_only(folder: Path) -> Path:
    """Return a description of the lab whose clients never fall back to TCP."""
    client = yaml.safe_load((ROOT / "compose" / "lab.yaml").read_text())["services"]["client"]
    return topology(folder / "lab.yaml", services__client={"command": [*client["command"], "--transport", "udp"]})
