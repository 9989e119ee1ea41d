"""The events of a container, and waiting for one."""

import threading

import pytest

from flume.errors import LabError
from flume.lab.commands.present import events_of
from flume.lab.run.event_log import EventLog


def test_the_latest_of_each_kind_is_kept_and_counted():
    log = EventLog("client-1")
    for line in ('{"event":"statistics","n":1}', '{"event":"state","state":"active"}', '{"event":"statistics","n":2}'):
        log.on_line(line)
    assert log.latest("statistics") == {"event": "statistics", "n": 2}
    assert log.count("statistics") == 2
    assert log.latest("first_frame") is None


def test_every_record_of_frames_is_kept():
    log = EventLog("client-1")
    for number in (1, 2):
        log.on_line(f'{{"event":"frames","shown":[[7.0,{number}]]}}')
    assert [event["shown"] for event in log.kept("frames")] == [[[7.0, 1]], [[7.0, 2]]]


def test_waiting_ends_with_the_event_and_not_with_time():
    log = EventLog("client-1")
    timer = threading.Timer(0.05, log.on_line, ['{"event":"ready"}'])
    timer.start()
    log.wait_until("be ready", lambda seen: seen.latest("ready") is not None, timeout_s=30)
    timer.join()


def test_a_time_out_and_an_early_end_carry_the_last_output():
    log = EventLog("client-1")
    log.on_error("vlc: no plug-ins")
    log.on_line("not json")
    log.on_line('{"event":"error","message":"no route"}')
    output = r"vlc: no plug-ins \| not json \| no route"
    with pytest.raises(LabError, match=rf"client-1 did not listen within 0.01 s; its last output: {output}"):
        log.wait_until("listen", lambda seen: False, timeout_s=0.01)
    with pytest.raises(LabError, match=rf"client-1 ended while it should listen; its last output: {output}"):
        log.wait_until("listen", lambda seen: False, timeout_s=30, ended=lambda: True)


@pytest.mark.parametrize("line", ["\udcff", '{"event":"\udcff"}', '{"event":' + 5000 * "["])
def test_a_line_that_is_no_text_or_deeply_nested_is_kept_for_error_messages(line: str) -> None:
    log = EventLog("client-1")
    log.on_line(line)
    assert list(log._other_lines) == [line]
    assert events_of(f'{{"event":"statistics","n":1}}\n{line}\n')[0] == {"event": "statistics", "n": 1}
