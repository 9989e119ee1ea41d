"""What changed between two runs beyond noise: the figures, their tolerances, and the command."""

import json

import msgspec
import pytest
from click.testing import CliRunner, Result

from flume.errors import LabError, SettingsError
from flume.lab.cli import lab
from flume.lab.study.compare import DEFAULTS, Tolerance, compare, parse_tolerance, tolerances
from flume.lab.trial.figures import FIGURES
from flume.lab.trial.measures import Measures
from flume.lab.trial.verdict import CommandReport, Verdict
from support.report_values import client, measures, playback, report, wire

ALLOWED = tolerances(())
NEVER_JOINED = measures(playback=playback(join_ms=None))


def granted(command: str, answer: str = "ok") -> CommandReport:
    return CommandReport(time_s=1.0, command=command, answer=answer, answer_ms=1.0)


def changes(found, subject: str = "client-1") -> dict[str, str]:
    return {row.figure: row.change for row in found.rows if row.subject == subject and row.change != "same"}


def test_every_figure_has_a_default_tolerance_with_a_reason():
    assert DEFAULTS.keys() == FIGURES.keys()
    assert all(default.reason for default in DEFAULTS.values())


def test_every_figure_is_read_from_a_report_that_has_all_measures():
    full = client(measures=measures(playback=playback(0.5, resume_ms=[300.0, 500.0])))
    values = {key: figure.read(full) for key, figure in FIGURES.items()}
    assert {key for key, value in values.items() if value is None} == {
        "delay_factor_ms",
        "glass_ms",
        "psnr_db",
        "xpsnr_db",
    }, "those that the report does not have"
    assert (values["loss_pct"], values["delay_p50_ms"], values["delay_p95_ms"]) == (0.0, 20, 40)
    assert (values["join_ms"], values["resume_ms"]) == (500.0, 400.0)
    assert (values["freezes"], values["longest_freeze_ms"], values["frozen_pct"]) == (1, 500.0, 5.0)
    assert (values["vmaf"], values["vmaf_p5"], values["undecodable_pct"], values["stream_errors"]) == (95, 85, 5.0, 2)


def test_without_measures_the_older_fields_are_compared():
    plain = client(measures=Measures(), loss_pct=1.5, join_ms=700.0)
    assert {key: figure.read(plain) for key, figure in FIGURES.items() if figure.read(plain) is not None} == {
        "loss_pct": 1.5,
        "join_ms": 700.0,
    }


def test_two_equal_runs_have_no_change():
    found = compare(report(client(1), client(2)), report(client(1), client(2)), ALLOWED)
    assert not found.worse
    assert {row.change for row in found.rows} == {"same"}
    assert [one.change for one in found.verdicts] == ["same"] * 3
    assert found.notes == ()


@pytest.mark.parametrize(
    ("b", "change"),
    [
        (client(measures=measures(wire=wire(lost=100))), {"loss_pct": "worse"}),
        (client(measures=measures(wire=wire(lost=5))), {}),  # 0.5 points are the tolerance
        (client(measures=measures(vmaf=80.0)), {"vmaf": "worse", "vmaf_p5": "worse"}),
        (client(measures=measures(vmaf=100.0)), {"vmaf": "better"}),  # 5 points at p5 are within its 6
        (client(measures=measures(playback=playback(join_ms=300.0))), {}),
        (client(measures=measures(playback=playback(join_ms=200.0))), {"join_ms": "better"}),
        (client(commands=[granted("connect")], measures=NEVER_JOINED), {"join_ms": "worse"}),
        (client(measures=NEVER_JOINED), {"join_ms": "vanished"}),
        (
            client(measures=measures(playback=playback(0.3, 0.3))),
            {"freezes": "worse", "longest_freeze_ms": "worse", "frozen_pct": "worse"},
        ),
        (client(measures=measures(pictures=None)), dict.fromkeys(("undecodable_pct", "vmaf", "vmaf_p5", "ssim"), "-")),
    ],
)
def test_a_change_beyond_the_tolerance_is_found_with_its_direction(b, change):
    found = compare(report(client()), report(b), ALLOWED)
    assert changes(found) == {key: "vanished" if one == "-" else one for key, one in change.items()}
    assert found.worse == ("worse" in change.values())


@pytest.mark.parametrize(
    ("answer", "strict", "change"),
    [("ok", False, "worse"), ("refused", False, "vanished"), ("refused", True, "worse")],
)
def test_a_picture_that_does_not_come_back_is_worse_where_it_was_granted(answer, strict, change):
    paused = client(measures=measures(playback=playback(resume_ms=[500.0])))
    gone = client(commands=[granted("continue", answer)])
    found = compare(report(paused), report(gone), ALLOWED, strict=strict)
    assert (changes(found), found.worse) == ({"resume_ms": change}, change == "worse")
    back = compare(report(gone), report(paused), ALLOWED, strict=strict)
    assert changes(back) == {"resume_ms": "better" if answer == "ok" else "not comparable"}
    assert not back.worse


