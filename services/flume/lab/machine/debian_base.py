"""Debian's base system as a tar archive, made on this machine where no image registry answers."""

import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from flume.errors import SetupError
from flume.lab import progress
from flume.lab.machine import packages
from flume.lab.progress import Say

BASE_IMAGE_PACKAGES = {"mmdebstrap": "mmdebstrap"}
"""Program → Debian package, for :func:`bootstrap_base`."""


def bootstrap_base(target: Path, say: Say, *, interactive: bool = False, architecture: str | None = None) -> None:
    """Build Debian's base system as the tar archive *target*, for a machine where no image registry answers.

    Raises :class:`SetupError` with mmdebstrap's last line.
    """
    packages.install(
        BASE_IMAGE_PACKAGES, "no image registry answers, so the base image is built here", say, interactive
    )
    say("Building a Debian base image with mmdebstrap (about a minute, once): no image registry answers.")
    command = ["mmdebstrap", "--variant=minbase", *_base_options(architecture), "bookworm", str(target)]
    with progress.task("Debian base image", total=len(_BASE_STEPS), interactive=interactive) as bar:
        last = "no message"
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            for step, line in enumerate(_meaningful(process.stderr or ())):
                last = line
                bar.update(completed=min(step, len(_BASE_STEPS)), text=f"Debian base image: {line[3:60]}")
    if process.returncode:
        target.unlink(missing_ok=True)
        raise SetupError(f"mmdebstrap failed: {last}; run `{' '.join(command)}` to see all of it")


_BASE_STEPS = ("mode", "chroot", "update", "download", "extract", "essential", "install", "clean", "tar", "done")
"""Their number is the total of the progress bar: about as many messages as mmdebstrap prints."""


def _meaningful(lines: Iterable[str]) -> Iterator[str]:
    """Yield mmdebstrap's messages (``I:``, ``W:``, ``E:``) without its own progress bars."""
    return (line.strip() for line in lines if line[:2] in {"I:", "W:", "E:"})


def _base_options(architecture: str | None) -> list[str]:
    """Return the options that make the base as small as Debian's slim image: no manuals, no translations."""
    excluded = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
    options = ["--aptopt=APT::Install-Recommends false"]
    options += [f"--dpkgopt=path-exclude={pattern}" for pattern in excluded]
    options += ["--dpkgopt=path-include=/usr/share/doc/*/copyright"]
    return options + ([f"--architectures={architecture}"] if architecture else [])
