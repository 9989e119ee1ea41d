"""Profile files: ours have a source for every figure; a mistake is refused with file, key and reason."""

import re
import tomllib
from pathlib import Path

import pytest

from flume.errors import SettingsError
from flume.lab import catalogue
from flume.lab.link.profile import Direction, Profile
from flume.lab.link.profile_file import find_profile, load_profile
from flume.lab.link.table import PART, table
from support.paths import NETEM, PROFILES, ROOT

NAMES = catalogue.names(PROFILES)
PROMISED = (
    *("clean", "lan", "wifi-good", "wifi-bad", "lte", "lte-congested", "3g", "dsl", "cable", "geo", "leo"),
    *("lte-shared", "transcontinental", "bursty", "bursty-1", "jitter-40", "lossy-1", "lossy-5"),
    "lossy-10",
)


def ours() -> list[Profile]:
    return [find_profile(PROFILES, name) for name in NAMES]


def test_the_promised_profiles_are_there():
    assert set(PROMISED) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_of_ours_has_its_source_and_every_profile_its_description(name: str):
    profile = find_profile(PROFILES, name)
    assert profile.description
    assert profile.unsourced == ()
    text = (PROFILES / f"{name}.toml").read_text()
    numbers = _numbers(tomllib.loads(text)) + _traces(tomllib.loads(text))
    assert len(profile.figures) == numbers, "a number in the file is no figure of the profile"


def _numbers(value: object) -> int:
    if isinstance(value, dict):
        return sum(_numbers(each) for each in value.values())
    if isinstance(value, list):
        return sum(_numbers(each) for each in value)
    return type(value) in (int, float)


def _traces(value: object) -> int:
    """Count the traces that a file names: like figures, they need a source."""
    if not isinstance(value, dict):
        return 0
    return ("trace" in value) + sum(_traces(each) for each in value.values())


def test_only_clean_does_without_netem():
    assert [profile.name for profile in ours() if not profile.needs_netem] == ["clean"]


def test_no_limit_of_ours_is_the_default_and_geo_shows_its_queue():
    for profile in ours():
        assert 1000 not in {step.down.limit_datagrams for step in profile.timeline()}
    geo = find_profile(PROFILES, "geo")
    assert geo.down.loss_pct == geo.up.loss_pct == 0
    # Five clients at 8 Mbit/s over 300 ms put 1104 datagrams in flight, if they share one link.
    assert geo.down.limit_datagrams > 1104


@pytest.mark.parametrize("n", [1, 5, 10])
def test_the_lossy_links_lose_single_datagrams_in_both_directions(n: int):
    link = find_profile(PROFILES, f"lossy-{n}")
    assert link.down == link.up
    assert (link.down.loss_pct, link.down.loss_burst_datagrams) == (n, None)


def test_leo_hands_over_every_15_s():
    leo = find_profile(PROFILES, "leo")
    assert leo.period_s == 15
    assert [step.at_s for step in leo.timeline()] == [0, 0.14, 14.925]
    assert leo.timeline()[0].down.delay_ms > leo.timeline()[2].down.delay_ms > leo.timeline()[1].down.delay_ms
    assert leo.timeline()[0].down.rate_kbit == leo.down.rate_kbit, "a step keeps what it does not name"


