"""A video with known losses gives exactly the known figures, and a clean one none; ffmpeg's own filters agree."""

import json
import math
import re
import statistics
from pathlib import Path

import msgspec
import pytest

from flume.errors import LabError
from flume.lab import ffmpeg
from flume.lab.evidence.facts import Counters, Subject
from flume.lab.pictures import stills
from flume.lab.pictures.compare import compare
from flume.lab.pictures.figures import PICTURES
from flume.lab.pictures.frames import FrameReader, SentFrame
from flume.lab.trial.measures import Measures, PictureFigures, Series
from flume.lab.trial.verdict import Report
from support.captures.pcap import CLIENT
from support.captures.streaming import DATAGRAM_BYTES, FIRST_SEQUENCE, PaperRun

FRAMES = 50
"""Of the 51 in the video the last one does not end: nothing follows it."""
GOP = 10


def frames_of(video: bytes) -> list[SentFrame]:
    reader = FrameReader()
    pieces = range(0, len(video), DATAGRAM_BYTES)
    return [
        frame
        for place, at in enumerate(pieces)
        for frame in reader.feed_untrusted(place, video[at : at + DATAGRAM_BYTES], gap=False)
    ]


def inside(video: bytes, number: int) -> int:
    """The datagram in the middle of frame *number*: it holds nothing of another frame."""
    frames = frames_of(video)
    others = {place for n in (number - 1, number + 1) for place in frames[n].places}
    return next(place for place in frames[number].places if place not in others)


def measured(run: PaperRun, report: Report) -> Measures:
    return compare(run.folder, report).clients[0].measures


def pictures(run: PaperRun, report: Report) -> PictureFigures:
    measures = measured(run, report)
    assert measures.pictures is not None, measures.not_measured
    return measures.pictures


def inputs(*paths: Path) -> list[str]:
    return [word for path in paths for word in ("-threads", "1", "-flags", "+output_corrupt", "-i", str(path))]


def by_ffmpeg(sent: Path, shown: Path, folder: Path) -> dict[str, list[float]]:
    """The values of each frame by one run of each filter over both whole files."""
    values = {}
    for name, pattern in (("ssim", r" Y:([\d.]+)"), ("psnr", r"psnr_y:(\S+)"), ("xpsnr", r"XPSNR y:\s*(\S+)")):
        graph = f"[0:v][1:v]{name}=stats_file={name}.txt"
        ffmpeg.run([*inputs(shown, sent), "-lavfi", graph, "-f", "null", "-"], doing=name, folder=folder)
        text = (folder / f"{name}.txt").read_text()
        values[name] = [min(100.0, float(value)) for value in re.findall(pattern, text)]
    graph = "[0:v][1:v]libvmaf=log_path=vmaf.json:log_fmt=json"
    ffmpeg.run([*inputs(shown, sent), "-lavfi", graph, "-f", "null", "-"], doing="vmaf", folder=folder)
    values["vmaf"] = [frame["metrics"]["vmaf"] for frame in json.loads((folder / "vmaf.json").read_text())["frames"]]
    return values


@pytest.mark.parametrize("over_tcp", [False, True])
def test_a_clean_run_shows_every_frame_as_it_was_sent(tmp_path: Path, video: bytes, over_tcp: bool) -> None:
    run = PaperRun(tmp_path, video, over_tcp=over_tcp)
    found = pictures(run, run.write())
    assert (found.compared, found.identical, found.not_decodable) == (FRAMES, FRAMES, 0)
    assert (found.counters_read, found.counters_differ) == (FRAMES, 0)
    assert found.ssim is not None
    assert found.psnr_db is not None
    assert found.vmaf is not None
    assert (found.ssim.least, found.psnr_db.least) == (1.0, 100.0)
    # The first frame moves from nowhere. libvmaf gives 97.43 for it beside itself, and 100 for the others.
    assert found.vmaf.least == pytest.approx(97.43, abs=0.01)
    assert found.vmaf.p5 == 100
    assert found.worst_sent is None
    assert {path.name for path in tmp_path.iterdir()} == {"captures"}


