"""One run of a lab at a time: a lock that ends with its process, so that a killed run leaves none held."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from flume.errors import LabError
from flume.lab.containers import topology


@contextlib.contextmanager
def only_one(lab: str) -> Iterator[None]:
    """Hold the lock of lab *lab* in the body. Raises :class:`LabError` while another run holds it."""
    path = Path(tempfile.gettempdir()) / f"flumelab-{topology.check_lab_name(lab)}.lock"
    try:
        file = _open_locked(path)
    except BlockingIOError as error:
        raise LabError(
            f"another run of lab {lab!r} is under way: wait for its end, or give this one another name (LAB=name)"
        ) from error
    except OSError as error:
        raise LabError(f"the lock {path} cannot be taken: {error.strerror}; give the lab another name") from error
    with file:
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def remove_left_over(lab: str) -> None:
    """Remove the lock file that a killed run of *lab* left; a lock that is held is not touched."""
    with contextlib.suppress(LabError), only_one(lab):
        pass  # releasing the lock removes its file


def _open_locked(path: Path) -> TextIO:
    """Return the file at *path*, locked; raises :class:`OSError`."""
    while True:
        file = path.open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its last owner may have removed it between open and flock: then this lock excludes no other run.
            if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return file
        except BaseException:
            file.close()
            raise
        file.close()
