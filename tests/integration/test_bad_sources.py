"""Sources that misbehave under a real server: the stream continues, and ``status`` counts each fault."""

import itertools
import select
import time
from collections.abc import Callable

import pytest

from flume.control.codec import FORMER_COUNTS
from flume.server.sources.source import ItemEnded, ItemFailed, ItemStarted, SourceEvent, TsBytes
from support.clients.numbers import assert_consecutive
from support.clients.wire_client import WireClient, sequences
from support.media.camera import FPS, CameraSource, SyntheticCamera
from support.media.synthetic import SyntheticSource
from support.media.ts_stream import Check
from support.servers.running_server import RunningServer

VIDEO, PMT = 0x100, 0x1000
PCR_HZ = 27_000_000


class Viewer:
    """A client that keeps the datagrams that it receives, with their times of arrival."""

    def __init__(self, server: RunningServer) -> None:
        self.client = WireClient(server.port)
        self.datagrams: list[bytes] = []
        self.times_s: list[float] = []

    def __enter__(self) -> "Viewer":
        self.client.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def watch(self, *, for_s: float = 30.0, until: Callable[["Viewer"], bool] | None = None) -> None:
        """Receive for *for_s*; with *until*, stop when it is true, and fail if it is not by then."""
        deadline_s = time.monotonic() + for_s
        token_s = 0.0
        while (left_s := deadline_s - time.monotonic()) > 0:
            if until is not None and until(self):
                return
            if time.monotonic() - token_s > 1:
                token_s = time.monotonic()
                self.client.send_token()
            if select.select([self.client.media], [], [], min(left_s, 0.1))[0]:
                self.datagrams.append(self.client.media.recv(65536))
                self.times_s.append(time.monotonic())
        assert until is None, f"did not happen within {for_s:g} s"

    def status(self) -> dict:
        """Return the server's part of ``status``."""
        return self.client.ask("status")["server"]

    def check(self, *, gap_s: float = 0.8) -> Check:
        """Assert what must hold whatever the source did; return the checker for further assertions."""
        assert_consecutive(sequences(self.datagrams))
        check = Check(b"".join(datagram[12:] for datagram in self.datagrams))
        steps = [after - before for (_, before), (_, after) in itertools.pairwise(check.pcrs)]
        assert min(steps) >= 0
        assert max(steps) <= gap_s * PCR_HZ
        return check

    def longest_silence_s(self) -> float:
        return max(after - before for before, after in itertools.pairwise(self.times_s))


def counted(name: str, least: int = 1) -> Callable[[Viewer], bool]:
    """Return a condition: the server has counted *name* at least *least* times. It asks every 0.1 s."""
    asked_s = [0.0]

    def condition(viewer: Viewer) -> bool:
        if time.monotonic() - asked_s[0] < 0.1:
            return False
        asked_s[0] = time.monotonic()
        return viewer.status()["source_counts"].get(name, 0) >= least

    return condition


@pytest.mark.parametrize(("stall_s", "keep"), [(0.6, False), (3.0, False), (3.0, True)])
def test_a_source_that_stalls_continues_where_it_was(stall_s, keep):
    source = CameraSource(SyntheticCamera())
    with RunningServer(source) as server, Viewer(server) as viewer:
        viewer.watch(for_s=1.5)
        assert viewer.status()["source_counts"] == {}
        source.stall(stall_s, keep=keep)
        if stall_s > 1:
            viewer.watch(until=lambda viewer: viewer.status()["ingest"] == "stalled")
        viewer.watch(until=counted("stalls"))
        viewer.watch(for_s=1.5)
        assert viewer.status()["ingest"] == "running"
        assert viewer.status()["source_counts"]["stalls"] == 1
        assert viewer.longest_silence_s() > stall_s - 0.5
        check = viewer.check()
        assert check.continuity_errors == 0
        seen_s = (viewer.times_s[-1] - viewer.times_s[0]) - viewer.longest_silence_s()
        assert len(check.pes[VIDEO]) == pytest.approx(seen_s * FPS, abs=15), "no burst after it"