def test_a_figure_that_vanished_is_said_and_worse_when_asked(tmp_path):
    bare = report(client(measures=measures(pictures=None)))
    done = run(tmp_path, report(), bare)
    assert done.exit_code == 0
    assert "client-1: VMAF was measured in A and not in B; with --strict that is worse" in done.stdout.splitlines()
    strict = run(tmp_path, report(), bare, "--strict")
    assert strict.exit_code == 1
    assert "client-1: VMAF was measured in A and not in B: worse" in strict.stdout.splitlines()
    assert run(tmp_path, bare, report(), "--strict").exit_code == 0


def test_a_worse_verdict_is_worse_whatever_the_figures():
    found = compare(report(), report(verdict=Verdict.FAIL), ALLOWED)
    assert found.worse
    assert (found.verdicts[0].subject, found.verdicts[0].change) == ("run", "worse")
    assert not compare(report(verdict=Verdict.ERROR), report(), ALLOWED).worse


def test_what_differs_in_how_the_runs_were_made_is_noted():
    other = report(network=None, scenario={"name": "tour", "clients": 1, "duration_s": 10.0})
    assert compare(report(), other, ALLOWED).notes == (
        "network: lossy-1 in A, none in B",
        "name: steady in A, tour in B",
    )


def test_runs_of_other_clients_are_refused():
    with pytest.raises(SettingsError, match=r"a run of the same clients as .*client-1"):
        compare(report(client(1), client(2)), report(client(1)), ALLOWED)


def test_a_tolerance_replaces_the_default_whole_and_two_of_one_figure_go_together():
    allowed = tolerances(["join_ms=20%", "loss_pct=0.5", "freezes=2", "freezes=50%"])
    assert allowed["join_ms"] == Tolerance(0.0, 20.0)
    assert allowed["loss_pct"] == Tolerance(0.5, 0.0)
    assert allowed["freezes"] == Tolerance(2.0, 50.0)
    assert allowed["vmaf"] == DEFAULTS["vmaf"].tolerance


def test_a_change_by_exactly_the_tolerance_is_none():
    b = report(client(measures=measures(playback=playback(join_ms=600.0))))
    assert not compare(report(), b, tolerances(["join_ms=20%"])).worse
    assert compare(report(), b, tolerances(["join_ms=19.9%"])).worse


@pytest.mark.parametrize("text", ["loss_pct", "loss_pct=", "loss_pct=-1", "loss=1", "=3", "loss_pct=1e3", "x" * 500])
def test_a_tolerance_that_is_none_is_refused(text):
    with pytest.raises(SettingsError, match=r"^tolerance="):
        parse_tolerance(text)


def run(tmp_path, a, b, *options: str) -> Result:
    for name, one in (("a", a), ("b", b)):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "report.json").write_bytes(msgspec.json.encode(one))
    return CliRunner().invoke(lab, ["compare", "a", str(tmp_path / "b"), "--artifacts", str(tmp_path), *options])


def test_the_command_says_what_is_worse_and_ends_with_1(tmp_path):
    done = run(tmp_path, report(), report(client(measures=measures(vmaf=80.0))))
    assert done.exit_code == 1
    assert "VMAF" in done.stdout
    assert "-15.0" in done.stdout
    assert "worse: 2" in done.stdout
    assert "loss" not in done.stdout, "what did not change is left out"
    assert "loss %" in run(tmp_path, report(), report(), "--all").stdout


def test_the_command_ends_with_0_where_nothing_is_worse(tmp_path):
    done = run(
        tmp_path,
        report(),
        report(client(measures=measures(vmaf=80.0))),
        *("--tolerance", "vmaf=20"),
        *("--tolerance", "vmaf_p5=20"),
    )
    assert (done.exit_code, done.stdout.splitlines()[-1].split(";")[-1]) == (0, " worse: 0")


def test_the_json_holds_the_whole_comparison(tmp_path):
    done = run(tmp_path, report(), report(client(measures=measures(vmaf=80.0))), "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert found["worse"] is True
    (vmaf,) = [row for row in found["figures"] if row["figure"] == "vmaf"]
    assert (vmaf["a"], vmaf["b"], vmaf["delta"], vmaf["tolerance"], vmaf["change"]) == (95, 80, -15, 2, "worse")
    assert found["tolerances"]["join_ms"] == {"absolute": 250.0, "share_pct": 20.0}


def test_a_run_that_is_not_there_is_wrong_input(tmp_path):
    done = CliRunner().invoke(lab, ["compare", "a", "b", "--artifacts", str(tmp_path)])
    assert isinstance(done.exception, SettingsError)
    assert "RUN_A='a'" in str(done.exception)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"verdict":"PASS"}', b"[" * 100_000])
def test_a_file_that_is_no_report_is_one_clear_line(tmp_path, content):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "report.json").write_bytes(content)
    done = CliRunner().invoke(lab, ["compare", "a", "a", "--artifacts", str(tmp_path)])
    assert isinstance(done.exception, LabError)
    assert "is not a report of this version" in str(done.exception)


def test_a_report_of_another_version_is_refused(tmp_path):
    done = run(tmp_path, report(version=0), report())
    assert isinstance(done.exception, LabError)
    assert "is a report of version 0" in str(done.exception)


def test_the_help_lists_every_figure_with_its_tolerance():
    text = CliRunner().invoke(lab, ["compare", "--help"]).stdout
    assert all(key in text for key in FIGURES)
    assert "250 or 20% ms" in text
