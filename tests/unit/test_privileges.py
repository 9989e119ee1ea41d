"""Tests that need root are skipped for other users, with a reason, and never for root."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import privileges
from support.paths import ROOT

PROGRAM = """
import pytest
from support.privileges import need_root

@pytest.fixture(scope="module")
def namespace():
    need_root("network namespaces")

@pytest.fixture
def made():
    raise AssertionError("made for a test that is skipped")

@pytest.mark.needs_root("mounts")
@pytest.mark.usefixtures(*USED)
def test_marked(): ...

def test_by_a_fixture(namespace): ...

def test_in_its_body():
    with pytest.raises(ZeroDivisionError):
        need_root("mounts")
        1 / 0

def test_of_all(): ...

def test_skipped_for_another_reason():
    pytest.skip("no GStreamer here")
"""
RUN = """
import os, sys, pytest
os.geteuid = lambda: int(sys.argv[1])
sys.exit(pytest.main(["-p", "support.privileges", "-p", "no:cacheprovider", "-c", "/dev/null", "-rs", *sys.argv[2:]]))
"""


def run(folder: Path, user: int, *options: str) -> str:
    """Run the tests above as *user* would; return the output."""
    test = folder / "test_some.py"
    test.write_text(PROGRAM.replace("*USED", '"made"' if user else ""))
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(user), *options, str(test)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests"), "PYTEST_ADDOPTS": "", "PYTHONWARNINGS": ""},
        cwd=folder,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("options", [(), ("-n", "1")], ids=["one process", "side by side"])
def test_another_user_is_told_what_was_left_out_and_how_to_run_it(tmp_path: Path, options: tuple[str, ...]) -> None:
    if options:  # a worker is another process, which must not be root either
        (tmp_path / "conftest.py").write_text("import os\nos.geteuid = lambda: 1000\n")
    output = run(tmp_path, 1000, *options)
    assert "1 passed, 4 skipped" in output
    assert "3 tests need root and were left out: mounts (2), network namespaces (1).\n" in output
    assert "To run them too: sudo make test\n" in output
    assert "needs root: network namespaces" in output


def test_as_root_nothing_is_skipped_by_it(tmp_path: Path) -> None:
    output = run(tmp_path, 0)
    assert "4 passed, 1 skipped" in output
    assert "need root" not in output


def test_the_rule_is_in_force_for_all_tests(request: pytest.FixtureRequest) -> None:
    assert any(each.startswith("needs_root(") for each in request.config.getini("markers"))
    assert request.config.pluginmanager.has_plugin("support.privileges")


def test_debians_programs_for_the_administrator_are_found_behind_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for before, after in (
        ("/usr/bin:/bin", "/usr/bin:/bin:/usr/sbin:/sbin"),
        ("/sbin:/usr/bin", "/sbin:/usr/bin:/usr/sbin"),
        ("/usr/sbin:/usr/bin:/sbin", "/usr/sbin:/usr/bin:/sbin"),
    ):
        monkeypatch.setenv("PATH", before)
        privileges.add_programs()
        assert os.environ["PATH"] == after
    assert {"/usr/sbin", "/sbin"} <= set(os.environ["PATH"].split(":"))


def test_a_program_outside_of_the_tests_says_it_in_one_line() -> None:
    code = "import os\nos.geteuid = lambda: 1000\nfrom support.privileges import need_root\nneed_root('mounts')"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (1, "needs root: mounts: run the same command with sudo\n")


def test_the_parts_of_make_test_are_added_up_at_its_end(tmp_path: Path) -> None:
    for part, user in (("one", 1000), ("two", 1000), ("three", 0)):
        run(tmp_path, user, f"--junitxml={tmp_path / part}.xml")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    told = "6 tests need root and were left out: mounts (4), network namespaces (2).\nTo run them too: sudo make test\n"
    for parts, said in ((("one", "two", "three", "none"), told), (("three",), "")):
        command = [sys.executable, "-m", "support.privileges", *(f"{tmp_path / part}.xml" for part in parts)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        assert done.stdout == said
