"""Room for sessions, by the limit on open files as it is now."""

import os
import resource

import pytest

from flume.server.limits.descriptors import RESERVED, Descriptors


@pytest.fixture
def descriptors(monkeypatch):
    made = Descriptors()
    made.begin()
    limit = [1024]
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (limit[0], 4096))
    yield made, limit
    made.close()


def test_the_room_is_what_is_left_beside_the_reserve_and_follows_the_limit(descriptors):
    made, limit = descriptors
    assert made.room() == (1024 - made._own - RESERVED) // 2
    limit[0] = resource.RLIM_INFINITY
    assert made.room() > 1_000_000
    limit[0] = 3
    assert made.room() == 0


def test_the_spare_one_can_be_used_while_it_is_given_up(descriptors):
    made, _ = descriptors
    number = made._spare
    with made.spare():
        opened = os.open(os.devnull, os.O_RDONLY)
        assert opened == number, "the lowest free one"
        os.close(opened)
    assert made._spare >= 0
    made.close()
    made.close()
    assert made._spare == -1
