"""``flume inspect`` as its caller sees it: output, exit status, and one line for what is wrong."""

import json
import os
from pathlib import Path

import click.testing
import msgspec
import pytest
from junitparser import Error, Failure, JUnitXml

from flume.errors import SettingsError
from flume.inspect import cli
from flume.inspect.documents import PART, SCHEMA_NAME, schema
from flume.inspect.measure_names import MEASURES, table
from flume.inspect.values import Inspection
from support.captures.pcap import Pcap
from support.captures.rtp_streams import Sent, clean, frame, without, write_pcap
from support.media.constant_rate import Multiplex
from support.paths import ROOT


def write_more(pcap: Pcap, sent: list[Sent]) -> None:
    for each in sent:
        pcap.frame(frame(each.data))


def run(*arguments: object) -> click.testing.Result:
    return click.testing.CliRunner().invoke(cli.inspect, list(map(str, arguments)))


@pytest.fixture
def lossy(tmp_path: Path) -> Path:
    """One of 300 datagrams is lost, in the first of two streams."""
    second = [each._replace(time_s=each.time_s + 1e-4) for each in clean(300, ssrc=9)]
    sent = sorted([*without(clean(), 100), *second])
    return write_pcap(tmp_path / "lossy.pcap", sent).path


def test_a_table_lists_the_streams_with_their_pids_and_findings(lossy: Path):
    done = run(lossy)
    assert done.exit_code == 0
    for text in ("198.18.0.2:5004 → 198.18.0.11:50000", "rtp 00000009 type 33", "0.333", "streams: 2"):
        assert text in done.stdout
    assert "1: PID 0x0100 H.264 video" in done.stdout
    assert "1: loss at packet 202, 0.707 s: 1 missing: 100" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        (["loss_pct>0.3"], 1),
        (["loss_pct > 0.4"], 0),
        (["lost>=1", "loss_pct>90"], 1),
        (["lost==1"], 1),
        (["lost!=0"], 1),
        (["datagrams<300"], 1),
        (["datagrams<=298"], 0),
        (["continuity_count_error>0"], 1),
        (["burst_pct>0"], 3),
    ],
)
def test_a_passed_threshold_is_status_1_and_one_that_nothing_has_3(lossy: Path, conditions: list[str], status: int):
    assert run(lossy, *(part for each in conditions for part in ("--fail-if", each))).exit_code == status


def test_a_passed_threshold_names_stream_and_value(lossy: Path):
    assert "loss_pct>0.3: passed: stream 1 has 0.333333" in run(lossy, "--fail-if", "loss_pct>0.3").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--fail-if", "loss_pct"), "MEASURE OPERATOR NUMBER"),
        (("--fail-if", "loss_pct=1"), "MEASURE OPERATOR NUMBER"),
        (("--fail-if", "loss_pct>much"), "'much' is no number"),
        (("--fail-if", "loss_pct>nan"), "'nan' is no number"),
        (("--fail-if", "los_pct>1"), "did you mean loss_pct"),
        (("--fail-if", "x>1"), ", ".join(MEASURES)),
        (("--limit", "pcr=1"), "pcr_interval_s"),
        (("--limit", "pat_s=0"), "a number above 0"),
        (("--limit", "pat_s=x"), "a number above 0"),
        (("--duration", "5"), "for a live address alone"),
        (("--interface", "127.0.0.1"), "for a live address alone"),
    ],
)
def test_a_wrong_command_line_is_refused_with_what_is_allowed(lossy: Path, arguments: tuple[str, str], message: str):
    done = run(lossy, *arguments)
    assert isinstance(done.exception, SettingsError)
    assert message in str(done.exception)
    assert done.exception.exit_code == 2


@pytest.mark.parametrize(
    "address", ["udp://name:5004", "udp://127.0.0.1", "udp://127.0.0.1:99999", "http://127.0.0.1/"]
)
def test_an_address_that_cannot_be_heard_is_a_wrong_command_line(address: str):
    assert isinstance(run(address).exception, SettingsError)


def test_another_limit_for_the_transport_stream_is_kept(tmp_path: Path):
    path = tmp_path / "film.ts"
    path.write_bytes(b"".join(Multiplex().packets(3000)))
    assert run(path, "--fail-if", "priority_2>0").exit_code == 0
    assert run(path, "--fail-if", "priority_2>0", "--limit", "pcr_interval_s=0.03").exit_code == 1


def test_json_is_the_values_of_the_schema(lossy: Path):
    done = run(lossy, "--json", "--fail-if", "lost>0")
    inspection = msgspec.json.decode(done.stdout, type=Inspection)
    assert (inspection.kind, inspection.version, len(inspection.streams)) == ("pcap", 1, 2)
    assert inspection.thresholds[0].passed_by == {1: 1}
    assert done.exit_code == 1


def test_the_published_schema_and_the_table_of_measures_are_those_of_the_code():
    page = (ROOT / "docs" / "inspect.md").read_text(encoding="utf-8")
    assert (ROOT / "docs" / SCHEMA_NAME).read_text(encoding="utf-8") == schema(), "make docs writes it"
    assert PART.replaced(page, table()) == page, "make docs writes it"


