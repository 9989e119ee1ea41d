"""What containers say, and waiting for it."""

import threading

import pytest

from flume.errors import LabError
from flume.lab.commands.status import last_statistics
from flume.lab.run.event_log import Feed


def test_the_latest_of_each_kind_is_kept_and_counted():
    feed = Feed("client-1")
    for line in ('{"event":"statistics","n":1}', '{"event":"state","state":"active"}', '{"event":"statistics","n":2}'):
        feed.on_line(line)
    assert feed.latest("statistics") == {"event": "statistics", "n": 2}
    assert feed.count("statistics") == 2
    assert feed.latest("first_frame") is None


def test_waiting_ends_with_the_fact_and_not_with_time():
    feed = Feed("client-1")
    timer = threading.Timer(0.05, feed.on_line, ['{"event":"ready"}'])
    timer.start()
    feed.wait_until("be ready", lambda seen: seen.latest("ready") is not None, timeout_s=30)
    timer.join()


def test_a_time_out_and_an_early_end_carry_the_last_words():
    feed = Feed("client-1")
    feed.on_error("vlc: no plug-ins")
    feed.on_line("not json")
    feed.on_line('{"event":"error","message":"no route"}')
    words = r"vlc: no plug-ins \| not json \| no route"
    with pytest.raises(LabError, match=rf"client-1 did not listen within 0.01 s; its last words: {words}"):
        feed.wait_until("listen", lambda seen: False, timeout_s=0.01)
    with pytest.raises(LabError, match=rf"client-1 ended while it should listen; its last words: {words}"):
        feed.wait_until("listen", lambda seen: False, timeout_s=30, ended=lambda: True)


def test_the_last_statistics_are_found_among_other_lines():
    log = (
        'starting\n{"event":"statistics","datagrams":1}\n{"event":"statistics","datagrams":7}\n{"event":"state"}\n[1]\n'
    )
    assert last_statistics(log)["datagrams"] == 7
    assert last_statistics("nothing\n") == {}
