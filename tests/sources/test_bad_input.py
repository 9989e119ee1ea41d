"""Bad input between good films: what is said, what a client sees, that the next item plays, and that nothing grows."""

import concurrent.futures
import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sources import bad_serving as bad
from sources.catalogue.clips import H264, picture, tone
from sources.entry import Serving
from sources.playing import NoServerError, Server, server_of
from support.clients.recorder import Recorder
from support.media import surgery
from support.media.decoding import decode, decode_ts
from support.media.recipes import ff, make, py, write
from support.paths import ROOT

SIDE_BY_SIDE = 10
DEADLINE_S = 17.0
"""Opening and progress have deadlines of 14 s; the next item is there soon after."""

BUSY = "-c:v mpeg2video -b:v 3M -maxrate 3M -bufsize 1M -g 12 -vf noise=alls=90:allf=t -c:a mp2"
MPEG2 = "-c:v mpeg2video -b:v 600k -g 12 -c:a mp2"


@dataclasses.dataclass(frozen=True)
class Case:
    """*name*; the sources, with the bad one in the middle; what the log must say of it; the longest silence."""

    name: str
    says: str
    serving: Serving | None = None
    sources: tuple[str, ...] = ("good.ts", "BAD", "good.ts")
    silence_s: float = 2.0
    counted: str | None = "failed_items"
    fails: bool = True
    """Whether ``--once`` ends with status 1: an item was left out."""
    change: Callable[[Path], None] | None = None
    """What is done to the bad file a second after it began to play."""
    known: str = ""
    """Why it fails today."""


@pytest.fixture(scope="module")
def folder() -> Path:
    """Two films, and everything bad that is a file."""
    return make(
        "bad-input",
        (
            ff(f"{picture(1.5, size='320x180')} {tone(1.5)} {MPEG2} good.ts"),
            ff(f"{picture(8, size='320x180')} {tone(8)} {BUSY} long.ts"),
            ff(f"{picture(2)} {tone(2)} {H264} -c:a aac whole.mp4"),
            ff(f"{picture(3, size='320x180')} {tone(3)} {MPEG2} slow.ts"),
            py(surgery.truncate, "whole.mp4", "headless.mp4", 0.5),
            write("text.mp4", "I am not a video\n" * 2000),
            write("page.mp4", "<!DOCTYPE html><html><body>404</body></html>" * 100),
            write("empty.mp4", ""),
            write("zeros.ts", bytes(2_000_000)),
            py(random_file, "random.mp4"),
            py(bad.fifo),
            py(surgery.link, "self.mp4", "self.mp4"),
            py(surgery.link, "one.mp4", "two.mp4"),
            py(surgery.link, "two.mp4", "one.mp4"),
            py(surgery.link, "zero.mp4", "/dev/zero"),
            write("film.mp4/inside.txt", "a folder with the name of a film"),
            write("loop/x.txt", ""),
            py(surgery.link, "loop/loop", "../loop"),
            py(bad.many, "good.ts", "many", 10_000),
            py(bad.many, "text.mp4", "texts", 100),
        ),
    )


def random_file(folder: Path, name: str) -> None:
    (folder / name).write_bytes(os.urandom(300_000))


