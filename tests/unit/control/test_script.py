"""Command sequences as text."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.control.script import Step, parse_script
from flume.control.session import Command
from flume.errors import SettingsError


def test_a_script_is_commands_and_waits():
    steps = parse_script("connect; wait 3;interrupt\nwait 25 %; continue;; wait 0.5s", duration_s=20)
    assert steps == (
        Step(Command.CONNECT),
        Step(None, 3.0),
        Step(Command.INTERRUPT),
        Step(None, 5.0),
        Step(Command.CONTINUE),
        Step(None, 0.5),
    )


@pytest.mark.parametrize(
    "text", ["", " ; ", "status", "wait", "wait -1", "wait 5%", "stop", "wait 1e9", "wait 99999999"]
)
def test_what_is_not_a_script_is_refused_by_name(text):
    with pytest.raises(SettingsError, match="script="):
        parse_script(text)


@given(st.text(max_size=60))
def test_arbitrary_text_raises_one_error_type_only(text):
    with contextlib.suppress(SettingsError):
        parse_script(text, duration_s=10)
