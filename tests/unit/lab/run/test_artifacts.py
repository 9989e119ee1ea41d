"""The folder with the evidence of a run."""

import pytest

from flume.errors import LabError
from flume.lab.run import artifacts


def test_latest_points_at_the_newest_run_and_moves(tmp_path):
    for name in ("one", "two"):
        directory = artifacts.create_run_directory(tmp_path, name)
        artifacts.point_latest_at(directory)
        assert (tmp_path / "latest").resolve() == directory
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "one", "two"]


def test_what_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LabError, match="file"):
        artifacts.create_run_directory(tmp_path / "file", "run")
    (tmp_path / "latest").mkdir()
    with pytest.raises(LabError, match="latest"):
        artifacts.point_latest_at(artifacts.create_run_directory(tmp_path, "run"))
    assert not list(tmp_path.glob(".latest-*"))


def test_names_are_unique_and_sort_by_time():
    assert artifacts.new_run_name() != artifacts.new_run_name()