CASES = (
    Case("text", r"text.mp4 is skipped: .+", sources=("good.ts", "text.mp4", "good.ts")),
    Case("page-of-the-web", r"page.mp4 is skipped: .+", sources=("good.ts", "page.mp4", "good.ts")),
    Case("random", r"random.mp4 is skipped: .+", sources=("good.ts", "random.mp4", "good.ts"), silence_s=4),
    Case("zeros", r"zeros.ts is skipped: .+", sources=("good.ts", "zeros.ts", "good.ts"), silence_s=4),
    Case("header-is-missing", r"headless.mp4 is skipped: .+", sources=("good.ts", "headless.mp4", "good.ts")),
    Case("silent-address", r"no answer|gives no video", bad.bad_address(bad.silent), silence_s=DEADLINE_S),
    Case("stalls-at-the-start", r"bad.ts", bad.bad_address(bad.stalls(0.002)), silence_s=DEADLINE_S),
    Case("stalls-in-the-middle", r"broke off|no answer|gave nothing", bad.bad_address(bad.stalls(0.3)),
         silence_s=DEADLINE_S),
    Case("stalls-at-the-end", r"broke off|no answer|gave nothing", bad.bad_address(bad.stalls(0.999)),
         silence_s=DEADLINE_S),
    Case("breaks-off", r"broke off|was to play", bad.bad_address(bad.breaks_off), silence_s=3,
         counted="failed|missing"),
    Case("slow", r"reading .*bad.ts", bad.bad_address(bad.slow(50_000), file="slow.ts"), silence_s=8, counted=None,
         fails=False),
    Case("redirects-in-circles", r"bad.ts is skipped: .+", bad.bad_address(bad.redirects)),
    Case("not-found", r"bad.ts is skipped: .*404", bad.bad_address(bad.status("404 Not Found"))),
    Case("server-error", r"bad.ts is skipped: .*5(03|XX)", bad.bad_address(bad.status("503 Service Unavailable"))),
    Case("portal", r"bad.ts is skipped: .+", bad.bad_address(bad.page)),
    Case("nobody-listens", r"bad.ts is skipped: .*refused", bad.closed_port),
    Case("no-such-host", r"is skipped: .+", sources=("good.ts", "http://no-such-host.invalid/a.ts", "good.ts"),
         silence_s=12),
    Case("shrinks", r"bad-shrink.ts", bad.copied("bad-shrink.ts"), silence_s=3, counted=None, fails=False,
         change=bad.shrink),
    Case("vanishes", r"reading bad-vanish.ts", bad.copied("bad-vanish.ts"), counted=None, fails=False,
         change=bad.vanish),
    Case("is-overwritten", r"bad-overwrite.ts", bad.copied("bad-overwrite.ts"), silence_s=DEADLINE_S,
         counted=None, fails=False, change=bad.overwrite),  # all noise from there on
)  # fmt: skip

REFUSED = (
    ("text.mp4", "text.mp4"),
    ("empty.mp4", "empty"),
    ("bad.ts", "neither a file nor a folder|FIFO|pipe"),
    ("self.mp4", "link"),
    ("one.mp4", "link"),
    ("film.mp4", "no video"),
    ("loop", "no video"),
    ("/dev/zero", "/dev/zero"),
    ("/dev/full", "/dev/full"),
    ("zero.mp4", "neither a file nor a folder|device|zero"),
    ("gone.mp4", "does not exist"),
    ("/proc/self/mem", "mem"),
)
"""What is named and cannot be played: the server says so in one line and ends with status 1."""


@dataclasses.dataclass
class Result:
    """What a client saw of a case."""

    client: Recorder
    log: str
    exit_status: int | str
    seconds: float


def play(case: Case, folder: Path) -> Result:
    serving = case.serving(folder) if case.serving else contextlib.nullcontext(list(case.sources))
    with serving as sources, server_of(sources, "--once", cwd=folder) as server:
        begun_s = time.monotonic()
        with Recorder(server.port()) as client:
            client.connect()
            if case.change is not None:
                client.run(for_s=30, until=lambda _: "reading bad-" in server.log())
                client.run(for_s=1.0)
                case.change(folder / f"bad-{case.change.__name__}.ts")
            client.run(for_s=60)
            assert client.closed, f"it plays on: {server.last_line()}"
        try:
            status: int | str = server.process.wait(5)
        except subprocess.TimeoutExpired:
            status = server.end()
        return Result(client, server.log(), status, time.monotonic() - begun_s)


@pytest.fixture(scope="module", autouse=True)
def results(request: pytest.FixtureRequest, folder: Path) -> Iterator[dict[str, "concurrent.futures.Future[Result]"]]:
    """Play the cases that were chosen, side by side: most of them only wait."""
    params = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    chosen = {each["case"].name for each in params if "case" in each}
    with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        yield {case.name: pool.submit(play, case, folder) for case in CASES if case.name in chosen}


@pytest.mark.parametrize(("name", "says"), REFUSED, ids=[name.strip("/").replace("/", "-") for name, _ in REFUSED])
def test_what_is_named_alone_and_cannot_be_played_is_one_line(folder: Path, name: str, says: str) -> None:
    with server_of([name], cwd=folder) as server:
        with pytest.raises(NoServerError):
            server.port(timeout_s=25)
        assert server.process.wait(5) == 1
        assert server.last_line().startswith("flume: ")
        assert re.search(says, server.last_line()), server.last_line()
        assert "Traceback" not in server.log()
        assert server.log().count("\n") < 12


def test_a_program_that_is_not_there_is_said_with_those_that_are(folder: Path) -> None:
    with server_of(["good.ts"], "--program", "9", cwd=folder) as server:
        with pytest.raises(NoServerError):
            server.port()
        assert re.search(r"no program '9'; it has 1", server.last_line())