def test_a_live_source_faster_than_real_time_loses_groups_of_pictures_and_no_client_waits():
    source = CameraSource(SyntheticCamera(), speed=2.0)
    with RunningServer(source) as server, Viewer(server) as viewer:
        viewer.watch(until=counted("overruns", 2))
        viewer.watch(for_s=1.0)
        counts = viewer.status()["source_counts"]
        assert set(counts) == {"overruns", "overrun_packets"}
        assert server.server._ingest.lead_s() < 6
        check = viewer.check()
        assert check.continuity_errors == 0
        assert viewer.longest_silence_s() < 0.5
        seen_s = viewer.times_s[-1] - viewer.times_s[0]
        assert len(check.pes[VIDEO]) == pytest.approx(seen_s * FPS, abs=15)
        with Viewer(server) as second:
            second.watch(for_s=0.5)
            assert second.check().pids[PMT]


def test_a_file_that_can_be_read_faster_than_real_time_waits_and_loses_nothing():
    source = CameraSource(SyntheticCamera(), speed=50.0, live=False)
    with RunningServer(source) as server, Viewer(server) as viewer:
        viewer.watch(for_s=2.0)
        assert viewer.status()["source_counts"] == {}
        assert server.server._ingest.lead_s() < 1.2
        assert viewer.check().continuity_errors == 0


def test_a_live_source_of_unlimited_speed_does_not_take_the_cpu():
    with RunningServer(SyntheticSource(live=True)) as server, Viewer(server) as viewer:
        viewer.watch(until=counted("overruns"))
        begun_s = time.process_time()
        viewer.watch(for_s=1.0)
        assert time.process_time() - begun_s < 0.6
        viewer.check()


def _change_tables(camera: SyntheticCamera) -> None:
    """Switch to another codec, other PIDs and no audio, in the middle of a group of pictures."""
    builder = camera.builder
    builder.video, builder.audio, builder.video_type, builder.pcr_pid, camera.pcr_pid = 301, None, 0x02, 301, 301
    builder.version, camera.tables_due, camera.number = 1, True, 5


def test_a_change_of_tables_is_followed_and_no_client_joins_before_it():
    source = CameraSource(SyntheticCamera(gop=50))
    with RunningServer(source) as server, Viewer(server) as before:
        before.watch(for_s=1.2)
        first_part = len(before.datagrams)
        source.change(_change_tables)
        before.watch(until=lambda viewer: any(b"\x47\x50\x00" in one for one in viewer.datagrams[first_part:]))
        before.watch(until=lambda viewer: len(Check(b"".join(d[12:] for d in viewer.datagrams)).tables[PMT]) == 2)
        with Viewer(server) as after:
            after.watch(for_s=2.5)
            assert after.status()["source_counts"] == {"table_changes": 1}
            new = after.check()
        before.watch(for_s=0.1)
        both = before.check()
        assert both.continuity_errors == 0
        assert [table[5] >> 1 & 31 for table in sorted(both.tables[PMT], key=lambda table: table[5])] == [0, 1]
        assert len(new.tables[PMT]) == 1
        (table,) = new.tables[PMT]
        assert table[5] >> 1 & 31 == 1
        assert table in both.tables[PMT]
        assert set(new.pids) <= {0, PMT, VIDEO, 0x1FFF}, "no PID of the old tables"


def _alter_one(change: Callable[[bytes], bytes]) -> Callable[[SyntheticCamera], None]:
    """Return an action that changes the third packet of the camera's next frame."""

    def action(camera: SyntheticCamera) -> None:
        def alter(data: bytes) -> bytes:
            camera.alter = bytes
            return data[:376] + change(data[376:564]) + data[564:]

        camera.alter = alter

    return action


def _set_clock(seconds: float) -> Callable[[SyntheticCamera], None]:
    def action(camera: SyntheticCamera) -> None:
        camera.clock += round(seconds * 90_000)

    return action


def _hide_pcr(camera: SyntheticCamera) -> None:
    camera.pcr_pid = None


