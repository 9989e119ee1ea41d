"""An image is built again exactly when something that goes into it changes."""

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from flume.errors import SetupError
from flume.lab.checkout import project_root
from flume.lab.containers import images
from flume.lab.containers.images import Inputs


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    """A copy of the real inputs, small enough to copy for each test."""
    root = project_root()
    for folder in ("compose", "requirements"):
        shutil.copytree(root / folder, tmp_path / folder)
    for folder in ("flume", "probe", "wire", "players"):
        shutil.copytree(root / "services" / folder, tmp_path / "services" / folder)
    return Inputs(tmp_path)


def _append(*parts: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        path = root.joinpath(*parts)
        path.write_text((path.read_text() if path.exists() else "") + "\n# changed\n")

    return change


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        (_append("services", "flume", "server", "app.py"), {"server", "client"}),
        (_append("services", "flume", "new_module.py"), {"server", "client"}),
        (_append("requirements", "images.lock"), {"server", "client"}),
        (_append("compose", "images", "flume"), {"server", "client"}),
        (_append("services", "probe", "tap.sh"), {"probe"}),
        (_append("services", "probe", "frames.py"), {"probe"}),
        (_append("compose", "images", "link-probe"), {"probe"}),
        (_append("services", "wire", "init"), {"wire"}),
        (_append("services", "wire", "launcher.py"), {"wire"}),
        (_append("compose", "images", "start-wire"), {"wire"}),
        (_append("services", "players", "vlc.py"), {"players"}),
        (_append("compose", "images", "player"), {"players"}),
        (_append("compose", "images", "Dockerfile"), {"server", "client", "probe", "wire", "players"}),
        (_append("services", "flume", "lab", "engine.py"), set()),
        (_append("services", "flume", "measures", "rtp.py"), set()),
        (_append("compose", "lab.yaml"), set()),
    ],
)
def test_a_change_makes_stale_what_it_goes_into(
    inputs: Inputs, change: Callable[[Path], None], stale: set[str]
) -> None:
    """And nothing else: the lab's own code is in no image."""
    before = {target: images.digest(inputs, target) for target in (*images.TARGETS, images.WIRE, images.PLAYERS)}
    change(inputs.root)
    assert {target for target, digest in before.items() if images.digest(inputs, target) != digest} == stale


def test_a_file_that_moves_is_a_change(inputs: Inputs) -> None:
    """Names count as well as contents."""
    before = images.digest(inputs, "server")
    (inputs.source / "errors.py").rename(inputs.source / "mistakes.py")
    assert images.digest(inputs, "server") != before


def test_what_python_leaves_behind_is_no_change(inputs: Inputs) -> None:
    """Byte code appears whenever a test runs."""
    before = images.digest(inputs, "server")
    before_probe, before_wire = images.digest(inputs, "probe"), images.digest(inputs, "wire")
    for folder in (inputs.source / "control", inputs.probe, inputs.wire):
        (folder / "__pycache__").mkdir(exist_ok=True)
        (folder / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert images.digest(inputs, "server") == before
    assert images.digest(inputs, "probe") == before_probe
    assert images.digest(inputs, "wire") == before_wire


def test_the_context_carries_nothing_of_this_machine(inputs: Inputs, tmp_path: Path) -> None:
    """No owner, no time, no lab: two machines make the same bytes."""
    site = tmp_path / "site"
    (site / "package").mkdir(parents=True)
    (site / "package" / "module.py").write_text("x = 1\n")
    with images.pack_context(inputs, site) as context, tarfile.open(fileobj=context) as tar:
        members = {member.name: member for member in tar}
    expected = {
        "Dockerfile",
        "players/vlc.py",
        "probe/tap.sh",
        "wire/init",
        "flume",
        "site/package/module.py",
        "source/flume/errors.py",
    }
    assert expected <= set(members)
    assert not [name for name in members if "/lab/" in name or "__pycache__" in name]
    assert {(member.mtime, member.uid, member.uname) for member in members.values()} == {(0, 0, "")}
    assert {members[name].mode for name in ("flume", "link-probe", "firewall", "start-wire", "player")} == {0o755}


def test_the_base_is_pinned_by_digest() -> None:
    """The Dockerfile is the only place that names it."""
    folder = Inputs(project_root()).folder
    assert "@sha256:" in images.base_reference((folder / "Dockerfile").read_text())
    with pytest.raises(SetupError, match="ARG BASE"):
        images.base_reference("FROM debian\n")


def test_every_package_in_the_images_is_pinned_by_hash_and_free_of_the_labs() -> None:
    """scapy is GPL-2.0-only, and a program in a container must not steer the engine."""
    lock = Inputs(project_root()).lock.read_text()
    packages = [line.partition("==")[0] for line in lock.splitlines() if "==" in line]
    assert {"click", "msgspec", "python-vlc"} <= set(packages)
    assert not {"scapy", "docker"} & set(packages)
    assert lock.count("--hash=sha256:") >= len(packages)
    assert "http" not in lock


def test_an_unknown_processor_is_named() -> None:
    """With what is possible."""
    with pytest.raises(SetupError, match=r"riscv64.*x86_64"):
        images.platform_of("riscv64")
