"""The folders of the checkout, and the error where there is no checkout."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from flume.errors import SetupError
from flume.lab import checkout
from flume.lab.cli import lab
from support.paths import CACHE, FIREWALLS, LAB_YAML, PROFILES, ROOT


def test_the_folders_are_those_of_this_checkout() -> None:
    assert checkout.project_root() == ROOT
    assert (checkout.profiles(), checkout.firewalls(), checkout.lab_yaml()) == (PROFILES, FIREWALLS, LAB_YAML)
    assert checkout.scenarios().is_dir()
    assert checkout.cache() == CACHE


def test_without_a_checkout_the_error_says_what_to_do_and_help_still_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(checkout, "__file__", str(tmp_path / "flume" / "lab" / "checkout.py"))
    with pytest.raises(SetupError, match="clone it first"):
        checkout.profiles()
    assert CliRunner().invoke(lab, ["run", "--help"]).exit_code == 0
    assert isinstance(CliRunner().invoke(lab, ["netem", "lte"]).exception, SetupError)
