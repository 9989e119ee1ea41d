"""RTP sequence numbers of what arrived: a hole, a repetition, or neither. Each failure names the numbers."""

import itertools
from collections import Counter
from collections.abc import Iterable

SHOWN = 20
"""Numbers in the message of a failure."""


def assert_consecutive(numbers: list[int]) -> None:
    """Fail unless each of *numbers* follows the one before, modulo 2^16."""
    breaks = [
        f"{second} after {first}" for first, second in itertools.pairwise(numbers) if (first + 1) % 65_536 != second
    ]
    assert not breaks, f"of {len(numbers)} datagrams from {numbers[0]} on: {', '.join(breaks[:SHOWN])}"


def assert_complete(numbers: list[int]) -> int:
    """Fail if a number between the others is missing, or there twice; return the first one.

    They come in any order: a busy host hands datagrams over from several CPUs.
    """
    counts = Counter((number - numbers[0] + 32_768) % 65_536 for number in numbers)
    first, last = min(counts), max(counts)

    def named(offsets: Iterable[int]) -> str:
        shown = [(numbers[0] + offset - 32_768) % 65_536 for offset in offsets]
        return f"{len(shown)} {shown[:SHOWN]}"

    missing = [offset for offset in range(first, last + 1) if offset not in counts]
    twice = [offset for offset, count in counts.items() if count > 1]
    assert not missing, f"missing of {last - first + 1}: {named(missing)}"
    assert not twice, f"more than once: {named(twice)}"
    return (numbers[0] + first - 32_768) % 65_536
