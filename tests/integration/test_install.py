"""What `make` installs from a package index is checked by its hash; nothing is installed in its place.

The index is a folder with one small wheel, and the project a small one that builds itself: nothing comes from the
network.
"""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from support.paths import ROOT

BACKEND = """
import zipfile

METADATA = "Metadata-Version: 2.1\\nName: itself\\nVersion: 1\\nRequires-Dist: never\\n"

def build_editable(folder, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(f"{folder}/itself-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("itself.py", "")
        wheel.writestr("itself-1.dist-info/METADATA", METADATA)
        wheel.writestr("itself-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("itself-1.dist-info/RECORD", "")
    return "itself-1-py3-none-any.whl"
"""

PYPROJECT = """
[build-system]
requires = ["never-installed"]
build-backend = "backend"
backend-path = ["."]
"""


def wheel(path: Path, *, code: str) -> str:
    """Write the wheel of a package with one module; return its hash."""
    files = {
        "example.py": code,
        "example-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: example\nVersion: 1\n",
        "example-1.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},sha256={_digest(text)},{len(text)}\n" for name, text in files.items())
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, "example-1.dist-info/RECORD": record}.items():
            archive.writestr(name, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environment") / ".venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=120)
    return folder


@pytest.fixture
def checkout(tmp_path: Path, environment: Path) -> Path:
    """The Makefile, a project that builds itself, a folder ``index``, and locks that name what it holds."""
    shutil.copy2(ROOT / "Makefile", tmp_path)
    (tmp_path / "backend.py").write_text(BACKEND, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (tmp_path / ".venv").symlink_to(environment)
    for folder in ("index", "requirements"):
        (tmp_path / folder).mkdir()
    digest = wheel(tmp_path / "index" / "example-1-py3-none-any.whl", code="HONEST = True\n")
    for name in ("lab.lock", "dev.lock"):
        (tmp_path / "requirements" / name).write_text(f"example==1 \\\n    --hash=sha256:{digest}\n", encoding="utf-8")
    return tmp_path


def install(checkout: Path, stamp: str) -> "subprocess.CompletedProcess[str]":
    for each in ("lab", "dev"):
        (checkout / ".venv" / f".stamp-{each}").unlink(missing_ok=True)
    for path in checkout.glob(".venv/lib/python*/site-packages/*"):
        if path.name.startswith(("example", "itself")):  # of the test before
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(checkout / "index"), "PIP_CONFIG_FILE": os.devnull}
    command = ["make", "--no-print-directory", f".venv/.stamp-{stamp}"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "MAKE"))}
    return subprocess.run(
        command, cwd=checkout, env=inherited | settings, capture_output=True, text=True, timeout=120, check=False
    )


def has(checkout: Path, module: str) -> bool:
    command = [str(checkout / ".venv/bin/python"), "-I", "-c", f"import {module}"]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


def test_what_is_locked_is_installed_and_nothing_that_the_project_or_its_build_asks_for_beside_it(
    checkout: Path,
) -> None:
    done = install(checkout, "dev")
    assert done.returncode == 0, done.stdout + done.stderr
    assert has(checkout, "example")
    assert has(checkout, "itself")
    assert (checkout / ".venv" / ".stamp-dev").exists()


@pytest.mark.parametrize("stamp", ["lab", "dev"])
def test_a_wheel_that_is_not_the_one_in_the_lock_is_refused(checkout: Path, stamp: str) -> None:
    wheel(checkout / "index" / "example-1-py3-none-any.whl", code="HONEST = False\n")
    done = install(checkout, stamp)
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert not has(checkout, "example")
    assert not (checkout / ".venv" / f".stamp-{stamp}").exists()


def test_a_package_without_a_hash_is_refused(checkout: Path) -> None:
    (checkout / "requirements" / "dev.lock").write_text("example==1\n", encoding="utf-8")
    done = install(checkout, "dev")
    assert done.returncode != 0
    assert "--require-hashes" in done.stderr
    assert not has(checkout, "example")
