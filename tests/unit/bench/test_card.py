"""How the bench counts the memory of several processes."""

import mmap
import os

import pytest

from bench.card import frames, proportional_bytes


def test_the_proportional_size_is_read_from_the_kernels_text() -> None:
    text = "55d-7ff ---p 00000000 00:00 0 [rollup]\nRss:  9000 kB\nPss:  5012 kB\nPss_Anon:  700 kB\n"
    assert proportional_bytes(text) == 5012 << 10


@pytest.mark.skipif(os.geteuid() != 0, reason="the kernel shows page frames to root alone")
def test_pages_are_counted_that_were_touched_and_no_others() -> None:
    before = frames(os.getpid())
    with mmap.mmap(-1, 64 << 20) as memory:
        untouched = frames(os.getpid())
        memory[: 16 << 20] = bytes(16 << 20)
        grown = len(frames(os.getpid()) - untouched) * mmap.PAGESIZE
    assert len(before) > 100
    assert 15 << 20 < grown < 20 << 20
