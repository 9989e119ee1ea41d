"""Files travel into and out of containers unchanged, as streams."""

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.lab.containers import archive


@given(sizes=st.lists(st.sampled_from([0, 1, 511, 512, 513, 1 << 20, (1 << 20) + 1]), min_size=1, max_size=3))
def test_what_is_packed_unpacks_the_same(sizes: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Any size, on and off the tar format's block boundaries."""
    folder = tmp_path_factory.mktemp("archive")
    files = {}
    for number, size in enumerate(sizes):
        path = folder / f"in-{number}"
        path.write_bytes(bytes([number + 1]) * size)
        files[f"name-{number}"] = path
    written = archive.unpack_files(archive.pack(files), folder / "out")
    assert [path.name for path in written] == list(files)
    assert [path.read_bytes() for path in written] == [path.read_bytes() for path in files.values()]


def test_progress_reaches_the_total(tmp_path: Path) -> None:
    """The last report is the whole."""
    path = tmp_path / "video"
    path.write_bytes(bytes(3 << 20))
    seen: list[tuple[int, int]] = []
    for _ in archive.pack({"video": path}, progress=lambda done, total: seen.append((done, total))):
        pass
    assert [done for done, _ in seen] == [1 << 20, 2 << 20, 3 << 20]
    assert seen[-1] == (3 << 20, 3 << 20)


def test_a_name_does_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    """Only the last part of a name counts."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        info = tarfile.TarInfo("../../../evil")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    assert archive.unpack_files([data.getvalue()], tmp_path / "out") == [tmp_path / "out" / "evil"]


def test_a_cut_archive_is_an_error(tmp_path: Path) -> None:
    """A capture that arrives in part must not look like a short capture."""
    path = tmp_path / "a"
    path.write_bytes(bytes(5000))
    whole = b"".join(archive.pack({"a": path}))
    with pytest.raises(tarfile.TarError):
        archive.unpack_files([whole[:3000]], tmp_path / "out")


def test_a_file_that_shrinks_is_an_error(tmp_path: Path) -> None:
    """Its header has promised more."""
    path = tmp_path / "a"
    path.write_bytes(bytes(3 << 20))
    chunks = archive.pack({"a": path})
    next(chunks)
    next(chunks)
    path.write_bytes(b"")
    with pytest.raises(OSError, match="became shorter"):
        list(chunks)
