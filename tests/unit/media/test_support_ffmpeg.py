"""The ffmpeg that makes and decodes the videos of tests: started again after EFAULT."""

import errno
import os
import subprocess

import pytest

from support.media import ffmpeg


def failing(monkeypatch: pytest.MonkeyPatch, *errors: int) -> list[int]:
    """Let the first starts of programs fail with *errors*, one after the other; return those that did."""
    failed: list[int] = []
    run = subprocess.run

    def fails(*arguments, **options):
        if len(failed) < len(errors):
            failed.append(errors[len(failed)])
            raise OSError(failed[-1], os.strerror(failed[-1]))
        return run(*arguments, **options)

    monkeypatch.setattr(subprocess, "run", fails)
    monkeypatch.setattr(ffmpeg, "PAUSE_S", 0.0)
    return failed


def test_it_is_started_again_after_efault(monkeypatch):
    failed = failing(monkeypatch, errno.EFAULT, errno.EFAULT)
    assert ffmpeg.call("-version").stdout.startswith(b"ffmpeg version")
    assert failed == [errno.EFAULT] * 2


@pytest.mark.parametrize("errors", [(errno.EFAULT,) * 3, (errno.ENOENT,), (errno.EFAULT, errno.EACCES)])
def test_what_does_not_pass_is_an_error(monkeypatch, errors):
    failed = failing(monkeypatch, *errors)
    with pytest.raises(OSError, match=os.strerror(errors[-1])):
        ffmpeg.call("-version")
    assert failed == list(errors)
