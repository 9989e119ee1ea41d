"""The bytes of datagrams on the disk."""

from pathlib import Path

import pytest

from flume.errors import LabError
from flume.lab.evidence.store import Store

PACKET = b"\x47" + bytes(187)


def test_what_was_kept_comes_back_without_the_header_of_rtp(tmp_path: Path) -> None:
    with Store(tmp_path / "datagrams") as store:
        store.keep(b"a", bytes((0x80, 33)) + bytes(10) + PACKET * 7)
        store.keep(b"b", PACKET * 2)
        store.keep(b"c", b"no packet")
        assert [store.packets(name) for name in (b"b", b"a", b"c")] == [PACKET * 2, PACKET * 7, b""]
        with pytest.raises(KeyError):
            store.packets(b"never kept")


def test_a_full_disk_is_one_line() -> None:
    full = pytest.raises(LabError, match="/dev/full cannot be written: No space left on device; make room there")
    with Store(Path("/dev/full")) as store, full:
        store.keep(b"a", PACKET * 7)
