"""The example that tests a service with the lab is run as its first lines say."""

import subprocess
import sys

import pytest

from support.labs.labs import new_lab
from support.paths import ROOT, SERVICES

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]


def test_the_lab_is_used_from_pytest_and_leaves_nothing(engine, tmp_path):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "pytest")]
    with new_lab(engine, tmp_path / "artifacts") as lab:
        done = subprocess.run(
            [*command, "examples/lab_in_pytest.py"],
            cwd=ROOT,
            env={**lab.environment, "PYTHONPATH": str(SERVICES)},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "3 passed" in done.stdout
        lab.assert_nothing_left()
