"""Bad input, a killed runner, two labs at once: each error is one clear line, and nothing is left behind."""

import signal
import threading

import pytest

from flume.lab.machine.process import wait_until
from support.labs.labs import LabUnderTest, new_lab, one_line

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--clients", "0"], "clients=0 is not possible: 1 to"),
        (["--clients", "abc"], "clients='abc' is not possible: a number"),
        (["--clients", "-3"], "clients=-3"),
        (["--clients", "1000"], "clients=1000"),
        (["--video", "/nowhere/film.mp4"], "video='/nowhere/film.mp4' is not possible: a file that exists"),
        (["--scenario", "nonsense"], "scenario='nonsense' is not possible: one of churn, flash-crowd"),
        (["--duration", "0"], "duration_s=0.0 is not possible: 1 to 3600 seconds"),
        (["--duration", "abc"], "duration='abc' is not possible: a number of seconds"),
        (["--duration", "nan"], "duration_s=nan"),
        (["--clients", ""], "clients=''"),
        (["--video", "/usr"], "video='/usr' is not possible: a file, not a folder"),
        (["--scenario", "/nowhere/x.toml"], "scenario='/nowhere/x.toml'"),
        (["--topology", "/nowhere/lab.yaml"], "topology='/nowhere/lab.yaml' is not possible: a readable Compose file"),
        (["--lab", "Not A Name"], "lab='Not A Name'"),
    ],
)
def test_bad_input_is_one_line_and_starts_nothing(lab, engine, arguments, names):
    refused = lab.run(*arguments, timeout_s=30)
    assert refused.returncode == 2
    assert names in one_line(refused.stderr)
    lab.assert_nothing_left()


def test_a_scenario_that_is_not_text_is_one_line(lab, tmp_path):
    (tmp_path / "odd.toml").write_bytes(b"\xff\xfe")
    refused = lab.run("--scenario", tmp_path / "odd.toml", timeout_s=30)
    assert refused.returncode == 2
    assert "odd.toml' is not possible: a readable TOML file" in one_line(refused.stderr)


def test_make_passes_a_path_on_as_it_is(lab):
    path = """/nowhere/it's "a" $film$(name) $$ #1 %.mp4"""
    refused = lab.make("lab", f"VIDEO={path}")
    assert refused.returncode == 2
    assert f"video={path!r} is not possible" in refused.stderr


def test_an_empty_video_is_named(lab, tmp_path):
    (tmp_path / "empty.mp4").touch()
    refused = lab.run("--video", tmp_path / "empty.mp4", timeout_s=30)
    assert refused.returncode == 2
    assert "0 bytes" in one_line(refused.stderr)


def test_a_file_that_is_no_video_is_reported_by_the_server_and_leaves_nothing(lab, engine, tmp_path):
    (tmp_path / "letter.mp4").write_text("Dear all,\n" * 1000)
    refused = lab.run("--clients", 1, "--video", tmp_path / "letter.mp4")
    assert refused.returncode == 3
    line = one_line(refused.stderr)
    assert "server ended while it should listen" in line
    assert "letter.mp4 is not a video that FFmpeg can read" in line
    assert len(line) < 400
    lab.assert_nothing_left()


def test_a_killed_runner_leaves_a_lab_that_down_removes_and_the_next_run_replaces(lab, engine):
    def start_and_kill() -> None:
        process = lab.start("--clients", 2, "--duration", 60)
        assert wait_until(lambda: len(engine.find(lab=lab.name, role="client")) == 2, timeout_s=60)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=10)
        assert engine.objects(lab=lab.name)

    start_and_kill()
    down = lab.make("down")
    assert down.returncode == 0, down.stderr
    lab.assert_nothing_left()
    start_and_kill()
    again = lab.run("--clients", 1, "--duration", 1)
    assert again.returncode == 0, again.stdout + again.stderr
    assert len(engine.find(lab=lab.name, role="client")) == 1


def test_two_labs_at_once_do_not_disturb_each_other_and_two_runs_of_one_do_not_mix(lab, engine, tmp_path):
    results = {}

    def run(which: LabUnderTest) -> None:
        results[which.name] = which.run("--clients", 2, "--duration", 4)

    with new_lab(engine, tmp_path / "other") as other:
        threads = [threading.Thread(target=run, args=(which,)) for which in (lab, other)]
        for thread in threads:
            thread.start()
        assert wait_until(lambda: engine.find(lab=lab.name, role="client") != [], timeout_s=60)
        second = lab.run("--clients", 1, timeout_s=30)
        assert second.returncode == 3
        assert f"another run of lab '{lab.name}' is under way" in one_line(second.stderr)
        for thread in threads:
            thread.join()
        for which in (lab, other):
            assert results[which.name].returncode == 0, results[which.name].stdout + results[which.name].stderr
        subnets = {which.report()["clients"][0]["address"].rpartition(".")[0] for which in (lab, other)}
        assert len(subnets) == 2
        assert lab.flume("lab", "down").returncode == 0
        lab.assert_nothing_left()
        assert len(engine.find(lab=other.name)) == 4


def test_removing_one_lab_disturbs_no_other_that_is_just_starting(lab, engine, tmp_path):
    """Both have shaped links. The first is removed again and again until the second has finished."""
    shaped = ("--profile", "lan", "--scenario", "steady")
    with new_lab(engine, tmp_path / "first") as first:
        done = first.run("--clients", 1, "--players", 0, "--duration", 1, *shaped)
        assert done.returncode == 0, done.stdout + done.stderr
        second = lab.start("--clients", 2, "--duration", 2, *shaped)
        removals = []
        while second.poll() is None:
            removals.append(first.flume("lab", "down"))
            assert removals[-1].returncode == 0, removals[-1].stderr
        stdout, stderr = second.communicate(timeout=60)
        assert second.returncode == 0, stdout + stderr
        assert "removed container" in removals[0].stdout
        assert len(removals) > 2
        first.assert_nothing_left()
