"""What a study has done: kept whole on disk, and refused where it belongs to another matrix."""

import pytest
from msgspec.structs import replace

from flume.errors import LabError, SettingsError
from flume.lab.study.matrix import Study, runs
from flume.lab.study.state import STATE_NAME, DoneRun, State, check_same, load, save

STUDY = Study(description="", clients=1, repeats=2, profiles=("clean", "lossy-1"))
INPUTS = {"profile clean": "a", "profile lossy-1": "b", "scenario study": "c"}
FIRST, *_ = runs(STUDY)


def done(attempt: int = 1, trouble: str = "", **fields: object) -> DoneRun:
    usual = DoneRun(
        cell=FIRST.cell.key, repeat=1, attempt=attempt, run="r", verdict="PASS", seconds=40.0, trouble=trouble
    )
    return replace(usual, **fields)


def test_what_was_saved_is_loaded_and_nothing_else_is_left(tmp_path):
    state = State(study=STUDY, inputs=INPUTS, done=(done(),))
    save(replace(state, done=()), tmp_path / "study")
    save(state, tmp_path / "study")
    assert load(tmp_path / "study") == state
    assert [path.name for path in (tmp_path / "study").iterdir()] == [STATE_NAME]
    assert load(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"study": {}}', b"[" * 100_000])
def test_a_file_that_is_no_state_is_one_clear_line(tmp_path, content):
    (tmp_path / STATE_NAME).write_bytes(content)
    with pytest.raises(LabError, match="is not the state of a study"):
        load(tmp_path)


def test_a_state_of_another_version_is_refused(tmp_path):
    save(State(study=STUDY, inputs=INPUTS, version=0), tmp_path)
    with pytest.raises(LabError, match="has version 0"):
        load(tmp_path)


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match="cannot be written"):
        save(State(study=STUDY, inputs=INPUTS), tmp_path / "file")


@pytest.mark.parametrize(
    ("attempts", "is_done"),
    [
        ([], False),
        ([done()], True),
        ([done(trouble="its link was out of tolerance")], False),
        ([done(trouble="busy"), done(2)], True),
        ([done(trouble="busy"), done(2, trouble="busy")], True),
        ([done(repeat=2)], False),
    ],
)
def test_a_run_is_done_when_an_attempt_counts_or_two_were_made(attempts, is_done):
    assert State(study=STUDY, inputs=INPUTS, done=tuple(attempts)).is_done(FIRST) == is_done


def test_a_study_goes_on_with_the_same_matrix_alone():
    state = State(study=STUDY, inputs=INPUTS)
    check_same(state, replace(STUDY, description="other words"), INPUTS, name="mine")
    with pytest.raises(SettingsError, match=r"resume='mine' .*repeats: 2, now 3; profile clean: another content"):
        check_same(state, replace(STUDY, repeats=3), {**INPUTS, "profile clean": "z"}, name="mine")
