"""The checkout of flumelab that this package runs from, and what the lab reads and keeps in it.

Functions, not constants: an installed wheel has no checkout, and ``flume lab --help`` must work there too. Each raises
:class:`~flume.errors.SetupError` where there is none.
"""

from pathlib import Path

from flume.errors import SetupError


def project_root() -> Path:
    """Return the top of the checkout."""
    root = Path(__file__).resolve().parents[3]
    if not (root / "compose" / "images" / "Dockerfile").is_file():
        raise SetupError(f"the lab builds its images from a checkout of flumelab, and {root} is none: clone it first")
    return root


def profiles() -> Path:
    """Return the folder of the link profiles."""
    return project_root() / "netem" / "profiles"


def firewalls() -> Path:
    """Return the folder of the firewall scenarios."""
    return project_root() / "netem" / "firewall"


def scenarios() -> Path:
    """Return the folder of the scenarios of a run."""
    return project_root() / "compose" / "scenarios"


def studies() -> Path:
    """Return the folder of the studies."""
    return project_root() / "compose" / "studies"


def lab_yaml() -> Path:
    """Return the description of the lab's containers."""
    return project_root() / "compose" / "lab.yaml"


def cache() -> Path:
    """Return the folder of what can be fetched or made again; it may not exist yet."""
    return project_root() / ".cache"
