"""Which program each client of a lab is, and in which words it is steered."""

import pytest

from flume.control.script import STEERING
from flume.errors import SettingsError
from flume.lab.run.programs import OURS, PLAYERS, Program, deal, parse_players, parse_program, word
from players.contract import COMMANDS
from players.driver import PLAYERS as DRIVEN


def test_players_are_dealt_out_in_turn_and_a_part_may_name_its_own():
    _, programs = parse_players("flume,vlc,ffplay,mpv,gstreamer")
    assert [str(one) for one in deal(7, programs)] == ["flume", "vlc", "ffplay", "mpv", "gstreamer", "flume", "vlc"]
    dealt = deal(5, programs, [None, "mpv:tcp"])
    assert [str(one) for one in dealt] == ["flume", "mpv:tcp", "ffplay", "mpv:tcp", "gstreamer"]


@pytest.mark.parametrize("text", ["0", "3", "200", "-1"])
def test_a_number_is_still_the_number_of_clients_that_display(text: str):
    assert parse_players(text) == (int(text), (OURS,))


def test_without_a_choice_all_clients_are_ours_and_display():
    assert parse_players(None) == (None, (OURS,))


@pytest.mark.parametrize("text", ["", "winamp", "vlc,", "mpv:sctp", "flume:tcp", "VLC", "1.5", ":tcp"])
def test_another_name_is_refused_with_those_there_are(text: str):
    with pytest.raises(SettingsError, match=r"players=.*vlc, ffplay, mpv, gstreamer"):
        parse_players(text)


def test_a_program_is_written_as_it_is_read():
    for text in ("flume", "vlc", "mpv:tcp"):
        assert str(parse_program(text)) == text
    assert parse_program("vlc:udp") == Program("vlc")
    assert parse_program("vlc:quick") == Program("vlc", quick=True)
    both = parse_program("mpv:quick:tcp")
    assert (str(both), both.command()[-3:]) == ("mpv:tcp:quick", ("--transport", "tcp", "--quick"))
    assert parse_program("mpv:tcp").command() == ("mpv", "rtsp://server:5004/", "--transport", "tcp")


def test_the_lab_and_the_driver_know_the_same_players_and_words():
    assert set(PLAYERS) == set(DRIVEN)
    assert tuple(word("vlc", command) for command in STEERING) == COMMANDS
    assert [word("flume", command) for command in STEERING] == [str(command) for command in STEERING]