def test_junit_has_a_case_for_each_threshold_and_stream(lossy: Path, tmp_path: Path):
    junit = tmp_path / "junit.xml"
    run(lossy, "--junit", junit, "--fail-if", "lost>0", "--fail-if", "burst_pct>1")
    cases = [case for suite in JUnitXml.fromfile(str(junit)) for case in suite]
    assert [(case.name, [type(one) for one in case.result]) for case in cases] == [
        ("input", []),
        ("lost>0", [Failure]),
        ("lost>0", []),
        ("burst_pct>1", [Error]),
    ]


def test_a_junit_file_that_cannot_be_written_is_one_line(lossy: Path, tmp_path: Path):
    junit = tmp_path / "none" / "junit.xml"
    done = run(lossy, "--junit", junit)
    assert (done.exit_code, done.stderr) == (3, f"flume: {junit} cannot be written: No such file or directory\n")
    assert run(lossy, "--junit", junit, "--fail-if", "lost>0").exit_code == 1, "a passed threshold is still said"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is empty"),
        (bytes(range(256)) * 40, "is neither a capture (pcap, pcapng) nor a transport stream"),
        (b"\xd4\xc3\xb2\xa1", "is no capture file: write it with tcpdump -w"),
    ],
    ids=["missing", "empty", "no stream", "only a magic number"],
)
def test_input_that_cannot_be_used_is_one_line_and_status_3(tmp_path: Path, content: bytes | None, line: str):
    path = tmp_path / "input"
    if content is not None:
        path.write_bytes(content)
    done = run(path)
    assert (done.exit_code, done.stdout, done.stderr) == (3, "", f"flume: {path}: {line}\n")
    assert json.loads(run(path, "--json").stdout)["problems"] == [line]


def test_a_file_that_is_cut_off_is_shown_with_status_3_but_a_passed_threshold_is_1(lossy: Path):
    lossy.write_bytes(lossy.read_bytes()[:-7])
    done = run(lossy)
    assert (done.exit_code, done.stderr) == (3, f"flume: {lossy}: the file is cut off within a packet\n")
    assert "198.18.0.2:5004" in done.stdout
    assert run(lossy, "--fail-if", "lost>0").exit_code == 1
    assert run(lossy, "--fail-if", "datagrams<300").exit_code == 3, "the rest might have had more"


def test_where_frames_could_not_be_read_no_loss_is_certain(tmp_path: Path):
    pcap = write_pcap(tmp_path / "tap.pcap", clean(20))
    pcap.frame(frame(clean(21)[20].data)[:96], wire_bytes=1370)
    write_more(pcap, clean(40)[21:])
    done = run(pcap.path, "--json", "--fail-if", "lost>0")
    inspection = msgspec.json.decode(done.stdout, type=Inspection)
    assert inspection.thresholds[0].passed_by == {1: 1}
    assert (inspection.falsified, done.exit_code) == (True, 3)


def test_a_file_name_that_is_no_text_is_shown_as_far_as_it_is(lossy: Path):
    odd = lossy.rename(os.fsdecode(bytes(lossy.parent) + b"/caf\xe9.pcap"))
    done = run(odd, "--json")
    assert done.exit_code == 0
    assert msgspec.json.decode(done.stdout, type=Inspection).input.endswith("caf\ufffd.pcap")


@pytest.mark.parametrize("arguments", [("udp://127.0.0.1:5004", "--interface", "lo"), ("udp://[ff02::1]:5004",)])
def test_an_interface_is_for_a_group_and_a_group_of_a_link_needs_one(arguments: tuple[str, ...]):
    done = run(*arguments)
    assert isinstance(done.exception, SettingsError)
    assert "--interface" in str(done.exception)


def test_a_capture_without_a_stream_is_status_3(tmp_path: Path):
    done = run(Pcap(tmp_path / "tap.pcap").handshake().path)
    assert done.exit_code == 3
    assert done.stderr.endswith("no stream was found in it\n")


@pytest.mark.parametrize(("size", "before", "behind"), [(188, 0, 0), (192, 4, 0), (204, 0, 16)])
def test_a_ts_file_in_packets_of_each_size_is_read(tmp_path: Path, size: int, before: int, behind: int):
    path = tmp_path / "film.ts"
    path.write_bytes(b"".join(bytes(before) + packet + bytes(behind) for packet in Multiplex().packets(3000)))
    done = run(path, "--json", "--fail-if", "priority_1>0")
    (stream,) = msgspec.json.decode(done.stdout, type=Inspection).streams
    assert stream.ts is not None
    assert (stream.packet_bytes, stream.ts.packets, done.exit_code) == (size, 3000, 0)


def test_a_ts_file_that_ends_within_a_packet_is_shown_with_its_problem(tmp_path: Path):
    path = tmp_path / "film.ts"
    path.write_bytes(b"".join(Multiplex().packets(3000))[:-100])
    done = run(path)
    assert done.exit_code == 3
    assert done.stderr == f"flume: {path}: the last 88 bytes are no whole packet: the file is cut off\n"
    assert "2999" in done.stdout
