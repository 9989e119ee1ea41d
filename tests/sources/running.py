"""Makes all inputs, plays many at a time, and judges each."""

import concurrent.futures
import dataclasses
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from sources.comparing import compare, expected, length_s
from sources.entry import Entry
from sources.playing import Played, play
from support.media.decoding import Decoded
from support.media.recipes import make

SIDE_BY_SIDE = 20
"""Servers at a time. They send in real time, so that two CPUs are idle for most of it."""

MAKERS = 4
DECODERS = 2


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of one entry. *problems* is empty when it kept its promise."""

    entry: Entry
    problems: tuple[str, ...]
    played: Played | None = None
    seconds: float = 0.0


class Run:
    """Runs entries in the background, so that the first result is there while the last input still plays."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._pool = concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE, "playing")
        self._makers = concurrent.futures.ThreadPoolExecutor(MAKERS, "making")
        self._decoders = threading.Semaphore(DECODERS)
        # The longest first, so that none of them is alone at the end.
        self._folders = {each.name: self._makers.submit(make, each.name, each.steps) for each in entries}
        self._results = {each.name: self._pool.submit(self._outcome, each) for each in entries}

    def outcome(self, name: str) -> Outcome:
        """Wait for the outcome of the entry *name*."""
        return self._results[name].result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._makers.shutdown(cancel_futures=True)

    def _outcome(self, entry: Entry) -> Outcome:
        begun_s = time.monotonic()
        folder = self._folders[entry.name].result()
        with self._decoders:
            parts = promised(entry, folder)
        seconds = entry.loop_s or sum(map(length_s, parts, entry.expected()))
        problems = sane(entry, parts)
        if problems:
            return Outcome(entry, tuple(problems))
        played = play(entry, folder, seconds=seconds)
        with self._decoders:
            problems = compare(entry, played, parts)
        return Outcome(entry, tuple(problems), played, time.monotonic() - begun_s)


def promised(entry: Entry, folder: Path) -> list[Decoded]:
    known: dict[object, Decoded] = {}
    for part in entry.expected():
        if part not in known:
            known[part] = expected(part, folder, entry.transcoded)
    return [known[part] for part in entry.expected()]


def sane(entry: Entry, parts: Sequence[Decoded]) -> list[str]:
    """Return why the recipe's own files promise nothing, which no server could break."""
    problems = []
    for decoded, part in zip(parts, entry.expected(), strict=True):
        if not decoded.pictures and not decoded.of("audio"):
            problems.append(f"the recipe is wrong: {part.file} has neither pictures nor sound")
    pictures = sum(len(decoded.pictures) for decoded in parts)
    if entry.pictures is not None and pictures != entry.pictures:
        problems.append(f"the recipe is wrong: {pictures} pictures instead of {entry.pictures}")
    return problems


def main() -> None:
    """Play the entries whose names contain one of the arguments, and print what came of them."""
    import sys

    from sources.catalogue import ENTRIES

    words = sys.argv[1:]
    chosen = [each for each in ENTRIES if not words or any(word in each.name for word in words)]
    run, failed = Run(chosen), 0
    begun_s = time.monotonic()
    for each in chosen:
        try:
            outcome = run.outcome(each.name)
        except Exception as error:
            outcome = Outcome(each, (f"{type(error).__name__}: {error}",))
        failed += bool(outcome.problems)
        print(f"{'FAIL' if outcome.problems else 'ok  '} {each.name} ({outcome.seconds:.1f} s)", flush=True)
        for problem in outcome.problems:
            print(f"       {problem[:400]}")
        if outcome.problems and len(chosen) < 4 and outcome.played:
            print(outcome.played.log[-3000:])
            print(outcome.played.recorder.status if outcome.played.recorder else "")
    run.close()
    print(f"{len(chosen)} inputs, {len(chosen) - failed} pass, {failed} fail, {time.monotonic() - begun_s:.0f} s")


if __name__ == "__main__":
    main()
