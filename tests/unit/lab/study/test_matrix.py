"""study.toml: what is accepted, which runs follow, and what is refused with its line."""

import pytest
from msgspec.structs import replace

from flume.errors import SettingsError
from flume.lab.study.matrix import cells, command, differences, load_study, runs, title
from support.paths import ROOT

GOOD = """description = "two networks, two waits"
clients = 2
repeats = 2
scenario = "steady"
duration_s = 10
profiles = ["clean", "./home.toml"]

[settings]
reorder_ms = [60, 200]
"""


def test_a_study_has_a_cell_for_each_combination_and_runs_them_in_rounds():
    study = load_study(GOOD, name="mine")
    assert [cell.key for cell in cells(study)] == [
        "clean-udp-reorder60-4000k-gop1",
        "clean-udp-reorder200-4000k-gop1",
        "home-udp-reorder60-4000k-gop1",
        "home-udp-reorder200-4000k-gop1",
    ]
    order = [(run.repeat, run.cell.profile) for run in runs(study)]
    assert order == [(1, "clean")] * 2 + [(1, "./home.toml")] * 2 + [(2, "clean")] * 2 + [(2, "./home.toml")] * 2


def test_a_cell_is_called_by_what_differs_and_has_a_command():
    study = load_study(GOOD, name="mine")
    assert [title(study, cell) for cell in cells(study)][:2] == ["clean, reorder 60 ms", "clean, reorder 200 ms"]
    assert command(study, cells(study)[3]) == (
        ".venv/bin/flume lab run --clients 2 --scenario steady --duration 10 --profile ./home.toml --transport udp "
        "--reorder 200 --bit-rate 4000 --gop 1"
    )


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("clients = 2", "clients = 0", r"line 2: clients=0 .*1 to 20"),
        ("clients = 2", "client = 2", r"line 2: .*unknown field `client`"),
        ("repeats = 2", 'repeats = "2"', r"line 3: Expected `int`"),
        ("duration_s = 10", "duration_s = 0.5", r"line 5: duration_s=0\.5"),
        ('["clean", "./home.toml"]', "[]", r"line 6: profiles=\[\] .*at least one"),
        ('"./home.toml"', '"clean"', r"line 6: profiles='clean' .*each value once"),
        ('"./home.toml"', '"a/clean.toml"', r"two cells have the name clean-udp"),
        ("[60, 200]", "60", r"line 9: Expected `array`"),
        ("[60, 200]", "[60, 6000]", r"line 9: settings\.reorder_ms=6000\.0 .*0 to 5000"),
        ("reorder_ms = [60, 200]", "gop_s = [0]", r"line 9: settings\.gop_s=0\.0"),
        ("reorder_ms = [60, 200]", 'transport = ["quic"]', r"line 9: settings\.transport='quic' .*udp, tcp"),
        ("reorder_ms = [60, 200]", "reorder = [60]", r"line 9: .*unknown field `reorder`"),
        ("reorder_ms = [60, 200]", f"reorder_ms = {list(range(101))}", r"line 6: profiles='202 cells'"),
        ("[settings]", "[settings", r"line 8"),
    ],
)
def test_a_mistake_is_refused_with_its_line(old, new, says):
    with pytest.raises(SettingsError, match=rf"study='mine' is not possible: .*{says}"):
        load_study(GOOD.replace(old, new), name="mine")


def test_what_has_changed_is_said_in_words():
    study = load_study(GOOD, name="mine")
    assert differences(study, study) == []
    assert differences(study, replace(study, description="other words")) == [], "words change no run"
    assert differences(study, replace(study, profiles=("geo", "clean"), duration_s=None)) == [
        "profiles: added geo and removed ./home.toml",
        "duration_s: 10.0, now None",
    ]
    assert differences(study, replace(study, profiles=("./home.toml", "clean"))) == ["profiles: in another order"]


@pytest.mark.parametrize("path", sorted((ROOT / "compose" / "studies").glob("*.toml")), ids=lambda path: path.stem)
def test_every_study_of_ours_is_read(path):
    study = load_study(path.read_text(), name=path.stem)
    assert study.description
    known = {one.stem for one in (ROOT / "netem" / "profiles").glob("*.toml")}
    assert set(study.profiles) <= known
    assert (ROOT / "compose" / "scenarios" / f"{study.scenario}.toml").is_file()
