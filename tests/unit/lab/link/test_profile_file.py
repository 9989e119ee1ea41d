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
    *("transcontinental", "bursty", "lossy-1", "lossy-5", "lossy-10"),
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
    numbers = _numbers(tomllib.loads(text))
    assert len(profile.figures) == numbers, "a number in the file is no figure of the profile"


def _numbers(value: object) -> int:
    if isinstance(value, dict):
        return sum(_numbers(each) for each in value.values())
    if isinstance(value, list):
        return sum(_numbers(each) for each in value)
    return type(value) in (int, float)


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


def test_the_example_has_every_key_of_the_format_and_loads():
    path = ROOT / "examples" / "home.toml"
    profile = find_profile(PROFILES, str(path))
    assert (profile.down.rate_kbit, profile.up.queue_bytes, profile.period_s) == (20_000, 64_000, 60)
    assert [step.at_s for step in profile.timeline()] == [0, 30, 45]
    assert [step.down.loss_pct for step in profile.timeline()] == [0.5, 8, 0.5]
    keys = set(Direction.__struct_fields__) | {"description", "control_exempt", "period_s", "sources", "at_s"}
    assert keys <= set(re.findall(r"^\[?\[?(\w+)", path.read_text(), re.MULTILINE))


def test_the_profile_in_the_document_loads():
    (block,) = re.findall(r"^```toml\n(.*?)^```", (NETEM / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    profile = load_profile(block, name="home")
    assert (profile.down.delay_ms, profile.up.delay_ms, profile.sources["down.delay_ms"]) == (
        *(20, 20),
        "measured at home on a Sunday",
    )


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
