"""What `make dist` builds: it installs into an empty environment, and its programs run there.

Nothing comes from the network: the packages that the wheel requires are copied from the environment of the tests.
"""

import email
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pytest

from flume import __version__
from support.captures.rtp_streams import clean, without, write_pcap
from support.paths import ROOT

BUILT = (".git", ".venv", ".cache", "artifacts", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis")


def build(source: Path, kind: str, into: Path) -> Path:
    """Build the ``wheel`` or ``sdist`` of the folder *source*; return the file."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(into)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    [built] = into.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    shutil.copytree(ROOT, folder / "checkout", ignore=shutil.ignore_patterns(*BUILT), symlinks=True)
    return build(folder / "checkout", "sdist", folder / "dist")


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from nothing but the source distribution."""
    folder = tmp_path_factory.mktemp("wheel")
    # tarfile warns without a filter, and Debian 12's Python 3.11.2 knows none.
    subprocess.run(["tar", "-xf", str(sdist), "-C", str(folder)], check=True, timeout=60)
    return build(folder / sdist.name.removesuffix(".tar.gz"), "wheel", folder / "dist")


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that holds the wheel, what it requires, and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    [packages] = folder.glob("lib/python3*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"flumelab-{__version__}.dist-info/METADATA").decode()
    for name in required(email.message_from_string(text).get_all("Requires-Dist", [])):
        copy(metadata.distribution(name), packages)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    for arguments in (["install", "--quiet", "--no-deps", "--no-index", str(wheel)], ["check"]):
        done = subprocess.run([*pip, *arguments], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "bin"


@pytest.fixture(scope="module")
def inspecting(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment that holds the wheel, what its extra ``inspect`` requires, and nothing else."""
    folder = tmp_path_factory.mktemp("inspecting")
    venv.create(folder, symlinks=True)
    [packages] = folder.glob("lib/python3*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            archive.extract(name, packages)
        text = archive.read(f"flumelab-{__version__}.dist-info/METADATA").decode()
    lines = email.message_from_string(text).get_all("Requires-Dist", [])
    for name in required(lines, extra="inspect"):
        copy(metadata.distribution(name), packages)
    return folder / "bin" / "python"


def required(lines: Sequence[str], *, extra: str | None = None) -> set[str]:
    """Return the names in *lines* of ``Requires-Dist`` that all need, or *extra*, and what those require in turn."""
    wanted = [line for line in lines if ";" not in line or re.search(rf"; extra == ['\"]{extra}['\"]$", line)]
    direct = {re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in wanted}
    return direct.union(*(required(metadata.requires(name) or ()) for name in direct))


def copy(distribution: metadata.Distribution, packages: Path) -> None:
    """Copy the files of *distribution* to the folder *packages*, without its programs."""
    for file in distribution.files or ():
        if ".." not in file.parts and file.suffix != ".pyc":
            (packages / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file.locate(), packages / file)


def test_the_source_distribution_holds_what_people_build_and_test_with(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "pyproject.toml",
        "requirements/dev.lock",
        "Makefile",
        "LICENSE",
        "README.md",
        "services/flume/py.typed",
        "compose/lab.yaml",
        "netem/profiles/lte.toml",
        "tests/conftest.py",
    } <= names
    assert not [name for name in names if name.startswith((".venv", ".cache", ".git/", "artifacts"))]


def test_the_wheel_holds_the_package_its_types_and_its_templates_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    page = ("templates/report.html.j2", "scripts/page.js", "styles/page.css", "vendored/uplot-1.6.32/LICENSE")
    assert {"flume/py.typed", *(f"flume/lab/report/{name}" for name in page)} <= set(names)
    assert {name.partition("/")[0] for name in names} == {"flume", f"flumelab-{__version__}.dist-info"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--version"], f"{__version__}\n"), (["serve", "--help"], "--host"), (["watch", "--help"], "--transport")],
    ids=["version", "serve", "watch"],
)
def test_the_programs_run_from_the_wheel_alone(programs: Path, tmp_path: Path, arguments: list[str], said: str) -> None:
    command = [str(programs / "flume"), *arguments]
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


def test_a_program_that_uses_the_wheel_sees_its_types(programs: Path) -> None:
    where = subprocess.run(
        [programs / "python", "-c", "import flume; print(flume.__path__[0])"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    package = Path(where.stdout.strip())
    assert ROOT not in package.parents
    assert (package / "py.typed").is_file()


def test_the_extra_for_inspection_is_enough_for_it_and_brings_nothing_of_the_other_programs(
    inspecting: Path, tmp_path: Path
) -> None:
    capture = write_pcap(tmp_path / "tap.pcap", without(clean(), 100)).path
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(tmp_path)}

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [str(inspecting), *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    for absent in ("docker", "av", "vlc", "jinja2", "yaml", "imageio_ffmpeg", "scipy", "pip"):
        assert "ModuleNotFoundError" in run("-c", f"import {absent}").stderr
    done = run("-m", "flume.cli", "inspect", str(capture), "--junit", "junit.xml", "--fail-if", "lost>0")
    assert (done.returncode, done.stderr) == (1, "")
    assert "loss at packet 101" in done.stdout
    assert (tmp_path / "junit.xml").exists()
    other = run("-m", "flume.cli", "lab", "status")
    assert other.stderr.startswith("flume: 'flume lab' needs the package ")
