"""The spec of a run, and the plan for the engine that it runs on."""

from typing import Any

import pytest

from flume.errors import SettingsError
from flume.lab.link.profile import Direction, Profile
from flume.lab.run.programs import OURS, ClientOptions, Program
from flume.lab.run.scenario import Event, Part, Scenario
from flume.lab.run.spec import FRAMES_MIN_PCT, RunSpec, parse_clients, plan_run, shaping_media
from flume.lab.run.starting import without_player
from flume.lab.testcard import CARD

SCENARIO = Scenario(description="", duration_s=5, part=(Part(name="watcher", commands="connect"),))


def spec(**fields: object) -> RunSpec:
    usual: dict[str, Any] = {"clients": 5, "scenario": SCENARIO}
    return RunSpec(**(usual | fields))


def test_every_client_has_a_player():
    made = plan_run(spec(), cpus=2)
    assert (made.players, made.expectations.frames_min_pct, made.note) == (5, FRAMES_MIN_PCT, "")


def test_more_players_than_the_cpus_can_feed_are_noted_and_nothing_else_changes():
    made = plan_run(spec(clients=50), cpus=2)
    assert (made.players, made.expectations.frames_min_pct) == (50, FRAMES_MIN_PCT)
    assert made.note.startswith("50 players need 10.0 CPUs or more, and this engine has 2: ")
    assert "--players" in made.note
    assert plan_run(spec(clients=50, players=5), cpus=2).note == plan_run(spec(clients=50), cpus=16).note == ""


def test_a_link_that_may_lose_is_expected_to_lose_and_what_arrives_is_to_be_displayed():
    lossy = Profile(name="lossy", description="", down=Direction(loss_pct=5.0), up=Direction())
    made = plan_run(spec(profile=lossy), cpus=2).expectations
    assert (made.link_loses, made.frames_min_pct) == (True, FRAMES_MIN_PCT)
    far = Profile(name="far", description="", down=Direction(delay_ms=300.0), up=Direction(loss_pct=9.0))
    assert not plan_run(spec(profile=far), cpus=2).expectations.link_loses
    assert not plan_run(spec(), cpus=2).expectations.link_loses


def test_a_link_that_is_too_narrow_is_noted_before_and_no_frames_are_required():
    narrow = Profile(name="3g", description="", down=Direction(rate_kbit=780.0, queue_ms=200.0), up=Direction())
    made = plan_run(spec(profile=narrow, clients=1), cpus=2)
    assert made.note == "Profile 3g carries less than the 4000 kbit/s of the video."
    assert (made.expectations.link_loses, made.expectations.frames_min_pct) == (True, None)


def test_what_the_spec_says_is_done_whatever_the_engine():
    made = plan_run(spec(players=3, frames_min_pct=70.0), cpus=1)
    assert (made.players, made.expectations.frames_min_pct, made.note) == (3, 70.0, "")


def test_of_a_video_of_a_persons_own_no_frames_are_required(tmp_path):
    film = tmp_path / "film.mp4"
    film.write_bytes(b"x")
    assert plan_run(spec(video=film), cpus=4).expectations.frames_min_pct is None


@pytest.mark.parametrize(
    ("fields", "key"),
    [({"clients": 0}, "clients"), ({"players": 6}, "players"), ({"players": -1}, "players"), ({"lab": "A"}, "lab")],
)
def test_what_is_impossible_is_refused_by_name(fields, key):
    with pytest.raises(SettingsError, match=f"^{key}="):
        spec(**fields)


def test_numbers_are_numbers():
    assert parse_clients("12") == 12
    with pytest.raises(SettingsError, match="clients='many'"):
        parse_clients("many")


def test_a_client_without_a_player_keeps_the_rest_of_its_command():
    assert without_player(("watch", "server", "--player", "headless", "--json")) == (
        "watch", "server", "--player", "none", "--json",
    )  # fmt: skip
    assert without_player(("watch", "server")) == ("watch", "server", "--player", "none")