def test_the_table_in_the_document_is_that_of_the_files():
    text = (NETEM / "README.md").read_text(encoding="utf-8")
    assert text == PART.replaced(text, table(ours())), "run: make docs"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("delay = 50", r"bad\.toml: down\.delay=50 .*the unit is part of the name: write delay_ms"),
        ("delay_s = 0.05", r"bad\.toml: down\.delay_s=0\.05 .*write delay_ms"),
        ("rate_mbit = 5", r"down\.rate_mbit=5 .*write rate_kbit"),
        ('delay_ms = "50ms"', r"down\.delay_ms='50ms' .*a number of milliseconds"),
        ("delay_ms = true", r"down\.delay_ms=True .*a number of milliseconds"),
        ("loss_pct = 105", r"down\.loss_pct=105\.0 .*0 to 100 percent"),
        ("loss_pct = nan", r"down\.loss_pct=nan "),
        ("colour = 1", r"down\.colour=1 .*unknown key"),
        ("queue_bytes = 2000.5", r"down\.queue_bytes=2000\.5 .*whole number of bytes"),
        ('jitter_reorders = "no"', r"down\.jitter_reorders='no' .*true or false"),
        (
            'delay_ms = 5\ndelay_ms_source = "nowhere"',
            r"down\.delay_ms_source='nowhere' .*no such entry in \[sources\]; known there: none",
        ),
        ('delay_ms_source = "me"', r"down\.delay_ms_source='me' .*a source without its figure"),
        ("delay_ms = ", r"bad\.toml=.*must be TOML"),
        ("delay_ms = 5\njitter_ms = 2\ndistribution = 'normal'", r"down\.jitter_reorders is missing: .*say whether"),
        ("delay_ms = 5\njitter_ms = 2\njitter_reorders = false", r"down\.distribution is missing: uniform"),
        ("rate_kbit = 500\nqueue_ms = 9\nqueue_bytes = 9000", r"down\.rate_kbit=500\.0 .*exactly one of"),
    ],
)
def test_a_mistake_is_refused_with_file_key_and_reason(line: str, message: str):
    text = f'description = "x"\n[up]\n[down]\n{line}\n'
    with pytest.raises(SettingsError, match=message):
        load_profile(text, name="bad")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[down]\n", r"p\.toml: up is missing: both directions"),
        ("down = 5\n[up]\n", r"p\.toml: down=5 .*must be a table"),
        ('[down]\n[up]\n[sources]\nme = "a guess"\n', r"sources=\['me'\] .*no figure names this source"),
        ("[down]\n[up]\n[sources]\nme = 5\n", r"sources="),
        ("speed = 5\n[down]\n[up]\n", r"p\.toml: speed=5 .*unknown key"),
        ("control_exempt = 1\n[down]\n[up]\n", r"control_exempt=1 .*true or false"),
        ("[down]\n[up]\n[[step]]\nat_s = 1\n", r"p\.toml: step=1 .*period_s"),
        ("period_s = 5\n[down]\n[up]\n", r"period_s=5\.0 .*\[\[step\]\]"),
        ("period_s = 5\n[down]\n[up]\n[[step]]\n", r"step\.1\.at_s is missing: "),
        ("period_s = 5\n[down]\n[up]\n[[step]]\nat_s = 6\n", r"step\.1\.at_s=6\.0 .*within period_s"),
        ("period_s = 5\n[down]\n[up]\n[[step]]\nat_s = 1\ndown.loss_pct = -1\n", r"step\.1\.down\.loss_pct=-1\.0"),
        ("period_s = 5\nstep = [1]\n[down]\n[up]\n", r"step\.1=1 .*must be a table"),
    ],
)
def test_a_mistake_outside_a_direction_is_refused_too(text: str, message: str):
    with pytest.raises(SettingsError, match=message):
        load_profile(text, name="p")


def test_a_file_of_the_users_own_works_by_path_and_without_sources(tmp_path: Path):
    path = tmp_path / "home.toml"
    path.write_text("control_exempt = false\n[down]\ndelay_ms = 20\n[up]\n")
    profile = find_profile(PROFILES, str(path))
    assert (profile.name, profile.down.delay_ms, profile.control_exempt) == ("home", 20, False)
    assert profile.unsourced == ("down.delay_ms",)


# --- traces ----------------------------------------------------------------------------------------------------------

TRACED = "trace = 'drive.csv'\n[down]\nqueue_bytes = 60_000\ndelay_ms = 30\n[up]\nqueue_ms = 100\n"
DRIVE = "time_s,down_rate_kbit,up_rate_kbit\n0,8000,1000\n1,0,3000\n"


def load_traced(folder: Path, text: str, **files: str) -> Profile:
    """Load a profile that lies in *folder* beside trace *files* (an underscore stands for the dot in a name)."""
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)
    return load_profile(text, name="own", file=str(folder / "own.toml"))


def test_a_trace_is_found_beside_its_profile_and_its_means_are_the_link_at_rest(tmp_path: Path):
    link = load_traced(tmp_path, TRACED, drive_csv=DRIVE)
    assert (link.down.rate_kbit, link.up.rate_kbit) == (4000, 2000)
    assert (link.period_s, link.traces) == (2, ("drive.csv",))
    assert set(link.unsourced) == {"trace", "down.queue_bytes", "down.delay_ms", "up.queue_ms"}
    assert [step.up.rate_kbit for step in link.timeline()] == [1000, 3000]
    assert {step.up.queue_room_bytes for step in link.timeline()} == {25_000}, "100 ms at the mean rate"
    assert {step.down.delay_ms for step in link.timeline()} == {30}
    assert link.needs_netem


def test_each_direction_may_have_a_trace_of_its_own(tmp_path: Path):
    text = "[down]\ntrace = 'm.down'\nqueue_bytes = 60_000\n[up]\ntrace = 'd.csv'\n"
    link = load_traced(tmp_path, text, m_down="100\n" * 4 + "200\n", d_csv="time_s,up_loss_pct\n0,1\n0.1,3\n")
    assert [step.down.rate_kbit for step in link.timeline()] == pytest.approx([121.12, 8 * 5 * 1514 / 100])
    assert [step.up.loss_pct for step in link.timeline()] == [1, 3]
    assert (link.up.loss_pct, link.up.bucket) == (2, None)


