"""A study goes through its runs, records each, and goes on where it was ended; the runs here are made without a lab."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from flume.errors import EngineError, LabError, SettingsError
from flume.lab.run.spec import RunSpec
from flume.lab.study import state as states
from flume.lab.study.runner import only_one_here, trouble_of
from flume.lab.study.state import State
from flume.lab.trial.verdict import Check, Report, Verdict
from support.report_values import network, report
from support.studies import STUDY, FakeLab, usual_report


def loaded(folder: Path) -> State:
    """Return what is on disk."""
    state = states.load(folder)
    assert state is not None
    return state


def conducted(lab: FakeLab, folder, *, resume: bool = False):
    conductor = lab.conductor(folder)
    conductor.begin(resume=resume)
    conductor.conduct(lab.run_one)
    return conductor


def test_every_run_of_the_matrix_is_carried_out_in_rounds_with_its_settings(tmp_path):
    lab = FakeLab()
    done = conducted(lab, tmp_path / "study-mine").state.done
    assert [(spec.profile.name, spec.lab, spec.clients) for spec in lab.specs] == [
        ("clean", "study", 2),
        ("lossy-1", "study", 2),
    ] * 2
    assert lab.specs[0].client_options.arguments == ("--transport", "udp", "--reorder", "60")
    assert lab.specs[0].artifacts == tmp_path / "study-mine" / "clean-udp-reorder60-4000k-gop1"
    assert [(one.repeat, one.attempt, one.verdict, one.counts, one.seconds) for one in done] == [
        (1, 1, "PASS", True, 10.0),
        (1, 1, "PASS", True, 10.0),
        (2, 1, "PASS", True, 10.0),
        (2, 1, "PASS", True, 10.0),
    ]
    assert loaded(tmp_path / "study-mine").done == done


def test_progress_names_the_cell_and_the_time_left(tmp_path):
    lab = FakeLab()
    conducted(lab, tmp_path / "study-mine")
    assert lab.said == [
        "run 1 of 4: clean, repeat 1 of 2; about 3 min left",  # four times 5 s and what a run takes beside it
        "run 2 of 4: lossy-1, repeat 1 of 2; about 1 min left",  # from here on as long as runs took
        "run 3 of 4: clean, repeat 2 of 2; about 1 min left",
        "run 4 of 4: lossy-1, repeat 2 of 2; about 1 min left",
    ]


def busy_at_first(spec: RunSpec, number: int) -> Report:
    """Return a report whose links were out of tolerance in the second call."""
    made = usual_report(spec, number)
    return replace(made, network=network(problem="5 % where 1 % is set")) if number == 2 else made


def test_a_run_whose_link_was_out_of_tolerance_is_repeated_once_and_says_so(tmp_path):
    lab = FakeLab(busy_at_first)
    done = conducted(lab, tmp_path / "s").state.done
    assert [(one.cell.partition("-udp")[0], one.repeat, one.attempt, one.counts) for one in done] == [
        ("clean", 1, 1, True),
        ("lossy-1", 1, 1, False),
        ("lossy-1", 1, 2, True),
        ("clean", 2, 1, True),
        ("lossy-1", 2, 1, True),
    ]
    assert done[1].trouble == "the link of client-2 (down) was out of tolerance: 5 % where 1 % is set"
    assert "  this run does not count, and is repeated: the link of client-2" in "\n".join(lab.said)
    assert "run 2 of 4: lossy-1, repeat 1 of 2, once more" in "\n".join(lab.said)


def test_a_run_that_never_counts_is_tried_twice_and_the_study_goes_on(tmp_path):
    lab = FakeLab(lambda spec, number: replace(usual_report(spec, number), network=network(problem="always")))
    done = conducted(lab, tmp_path / "s").state.done
    assert [one.attempt for one in done] == [1, 2] * 4
    assert "for the second time: it goes on without" in lab.said[-1]


def test_evidence_that_cannot_be_trusted_does_not_count_and_a_failure_of_the_product_does():
    wrong = Check(name="clock", verdict=Verdict.ERROR, subject="client-1", detail="the clock was set")
    assert trouble_of(report(verdict=Verdict.ERROR, checks=[wrong])) == "client-1, clock: the clock was set"
    assert trouble_of(report(verdict=Verdict.ERROR, checks=[])) == "verdict ERROR"
    assert trouble_of(report(verdict=Verdict.FAIL)) == ""


def test_a_run_that_fails_is_repeated_and_one_that_fails_twice_ends_the_study(tmp_path):
    failing = FakeLab(lambda spec, number: LabError("client-2 ended") if number == 1 else usual_report(spec, number))
    done = conducted(failing, tmp_path / "once").state.done
    assert (done[0].run, done[0].verdict, done[0].trouble) == ("", "ERROR", "client-2 ended")
    assert len(done) == 5
    gone = FakeLab(lambda spec, number: EngineError("the engine is gone"))
    with pytest.raises(EngineError, match="the engine is gone"):
        conducted(gone, tmp_path / "twice")
    assert len(gone.specs) == 2


@pytest.mark.parametrize("after", [1, 3])
def test_an_interrupt_keeps_what_is_done_and_resume_goes_on(tmp_path, after):
    def interrupted(spec: RunSpec, number: int) -> Report | BaseException:
        return KeyboardInterrupt() if number == after + 1 else usual_report(spec, number)

    lab = FakeLab(interrupted)
    with pytest.raises(KeyboardInterrupt):
        conducted(lab, tmp_path / "study-mine")
    state = loaded(tmp_path / "study-mine")
    assert (len(state.done), state.interrupted) == (after, True)

    again = FakeLab()
    conductor = conducted(again, tmp_path / "study-mine", resume=True)
    assert again.said[0] == f"Going on with study mine: {after} runs are done, {4 - after} are left."
    assert (len(again.specs), len(conductor.state.done), conductor.state.interrupted) == (4 - after, 4, False)
    assert conductor.left == 0


def test_a_process_that_was_killed_loses_the_run_under_way_alone(tmp_path):
    """What kill -9 leaves is the state after the last run, and the folder of the run under way without a report."""
    lab = FakeLab(lambda spec, number: MemoryError() if number == 3 else usual_report(spec, number))
    with pytest.raises(MemoryError):  # no error that the conductor knows: nothing more is written
        conducted(lab, tmp_path / "s")
    (tmp_path / "s" / "clean-udp-reorder60-4000k-gop1" / "run-half" / "captures").mkdir(parents=True)
    assert len(loaded(tmp_path / "s").done) == 2
    assert len(conducted(FakeLab(), tmp_path / "s", resume=True).state.done) == 4


def test_a_study_that_is_there_is_not_begun_again(tmp_path):
    conducted(FakeLab(), tmp_path / "study-mine")
    with pytest.raises(SettingsError, match=r"name='mine' .*every run is done"):
        FakeLab().conductor(tmp_path / "study-mine").begin(resume=False)
    with pytest.raises(SettingsError, match=r"resume='new' .*the name of a study that was begun"):
        FakeLab().conductor(tmp_path / "study-new").begin(resume=True)


def test_another_matrix_is_refused_and_what_changed_is_said(tmp_path):
    conducted(FakeLab(), tmp_path / "study-mine")
    other = FakeLab().conductor(tmp_path / "study-mine", replace(STUDY, repeats=3))
    with pytest.raises(SettingsError, match="repeats: 2, now 3"):
        other.begin(resume=True)


def test_two_processes_do_not_write_one_study(tmp_path):
    with (
        only_one_here(tmp_path / "s"),
        pytest.raises(LabError, match="another process works on this study"),
        only_one_here(tmp_path / "s"),
    ):
        pass
    with only_one_here(tmp_path / "s"):
        pass
