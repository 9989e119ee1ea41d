"""Small parts of the runner; whole runs are tested on real labs."""

from typing import cast

import pytest

from flume.lab.containers.engine import Engine
from flume.lab.run.runner import closing_unless_interrupted


class Closable:
    closed = 0

    def close(self) -> None:
        self.closed += 1

    def as_engine(self) -> Engine:
        return cast("Engine", self)


def test_the_engine_is_closed_after_a_run_and_after_a_failure():
    engine = Closable()
    with closing_unless_interrupted(engine.as_engine()):
        pass
    with pytest.raises(ValueError, match="failed"), closing_unless_interrupted(engine.as_engine()):
        raise ValueError("failed")
    assert engine.closed == 2


def test_an_interrupt_leaves_the_engine_alone_because_its_locks_may_be_held():
    engine = Closable()
    with pytest.raises(KeyboardInterrupt), closing_unless_interrupted(engine.as_engine()):
        raise KeyboardInterrupt
    assert engine.closed == 0