def test_clients_are_dealt_the_programs_and_a_part_takes_its_own():
    named = Scenario(
        description="", duration_s=5, part=(SCENARIO.part[0], Part(name="x", commands="connect", player="vlc"))
    )
    made = spec(clients=4, scenario=named, programs=(OURS, Program("ffplay"), Program("mpv", "tcp")))
    assert [str(program) for program in made.dealt] == ["flume", "vlc", "mpv:tcp", "vlc"]


def test_the_number_of_clients_that_display_goes_with_our_own_clients_alone():
    assert spec(players=2, programs=(OURS,)).players == 2
    with pytest.raises(SettingsError, match="names or a number, not both"):
        spec(players=2, programs=(OURS, Program("vlc")))
    with pytest.raises(SettingsError, match="at least one name"):
        spec(programs=())


def test_settings_of_a_run_reach_the_clients_command_and_its_card():
    settings = spec(card=CARD._replace(bitrate_kbit=2000, gop_s=4.0), client_options=ClientOptions("tcp", 120.0))
    assert settings.card.name == "720p25-2000k-gop4s"
    assert settings.client_options.arguments == ("--transport", "tcp", "--reorder", "120")
    assert (spec().card.name, spec().client_options.arguments) == ("720p25-4000k", ())


def test_a_smaller_bit_rate_passes_a_link_that_is_too_narrow_for_the_usual_one():
    narrow = Profile(name="n", description="", down=Direction(rate_kbit=3000.0, queue_ms=200.0), up=Direction())
    made = plan_run(spec(profile=narrow, clients=1, card=CARD._replace(bitrate_kbit=1000)), cpus=2)
    assert (made.note, made.expectations.frames_min_pct) == ("", FRAMES_MIN_PCT)


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"card": CARD._replace(bitrate_kbit=10)}, r"bit_rate=10 .*500 to 50000"),
        ({"card": CARD._replace(gop_s=0.0)}, r"gop=0\.0 "),
        ({"client_options": ClientOptions("carrier pigeon")}, r"transport='carrier pigeon' .*udp, tcp"),
        ({"client_options": ClientOptions(reorder_ms=-1.0)}, r"reorder=-1\.0 "),
    ],
)
def test_a_setting_out_of_range_is_refused(fields, names):
    with pytest.raises(SettingsError, match=names):
        spec(**fields)


def test_a_link_shapes_the_control_connection_where_it_carries_the_media():
    link = Profile(name="n", description="", down=Direction(delay_ms=20.0), up=Direction())
    assert not shaping_media(link, ClientOptions("tcp")).control_exempt
    assert shaping_media(link, ClientOptions("udp")) is link


EVENTFUL = Scenario(
    description="",
    duration_s=5,
    part=(Part(name="watcher", commands="connect"),),
    event=(Event(at="2", profile="lossy", clients=(2,)), Event(at="50%", server="restart")),
)


def test_the_networks_of_events_are_networks_of_the_run():
    lossy = Profile(name="lossy", description="", down=Direction(loss_pct=5.0), up=Direction())
    made = spec(scenario=EVENTFUL, later_profiles={"lossy": lossy})
    assert ([profile.name for profile in made.profiles], made.needs_netem, made.restarts) == (
        ["clean", "lossy"],
        True,
        1,
    )
    assert plan_run(made, cpus=2).expectations.link_loses
    assert not spec().needs_netem


def test_an_event_of_a_network_or_a_client_that_the_run_does_not_have_is_refused():
    with pytest.raises(SettingsError, match=r"event\.profile='lossy'"):
        spec(scenario=EVENTFUL)
    lossy = Profile(name="lossy", description="", down=Direction(), up=Direction())
    with pytest.raises(SettingsError, match=r"event\.clients=\[2\] .*1 to 1"):
        spec(scenario=EVENTFUL, later_profiles={"lossy": lossy}, clients=1)
