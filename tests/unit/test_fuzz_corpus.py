"""The kept corpus of the fuzz targets, without the fuzzer: no input fails, and every parser is reached."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from fuzz.corpus import CRASH, MAX_FILE_BYTES, MAX_FILES, inputs
from fuzz.running import outcome
from fuzz.targets import CORPUS, TARGETS, any_target
from support.paths import SERVICES

Parser = tuple[str, str]
"""A module below services/, and the qualified name of a function in it."""

UNREACHED: dict[Parser, str] = {
    ("flume/client/reception/media_socket.py", "MediaSocket.read_untrusted"): "it reads a socket and parses nothing",
    ("flume/client/reception/payload_path.py", "PayloadPath.push_untrusted"): "it is a protocol without a body",
    ("flume/server/fronts/paced_input.py", "Cutter.append_untrusted"): "it is a protocol without a body",
    ("flume/server/fronts/paced_input.py", "Cutter.take_untrusted"): "it is a protocol without a body",
    ("flume/server/sources/fetching.py", "fetch_untrusted"): "it opens an address, in a thread of its own",
    ("flume/server/sources/http_get.py", "get_untrusted"): "it opens an address; http.client parses",
}
"""Public functions that read untrusted bytes and that no target reaches, each with its reason."""


def untrusted(path: Path) -> Iterator[str]:
    """Yield the qualified names of the public functions of a module that end in ``_untrusted``."""
    scopes: list[tuple[str, ast.AST]] = [("", ast.parse(path.read_text()))]
    while scopes:
        prefix, scope = scopes.pop()
        for node in ast.iter_child_nodes(scope):
            if isinstance(node, ast.ClassDef):
                scopes.append((f"{prefix}{node.name}.", node))
            elif isinstance(node, ast.FunctionDef) and re.fullmatch(r"[a-z].*_untrusted", node.name):
                yield prefix + node.name


def replay(target: str) -> set[Parser]:
    """Give every kept input to *target*; return the functions of the product that were called."""
    called: set[Parser] = set()

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_name.endswith("_untrusted") and code.co_filename.startswith(f"{SERVICES}/"):
            called.add((code.co_filename.removeprefix(f"{SERVICES}/"), code.co_qualname))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        for path in inputs(target):
            TARGETS[target](path.read_bytes())
    finally:
        sys.setprofile(before)
    return called


@pytest.fixture(scope="module")
def called() -> dict[str, set[Parser]]:
    return {}


@pytest.mark.parametrize("target", TARGETS)
def test_no_kept_input_fails(target: str, called: dict[str, set[Parser]]) -> None:
    called[target] = replay(target)


def test_the_kept_corpus_reaches_every_parser_of_untrusted_bytes(called: dict[str, set[Parser]]) -> None:
    for target in TARGETS.keys() - called.keys():  # a test that runs alone
        called[target] = replay(target)
    public = {
        (path.relative_to(SERVICES).as_posix(), name) for path in SERVICES.rglob("*.py") for name in untrusted(path)
    }
    assert len(public) > 40
    reached = set[Parser]().union(*called.values())
    assert sorted(public - reached - UNREACHED.keys()) == [], "give it a target, or a reason in UNREACHED"
    assert sorted(UNREACHED.keys() - public) == [], "it is no longer there"
    assert sorted(UNREACHED.keys() & reached) == [], "a target reaches it"


@pytest.mark.parametrize("target", TARGETS)
def test_the_kept_corpus_is_small(target: str) -> None:
    found = list(inputs(target))
    assert found
    assert len([path for path in found if not path.name.startswith(CRASH)]) <= MAX_FILES
    assert all(path.stat().st_size <= MAX_FILE_BYTES for path in found)


def test_every_folder_of_the_corpus_is_of_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == TARGETS.keys()


def test_a_target_that_fails_is_found_by_its_invariant(monkeypatch: pytest.MonkeyPatch) -> None:
    """The framer loses a byte: the same stream in pieces gives other packets."""
    from flume.media.mpegts import Framer

    whole = Framer.feed_untrusted
    monkeypatch.setattr(Framer, "feed_untrusted", lambda self, data: whole(self, data[:-1] if len(data) == 3 else data))
    with pytest.raises(AssertionError):
        TARGETS["framer"](b"\x02" + (b"G" + bytes(187)) * 4)


def test_all_targets_in_one_process_are_told_apart_by_the_first_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    from fuzz import targets

    taken: list[tuple[str, bytes]] = []

    def taking(name: str) -> targets.Target:
        return lambda data: taken.append((name, data))

    monkeypatch.setattr(targets, "TARGETS", {name: taking(name) for name in ("a", "b")})
    for data in (b"", b"\0x", b"\1y", b"\2z"):
        any_target(data)
    assert taken == [("a", b"x"), ("b", b"y"), ("a", b"z")]


def test_what_libfuzzer_says_is_read() -> None:
    said = "#2\tINITED cov: 90 ft: 95\n#700\tNEW    cov: 97 ft: 99\nTest unit written to /x/framer-crash-1\n"
    found = outcome("framer", 77, said, [], Path("log"))
    assert (found.executions, found.coverage, found.failing) == (700, 97, Path("/x/framer-crash-1"))
    assert outcome("framer", 0, "stat::number_of_executed_units: 1234\n", [], Path("log")).executions == 1234
