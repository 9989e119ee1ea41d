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
    pid = os.getpid()
    assert len(frames(pid)) > 100
    with mmap.mmap(-1, 256 << 20) as memory:
        untouched = len(frames(pid))
        for begin in range(0, 64 << 20, mmap.PAGESIZE):
            memory[begin] = 1
        grown = (len(frames(pid)) - untouched) * mmap.PAGESIZE
    # The interpreter takes and gives back some pages meanwhile, not half of 64 MiB.
    assert 48 << 20 < grown < 96 << 20