def test_the_folder_may_be_named_from_where_the_program_runs(
    tmp_path: Path, video: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = PaperRun(tmp_path / "run", video)
    report = run.write()
    monkeypatch.chdir(tmp_path)
    (client,) = compare(Path("run"), report).clients
    assert client.measures.pictures is not None, client.measures.not_measured


def test_a_damaged_frame_lasts_to_the_next_keyframe_and_all_filters_agree(tmp_path: Path, video: bytes) -> None:
    run = PaperRun(tmp_path / "run", video)
    lost = inside(video, GOP + 3)
    report = run.write(lost=[lost])
    found = pictures(run, report)
    damaged = GOP - 3
    assert (found.compared, found.identical, found.not_decodable) == (FRAMES, FRAMES - damaged, 0)

    sent, shown = tmp_path / "sent.ts", tmp_path / "shown.ts"
    sent.write_bytes(video)
    shown.write_bytes(video[: lost * DATAGRAM_BYTES] + video[(lost + 1) * DATAGRAM_BYTES :])
    theirs = by_ffmpeg(sent, shown, tmp_path)
    for ours, name in ((found.vmaf, "vmaf"), (found.ssim, "ssim"), (found.psnr_db, "psnr"), (found.xpsnr_db, "xpsnr")):
        values = sorted(theirs[name][:FRAMES])
        assert len(values) == FRAMES
        assert ours is not None
        assert ours.mean == pytest.approx(statistics.fmean(values), abs=0.02), name
        assert ours.p5 == pytest.approx(values[math.ceil(0.05 * FRAMES) - 1], abs=0.01), name
        assert ours.least == pytest.approx(values[0], abs=0.01), name
    assert found.vmaf is not None
    assert found.vmaf.least < 100
    assert sum(value < 100 for value in theirs["psnr"][:FRAMES]) == damaged

    assert found.worst_s is not None
    assert report.clients[0].active_windows[0][0] < found.worst_s < 2
    for file in (found.worst_sent, found.worst_shown):
        still = run.folder / str(file)
        assert still.read_bytes()[:2] == b"\xff\xd8"
        assert 1000 < still.stat().st_size <= 60_000
    assert compare(run.folder, report) == compare(run.folder, report)


def test_without_its_keyframe_no_frame_of_a_group_of_pictures_is_as_it_was_sent(tmp_path: Path, video: bytes) -> None:
    run = PaperRun(tmp_path, video)
    frames = frames_of(video)
    lost = {*frames[GOP].places} - {*frames[GOP - 1].places, *frames[GOP + 1].places}
    found = pictures(run, run.write(lost=lost))
    assert found.compared + found.not_decodable == FRAMES
    assert found.identical == FRAMES - GOP


def test_the_beginning_of_a_stream_without_its_keyframe_is_not_decodable(tmp_path: Path, video: bytes) -> None:
    run = PaperRun(tmp_path, video)
    found = pictures(run, run.write(lost=range(frames_of(video)[GOP].places[0])))
    assert (found.compared, found.identical, found.not_decodable) == (FRAMES - GOP, FRAMES - GOP, GOP)


def test_a_client_that_received_nothing_saw_nothing(tmp_path: Path, video: bytes) -> None:
    run = PaperRun(tmp_path, video)
    found = pictures(run, run.write(lost=range(len(run.datagrams))))
    assert (found.compared, found.identical, found.not_decodable) == (0, 0, FRAMES)
    assert (found.vmaf, found.ssim, found.worst_sent) == (None, None, None)


@pytest.mark.parametrize(("program", "late_s", "damaged"), [("flume", 0.1, 5), ("flume", 0.04, 0), ("vlc", 0.1, 0)])
def test_what_comes_too_late_for_the_jitter_buffer_is_not_shown(
    tmp_path: Path, video: bytes, program: str, late_s: float, damaged: int
) -> None:
    run = PaperRun(tmp_path, video)
    subject = Subject(name="client-1", address=CLIENT, tap="client-1", program=program)
    found = pictures(run, run.write(late_s={inside(video, 2 * GOP - 5): late_s}, subject=subject))
    assert (found.compared, found.identical, found.not_decodable) == (FRAMES, FRAMES - damaged, 0)


def test_the_reorder_time_of_the_run_counts(tmp_path: Path, video: bytes) -> None:
    run = PaperRun(tmp_path, video)
    report = run.write(late_s={inside(video, 2 * GOP - 5): 0.1})
    patient = msgspec.structs.replace(report, scenario={"reorder_ms": 200})
    assert pictures(run, patient).identical == FRAMES


def test_the_time_line_has_the_lowest_vmaf_of_each_bin(tmp_path: Path, video: bytes) -> None:
    run = PaperRun(tmp_path, video)
    report = run.write(lost=[inside(video, GOP + 3)])
    bins = int(report.duration_s / 0.1) + 1
    none = [0] * bins
    series = Series(
        bin_s=0.1,
        rate_kbit=[0.0] * bins,
        lost_link=none,
        lost_queue=none,
        lost_host=none,
        lost_beyond=none,
        delay_ms=[None] * bins,
        shown=none,
    )
    client = msgspec.structs.replace(report.clients[0], measures=Measures(series=series))
    measures = measured(run, msgspec.structs.replace(report, clients=[client]))
    assert measures.series is not None
    assert measures.pictures is not None
    assert measures.pictures.vmaf is not None
    assert len(measures.series.vmaf) == bins
    assert min(value for value in measures.series.vmaf if value is not None) == measures.pictures.vmaf.least
    assert measures.series.vmaf[-1] is None


def test_drops_behind_the_interface_leave_open_what_the_player_got(tmp_path: Path, video: bytes) -> None:
    run = PaperRun(tmp_path, video)
    subject = Subject(name="client-1", address=CLIENT, tap="client-1", counters=Counters(dropped_by_receiver=3))
    measures = measured(run, run.write(subject=subject))
    assert measures.pictures is None
    assert "3 datagrams were dropped behind its interface" in measures.not_measured[PICTURES]


def test_an_ffmpeg_without_libvmaf_measures_the_rest(
    tmp_path: Path, video: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = PaperRun(tmp_path, video)
    report = run.write(lost=[inside(video, GOP + 3)])
    monkeypatch.setattr(ffmpeg, "filters", lambda: frozenset({"psnr", "ssim"}))
    measures = measured(run, report)
    assert "no libvmaf" in measures.not_measured[PICTURES]
    assert measures.pictures is not None
    assert measures.pictures.vmaf is measures.pictures.xpsnr_db is None
    assert measures.pictures.ssim is not None
    assert measures.pictures.ssim.least < 1
    assert measures.pictures.worst_shown is not None


def test_a_client_that_was_sent_nothing_says_so(tmp_path: Path, video: bytes) -> None:
    run = PaperRun(tmp_path, video)
    report = run.write(subject=Subject(name="client-1", address="198.18.0.99", tap="client-1"))
    assert measured(run, report).not_measured[PICTURES] == "the server sent it nothing"


def test_a_client_behind_a_relay_says_so(tmp_path: Path, video: bytes) -> None:
    run = PaperRun(tmp_path, video)
    report = run.write()
    (client,) = report.clients
    behind = msgspec.structs.replace(report, clients=[msgspec.structs.replace(client, server="relay-h2")])
    found = measured(run, behind)
    assert found.pictures is None
    assert found.not_measured[PICTURES].startswith("it is behind relay-h2")


def test_a_stream_without_video_says_so(tmp_path: Path) -> None:
    run = PaperRun(tmp_path, b"".join(b"G" + bytes([n % 251] * 187) for n in range(140)))
    assert "no video" in measured(run, run.write()).not_measured[PICTURES]


def test_a_run_without_captures_or_with_others_is_an_error(tmp_path: Path, video: bytes) -> None:
    run = PaperRun(tmp_path, video)
    report = run.write()
    with pytest.raises(LabError, match="version 99"):
        compare(tmp_path, msgspec.structs.replace(report, version=99))
    spoilt = [msgspec.structs.replace(tap, problem="cut off") for tap in report.taps]
    with pytest.raises(LabError, match="the capture server cannot be trusted: cut off"):
        compare(tmp_path, msgspec.structs.replace(report, taps=spoilt))
    path = tmp_path / "captures" / "server.pcap"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LabError, match=r"server\.pcap holds \d+ packets, and its report was made from"):
        compare(tmp_path, report)
    path.unlink()
    with pytest.raises(LabError, match=r"server\.pcap is not there"):
        compare(tmp_path, report)
    path.write_bytes(whole)
    (tmp_path / "captures" / "client-1.pcap").unlink()
    assert "client-1.pcap is not there" in measured(run, report).not_measured[PICTURES]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_an_interrupt_leaves_the_run_as_it_was(tmp_path: Path, video: bytes, share: float) -> None:
    run = PaperRun(tmp_path, video)
    report = run.write(lost=[inside(video, GOP + 3)])
    before = sorted(tmp_path.rglob("*"))

    def interrupt(done: float, _text: str) -> None:
        if done >= share:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(tmp_path, report, interrupt)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", ["late", "given_up"])
def test_the_clients_own_record_says_what_its_player_did_not_get(tmp_path: Path, video: bytes, kind: str) -> None:
    """It decides before the captures' times do, and knows which datagrams were dropped behind the interface."""
    run = PaperRun(tmp_path, video)
    lost = inside(video, GOP + 3)
    subject = Subject(name="client-1", address=CLIENT, tap="client-1", counters=Counters(dropped_by_receiver=1))
    report = run.write(late_s={inside(video, 3 * GOP + 5): 0.1}, subject=subject)
    number, now_s = (FIRST_SEQUENCE + lost) % 65536, run.server.now_s
    record = {"late": [[now_s, number]]} if kind == "late" else {"given_up": [[now_s, number, number]]}
    (tmp_path / "logs").mkdir()
    log = tmp_path / "logs" / "flumelab-default-client-1.log"
    log.write_text(f"no event\n{json.dumps({'event': 'frames', **record})}\n")
    assert pictures(run, report).identical == FRAMES - (GOP - 3)
    log.write_text('{"event": "frames", "late": 7}\n')
    assert "record of its frames cannot be used" in measured(run, report).not_measured[PICTURES]


@pytest.mark.parametrize("codec", [["mpeg2video"], ["libx265", "-preset", "ultrafast", "-x265-params", "log-level=0"]])
def test_a_video_of_ones_own_with_pictures_out_of_order(tmp_path: Path, codec: list[str]) -> None:
    """In another codec, with B-frames, without a counter, and a still picture: libvmaf measures it beside itself."""
    path = tmp_path / "own.ts"
    picture = "smptebars=size=192x128:rate=25:duration=1"
    video = ["-f", "lavfi", "-i", picture, "-c:v", codec[0], *codec[1:], "-bf", "2", "-g", "10", "-f", "mpegts"]
    ffmpeg.run([*video, str(path)], doing="make a video")
    run = PaperRun(tmp_path / "run", path.read_bytes())
    found = pictures(run, run.write())
    assert (found.compared, found.identical, found.not_decodable, found.counters_read) == (24, 24, 0, 0)
    assert found.vmaf is not None
    assert found.vmaf.mean == pytest.approx(97.43, abs=0.05)


def test_a_worst_frame_that_cannot_be_written_costs_no_figure(
    tmp_path: Path, video: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = PaperRun(tmp_path, video)
    report = run.write(lost=[inside(video, GOP + 3)])
    whole = pictures(run, report)
    for still in (whole.worst_sent, whole.worst_shown):
        (tmp_path / str(still)).unlink()
    monkeypatch.setattr(stills, "MOST_BYTES", 100)
    measures = measured(run, report)
    assert measures.pictures == msgspec.structs.replace(whole, worst_sent=None, worst_shown=None)
    assert "no picture of its worst frame: " in measures.not_measured[PICTURES]
    assert {path.name for path in tmp_path.iterdir()} == {"captures"}


def test_a_frame_far_behind_the_beginning_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ffmpeg reports no frame before it has found the one that is sought."""
    waits_s = []

    def no_frame(*_: object, stalled_s: float = ffmpeg.STALLED_S, **__: object) -> None:
        waits_s.append(stalled_s)
        raise ffmpeg.FfmpegError("no frame")

    monkeypatch.setattr(ffmpeg, "run", no_frame)
    with pytest.raises(LabError, match="no frame"):
        stills.write_still(tmp_path / "sent.ts", 256, 0, tmp_path / "worst.jpg")
    assert waits_s == [600]