def test_a_folder_of_ten_thousand_films_starts_at_once(folder: Path) -> None:
    with server_of(["many"], cwd=folder) as server:
        begun_s = time.monotonic()
        with Recorder(server.port()) as client:
            assert time.monotonic() - begun_s < 6
            client.connect()
            client.run(for_s=2)
            assert len(client.payloads) > 50
        assert server.peak_mib() < 400
        assert server.end(timeout_s=3) == 0


def test_many_bad_files_neither_flood_the_log_nor_take_the_server(folder: Path) -> None:
    with server_of(["good.ts", "texts", "good.ts"], "--once", cwd=folder) as server:
        with Recorder(server.port()) as client:
            client.connect()
            client.run(for_s=60)
            assert client.closed
        assert server.process.wait(5) == 1
        assert server.log().count("\n") < 1000
        assert "Traceback" not in server.log()


def test_nothing_grows_over_many_bad_items(folder: Path) -> None:
    sources = ["good.ts", "text.mp4", "random.mp4", "headless.mp4", "page.mp4", "empty.mp4", "self.mp4"]
    with server_of(sources, cwd=folder) as server, Recorder(server.port()) as client:
        client.connect()
        client.run(for_s=5)
        before = measured(server)
        client.run(for_s=12)
        after = measured(server)
        assert client.counts["failed_items"] > 8
        assert not client.closed
        assert after[0] <= before[0] + 2, f"descriptors: {before} → {after}"
        assert after[1] <= before[1], f"threads: {before} → {after}"
        assert after[2] <= before[2] + 25, f"MiB: {before} → {after}"
        assert len(server.children()) <= 2
        assert server.end(timeout_s=3) == 0


def measured(server: Server) -> tuple[int, int, float]:
    """Return descriptors, threads and MiB of the server."""
    process = Path(f"/proc/{server.process.pid}")
    resident = re.search(r"VmRSS:\s+(\d+)", (process / "status").read_text())
    assert resident
    return len(list((process / "fd").iterdir())), len(list((process / "task").iterdir())), int(resident[1]) / 1024


def test_sigterm_ends_a_server_that_waits_for_an_address(folder: Path) -> None:
    with (
        bad.bad_address(bad.silent, good=("good.ts",))(folder) as sources,
        server_of(sources, cwd=folder) as server,
        Recorder(server.port()) as client,
    ):
        client.connect()
        client.run(for_s=3.0)
        begun_s = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        client.run(for_s=5)
        assert client.closed
        assert server.process.wait(5) == 0
        assert time.monotonic() - begun_s < 2.0


def test_a_file_without_permission_is_said(folder: Path, tmp_path: Path) -> None:
    """Root may read everything, unless it has given up that capability."""
    shut = tmp_path / "shut.ts"
    shut.write_bytes((folder / "good.ts").read_bytes())
    shut.chmod(0)
    program = [sys.executable, "-m", "flume.cli", "serve", "--host", "127.0.0.1", "--port", "0"]
    if os.geteuid() == 0:
        drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
        probe = subprocess.run([*drop, "cat", shut], check=False, capture_output=True, timeout=10)
        if b"Permission denied" not in probe.stderr:
            pytest.skip(f"root cannot give up its capabilities here: {probe.stderr!r}")
        program = [*drop, *program]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "services")}
    done = subprocess.run([*program, str(shut)], env=environment, check=False, capture_output=True, timeout=30)
    assert done.returncode == 1
    assert re.search(r"may not be read|permission", done.stderr.decode(), re.IGNORECASE), done.stderr.decode()
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bad_item_is_said_and_the_next_one_plays(
    case: Case, folder: Path, tmp_path: Path, results: "dict[str, concurrent.futures.Future[Result]]"
) -> None:
    result = results[case.name].result()
    if case.known:
        pytest.xfail(case.known)
    log = result.log
    assert re.search(case.says, log), log
    assert "Traceback" not in log
    assert all(len(line) < 600 for line in log.splitlines())
    assert result.exit_status == (1 if case.fails else 0), log
    client = result.client
    assert client.gaps == 0
    pauses = [later - earlier for earlier, later in zip(client.times_s, client.times_s[1:], strict=False)]
    assert max(pauses) <= case.silence_s, f"{max(pauses):.1f} s without a datagram"
    path = tmp_path / "out.ts"
    path.write_bytes(client.data)
    good = [one.checksum for one in decode(folder / "good.ts").pictures]
    got = [one.checksum for one in decode_ts(path).pictures]
    assert got[: len(good)] == good, "the item before it is whole"
    assert got[-len(good) :] == good, "the item after it is whole"
    if case.counted:
        assert re.search(case.counted, " ".join(client.counts)) or case.fails
