"""The example for authors of a source does what its description says."""

import io
import re
import textwrap
from pathlib import Path
from typing import Any

from flume.server.sources import source
from flume.server.sources.ingest import Ingest
from support.media.ts_stream import Check, item


def example_of(text: str) -> str:
    """The indented block after the last ``Example::``."""
    block = re.search(r"(?:\n(?: {4}.*)?)+", text.rpartition("Example::")[2])
    assert block is not None
    return textwrap.dedent(block[0])


def test_the_example_source_plays_a_file_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "clip.ts"
    path.write_bytes(item(frames=10))
    made: dict[str, Any] = {
        "Server": lambda made_source, _: made_source,
        "ServerSettings": dict,
        "path": path,
        "io": io,
    }
    exec(example_of(source.__doc__ or ""), vars(source) | made, made)  # noqa: S102 - our own documentation
    ingest = Ingest(made["server"])
    while ingest.lead_s() < 1.0:
        ingest._read_once()
    check = Check(b"".join(datagram.payload for datagram in ingest.take(1000.0)))
    assert check.continuity_errors == 0
    assert len(check.pes[0x100]) >= 20, "two times ten frames, and more"
    assert ingest.source_counts() == {}
    ingest.close()