def test_the_source_of_a_trace_is_named_like_that_of_a_figure(tmp_path: Path):
    text = TRACED.replace("'\n", "'\ntrace_source = 'me'\n", 1) + "[sources]\nme = 'measured on a train'\n"
    assert load_traced(tmp_path, text, drive_csv=DRIVE).sources == {"trace": "measured on a train"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            TRACED.replace("drive", "walk"),
            r"own\.toml: trace='walk\.csv' .*readable file beside this one .*No such file",
        ),
        (TRACED.replace("'drive.csv'", "5"), r"own\.toml: trace=5 .*a text in quotes"),
        (TRACED + "rate_kbit = 5\n", r"own\.toml: up\.rate_kbit=5 .*the trace gives it"),
        (
            TRACED.replace("queue_ms = 100\n", ""),
            r"own\.toml: up\.queue_bytes is missing: a trace with a rate needs it",
        ),
        (TRACED + "trace = 'drive.csv'\n", r"own\.toml: up\.trace='drive\.csv' .*absent beside"),
        ("period_s = 5\n" + TRACED, r"own\.toml: period_s=5 .*times of its own"),
        (TRACED + "[[step]]\nat_s = 1\n", r"own\.toml: step=.* times of its own"),
        ("[down]\n[up]\ntrace = 'one.csv'\n", r"own\.toml: up\.trace='one\.csv' .*a column for up"),
        ("[down]\n[up]\ntrace = 'bad.csv'\n", r"bad\.csv: line 3: delay_ms='soon' .*ms"),
        (
            "period_s = 5\n[down]\n[up]\n[[step]]\nat_s = 1\ndown.trace = 'drive.csv'\n",
            r"own\.toml: step\.1\.down\.trace='drive\.csv' .*unknown key",
        ),
    ],
)
def test_a_trace_that_cannot_be_is_refused_with_its_key(text: str, message: str, tmp_path: Path):
    one, bad = "time_s,down_delay_ms\n0,5\n1,6\n", "time_s,delay_ms\n0,5\n1,soon\n"
    with pytest.raises(SettingsError, match=message) as refused:
        load_traced(tmp_path, text, drive_csv=DRIVE, one_csv=one, bad_csv=bad)
    assert "\n" not in str(refused.value)


def test_the_table_has_one_row_for_a_trace(tmp_path: Path):
    link = load_traced(tmp_path, TRACED, drive_csv=DRIVE)
    _, _, down, up = table([link]).splitlines()
    assert down.startswith("| `own`, trace of 2 s | down | 30 | – | 4000 (12 to 8000) | 60000 bytes |")
    assert "| up | 0 | – | 2000 (1000 to 3000) | 100 ms |" in up


def test_the_example_has_every_key_of_the_format_and_loads():
    path = ROOT / "examples" / "home.toml"
    profile = find_profile(PROFILES, str(path))
    assert (profile.down.rate_kbit, profile.up.queue_bytes, profile.period_s) == (20_000, 64_000, 60)
    assert [step.at_s for step in profile.timeline()] == [0, 30, 45]
    assert [step.down.loss_pct for step in profile.timeline()] == [0.5, 8, 0.5]
    keys = set(Direction.__struct_fields__) - {"bucket"} | {
        "description",
        "control_exempt",
        "period_s",
        "sources",
        "at_s",
    }
    assert keys <= set(re.findall(r"^\[?\[?(\w+)", path.read_text(), re.MULTILINE))


def test_the_profiles_in_the_document_load(tmp_path: Path):
    blocks = re.findall(r"^```toml\n(.*?)^```", (NETEM / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    home, drive = (load_traced(tmp_path, block, drive_csv=DRIVE) for block in blocks)
    assert (home.down.delay_ms, home.up.delay_ms, home.sources["down.delay_ms"]) == (
        *(20, 20),
        "measured at home on a Sunday",
    )
    assert (drive.traces, drive.up.delay_ms, len(drive.steps)) == (("drive.csv",), 30, 2)


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"PROFILE='5g' .*3g, bursty"):
        find_profile(PROFILES, "5g")
    with pytest.raises(SettingsError, match="a readable TOML file"):
        find_profile(PROFILES, str(tmp_path / "absent.toml"))


def test_a_step_may_end_the_jitter_and_change_the_kind_of_queue():
    text = (
        "period_s = 5\n[down]\ndelay_ms = 20\njitter_ms = 2\ndistribution = 'normal'\njitter_reorders = false\n"
        "rate_kbit = 1000\nqueue_ms = 100\n[up]\n[[step]]\nat_s = 1\ndown = { jitter_ms = 0, queue_bytes = 5000 }\n"
    )
    step = load_profile(text, name="p").timeline()[1].down
    assert (step.jitter_ms, step.distribution, step.jitter_reorders) == (0, "none", None)
    assert (step.queue_bytes, step.queue_ms, step.delay_ms) == (5000, None, 20)