def _damage_tables(camera: SyntheticCamera) -> None:
    def alter(data: bytes) -> bytes:
        camera.alter = bytes
        return data[:187] + bytes([data[187] ^ 1]) + data[188:]

    camera.builder.version, camera.tables_due, camera.alter = 2, True, alter


def test_each_fault_has_its_name_in_status_and_the_stream_continues():
    source = CameraSource(SyntheticCamera())
    events = {
        "pcr_jumps": _set_clock(3600),
        "damaged_packets": _alter_one(lambda packet: b"\x47\x80" + packet[2:]),
        "continuity_gaps": _alter_one(lambda packet: b""),
        "duplicate_packets": _alter_one(lambda packet: packet * 2),
        "resyncs": _alter_one(lambda packet: packet + b"garbage"),
        "unreferenced_packets": _alter_one(lambda packet: packet + b"\x47\x1f\xf0\x10" + bytes(184)),
        "damaged_tables": _damage_tables,
        "pcr_gaps": _hide_pcr,
    }
    with RunningServer(source) as server, Viewer(server) as viewer:
        viewer.watch(for_s=1.0)
        for name, action in events.items():
            seen = viewer.status()["source_counts"].get(name, 0)
            source.change(action)
            viewer.watch(until=counted(name, seen + 1), for_s=5)
        viewer.watch(for_s=1.0)
        # It takes 0.5 s to notice that no PCR comes: more than the lead of a live source, so it may stall.
        counted_as = {*events, "skipped_bytes", *FORMER_COUNTS}
        assert set(viewer.status()["source_counts"]) - {"stalls"} == counted_as
        check = viewer.check()
        assert viewer.longest_silence_s() < 1.0
        assert len(check.pes[VIDEO]) == pytest.approx((viewer.times_s[-1] - viewer.times_s[0]) * FPS, abs=15)


class BrokenItems:
    """A source whose every second item breaks off in the middle of a packet."""

    name, live = "broken items", False

    def __init__(self) -> None:
        self._events = self._all()

    def _all(self):
        for number in itertools.count():
            yield ItemStarted(f"item {number}")
            camera = SyntheticCamera()
            for _ in range(30):
                yield TsBytes(camera.frame())
            yield TsBytes(camera.frame()[:500])
            yield ItemFailed(f"item {number}", "broke off") if number % 2 else ItemEnded(f"item {number}")

    def read(self, *, timeout_s: float) -> SourceEvent | None:
        return next(self._events)

    def stop(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_items_that_break_off_are_counted_and_followed_by_the_next():
    with RunningServer(BrokenItems()) as server, Viewer(server) as viewer:
        viewer.watch(until=counted("failed_items", 2))
        viewer.watch(for_s=2.0)
        assert set(viewer.status()["source_counts"]) == {"failed_items", "skipped_bytes"}
        check = viewer.check()
        assert check.continuity_errors == 0
        assert viewer.longest_silence_s() < 0.3


def _stop_video(camera: SyntheticCamera) -> None:
    camera.is_without_video = True


def test_when_the_video_stops_the_audio_continues_and_can_be_joined():
    source = CameraSource(SyntheticCamera())
    with RunningServer(source) as server, Viewer(server) as viewer:
        viewer.watch(for_s=1.5)
        source.change(_stop_video)
        viewer.watch(until=counted("pcr_gaps"))
        viewer.watch(for_s=11.0)
        assert viewer.longest_silence_s() < 1.5
        with Viewer(server) as late:
            late.watch(for_s=1.0)
            assert late.datagrams[0][13:15] == b"\x40\0", "it begins with the tables"
            assert set(late.check().pids) == {0, PMT, 0x110, VIDEO, 0x1FFF}, "audio, and PCRs on the PID of the video"
            assert VIDEO not in late.check().pes
        check = viewer.check(gap_s=1.0)
        assert len(check.pes[0x110]) == pytest.approx((viewer.times_s[-1] - viewer.times_s[0]) * FPS, abs=25)
