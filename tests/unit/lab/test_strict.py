"""Files that a person writes: a mistake is refused with its line."""

import pytest

from flume.errors import SettingsError
from flume.lab.strict import FileValue, decode, line_of
from flume.settings import check

TEXT = """# a comment
title = "x"
count = 3

[limits]
most = 5

[[step]]
at = 1
[[step]]
at = 2
"""


class Limits(FileValue, frozen=True, kw_only=True):
    most: int = 9


class Step(FileValue, frozen=True, kw_only=True):
    at: int


class Whole(FileValue, frozen=True, kw_only=True):
    title: str
    count: int
    limits: Limits = Limits()
    step: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        check(self.count < 10, "count", self.count, "below 10")


def test_a_good_file_is_read():
    whole = decode(TEXT, Whole, key="file", file="good.toml")
    assert (whole.count, whole.limits.most, [step.at for step in whole.step]) == (3, 5, [1, 2])


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("count = 3", 'count = "3"', "line 3: Expected `int`"),
        ("count = 3", "count = 12", "line 3: count=12 is not possible: below 10"),
        ("count = 3", "cuont = 3", "line 3: Object contains unknown field `cuont`"),
        ("most = 5", "most = 5.5", "line 6: "),
        ("most = 5", "least = 5", "line 6: "),
        ("at = 2", "at = []", "line 11: "),
        ("at = 2", "", "line 10: Object missing required field `at`"),
        ("title =", "title", "line 2"),
    ],
)
def test_a_mistake_is_refused_with_its_line(old, new, line):
    with pytest.raises(SettingsError) as refused:
        decode(TEXT.replace(old, new), Whole, key="file", file="bad.toml")
    assert line in str(refused.value)
    assert str(refused.value).startswith("file='bad.toml' is not possible: ")


def test_a_key_that_no_line_has_is_in_no_line():
    assert line_of(TEXT, "absent") is None
    assert line_of("", "") is None
