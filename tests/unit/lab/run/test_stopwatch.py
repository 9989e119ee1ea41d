"""How long the steps of a run took."""

from flume.lab.run.stopwatch import Stopwatch


def test_steps_add_up_and_marks_stay():
    watch = Stopwatch(began_s=0.0)
    for _ in range(2):
        with watch.step("start"):
            watch.mark("first")
    first = watch.steps["first"]
    watch.mark("first")
    assert list(watch.steps) == ["first", "start"]
    assert watch.steps["first"] == first > 0
