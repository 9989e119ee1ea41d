"""``flume lab run``: start a lab, play a scenario, judge the captures."""

import os
import sys
import time
from pathlib import Path

import click
import msgspec

from flume.errors import LabError
from flume.lab import catalogue, checkout
from flume.lab.commands.common import artifacts_option, console, hosts_option, lab_option, later_profiles, say
from flume.lab.commands.hosts import show_readiness
from flume.lab.commands.quality import measure_pictures, quality_lines
from flume.lab.commands.running import hosts_for
from flume.lab.link.profile_file import find_profile
from flume.lab.report import writer as report
from flume.lab.report.page import trouble
from flume.lab.report.sentences import lost_frames
from flume.lab.run.programs import TRANSPORTS, ClientOptions, parse_players
from flume.lab.run.runner import Outcome, run_lab
from flume.lab.run.scenario import Scenario, load_scenario
from flume.lab.run.spec import FRAMES_MIN_PCT, RunSpec, parse_clients, parse_duration_s, shaping_media
from flume.lab.run.stopwatch import Stopwatch
from flume.lab.testcard import CARD


@click.command(short_help="Start a lab, play a scenario, judge it.")
@click.option("--clients", default="5", show_default=True, metavar="N", help="Number of clients.")
@click.option("--video", type=click.Path(path_type=Path), help="A file of your own; without it a test card is made.")
@click.option(
    "--scenario", default="tour", show_default=True, help="A name in compose/scenarios, or the path of a file."
)
@click.option("--duration", metavar="SECONDS", help="Replaces the scenario's own duration.")
@click.option(
    "--profile",
    help="The network: a name in netem/profiles, or the path of a file. Default: the scenario's own, which is clean "
    "where it names none.",
)
@click.option(
    "--frames-min",
    "frames_min_pct",
    type=float,
    metavar="PERCENT",
    help="FAIL below this share of the frames that arrived in full. "
    f"Default: {FRAMES_MIN_PCT:g} for the test card, none for a video of your own, or over links too narrow for it.",
)
@click.option(
    "--players",
    metavar="N|NAMES",
    help="The first N clients display the video; the others count datagrams. Default: all. Or what the clients are, in "
    "turn: flume,vlc,ffplay,mpv,gstreamer; mpv:tcp takes the media over TCP, mpv:quick joins sooner.",
)
@click.option(
    "--transport",
    type=click.Choice(TRANSPORTS),
    help="How our own clients take the media. tcp: on the control connection, which the link then shapes too. "
    "Default: UDP, and TCP where UDP does not arrive.",
)
@click.option(
    "--reorder", "reorder_ms", type=float, metavar="MS", help="How long our clients wait for a late datagram."
)
@click.option(
    "--bit-rate",
    "bitrate_kbit",
    type=int,
    default=CARD.bitrate_kbit,
    show_default=True,
    metavar="KBIT/S",
    help="Of the test card's picture.",
)
@click.option(
    "--gop",
    "gop_s",
    type=float,
    default=CARD.gop_s,
    show_default=True,
    metavar="SECONDS",
    help="The test card's group of pictures: from one keyframe to the next.",
)
@artifacts_option
@click.option(
    "--topology",
    "topology_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Another description of the containers, in the format of compose/lab.yaml.",
)
@click.option(
    "--quality",
    "with_quality",
    is_flag=True,
    help="Compare the pictures that each client could show with those sent: VMAF, SSIM, PSNR. It takes about as long "
    "as the run.",
)
@click.option("--json", "as_json", is_flag=True, help="Write the report to standard output instead of the table.")
@click.option(
    "--engine",
    envvar="ENGINE",
    hidden=True,
    help="Without effect; accepted for one more release. It chose whether a lab ran in a kernel of its own.",
)
@lab_option
@hosts_option
def run(
    *,
    clients: str,
    video: Path | None,
    scenario: str,
    duration: str | None,
    profile: str | None,
    frames_min_pct: float | None,
    players: str | None,
    transport: str | None,
    reorder_ms: float | None,
    bitrate_kbit: int,
    gop_s: float,
    artifacts: Path,
    topology_file: Path | None,
    with_quality: bool,
    as_json: bool,
    engine: str | None,
    lab: str,
    hosts_path: Path | None,
) -> None:
    """Start a lab, play a scenario, judge the captures, leave the lab running.

    The exit status is the verdict: 0 PASS, 1 FAIL, 3 ERROR (of the lab, not of the product), 4 UNSUPPORTED. It is 130
    after an interrupt, which removes the lab.
    """
    if engine in {"local", "kernel"}:
        say(f"ENGINE={engine} is no longer needed: a lab runs on the Docker engine, and only its links need netem.")
    displaying, programs = parse_players(players)
    options = ClientOptions(transport, reorder_ms)
    played = _scenario(scenario, None if duration is None else parse_duration_s(duration))
    spec = RunSpec(
        clients=parse_clients(clients),
        scenario=played,
        profile=shaping_media(find_profile(checkout.profiles(), profile or played.profile), options),
        later_profiles=later_profiles(played),
        card=CARD._replace(bitrate_kbit=bitrate_kbit, gop_s=gop_s),
        client_options=options,
        lab=lab,
        video=video,
        artifacts=artifacts,
        topology=topology_file,
        frames_min_pct=frames_min_pct,
        players=displaying,
        programs=programs,
    )
    watch = Stopwatch(began_s=time.monotonic() - _process_age_s())
    hosts = hosts_for(lab, hosts_path)
    outcome = run_lab(spec, say=say, interactive=sys.stderr.isatty(), watch=watch, hosts=hosts, show=show_readiness)
    if with_quality:
        outcome = _with_pictures(outcome)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(outcome.report)))
    else:
        _print_outcome(outcome, spec)
    sys.exit(outcome.report.verdict.exit_code)


def _with_pictures(outcome: Outcome) -> Outcome:
    """Return *outcome* with its pictures measured; as it was, with the reason said, where they cannot be."""
    try:
        return outcome._replace(report=measure_pictures(outcome.directory, outcome.report))
    except LabError as error:  # the verdict stands without them
        say(f"The pictures were not measured: {error}")
        return outcome


def _process_age_s() -> float:
    """Return the seconds since this process was started, imports included; 0 where the system does not report it."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):
        return 0.0


def _scenario(name: str, duration_s: float | None) -> Scenario:
    file = catalogue.read(checkout.scenarios(), name, key="scenario")
    return load_scenario(file.text, name=file.name, duration_s=duration_s)


def _print_outcome(outcome: Outcome, spec: RunSpec) -> None:
    found = outcome.report
    console().print(report.table(found))
    click.echo(report.account(found))
    for line in report.host_links(found):
        click.echo(line)
    for finding in trouble(found):
        click.echo(f"{finding.verdict}: {finding.subject}: {finding.name}: {finding.detail}")
    for sentence in lost_frames(found):
        click.echo(sentence)
    for line in quality_lines(found):
        click.echo(line)
    click.echo("time: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in found.timings.items()))
    click.echo(f"artefacts: {outcome.directory} (report.html, report.json, junit.xml, captures, logs)")
    name = "" if spec.lab == "default" else f" LAB={spec.lab}"
    option = "" if spec.lab == "default" else f" --lab {spec.lab}"
    send = f".venv/bin/flume lab send{option} {min(3, spec.clients)} interrupt"
    click.echo(f"the lab runs on: make status{name} | {send} | make down{name}")
    click.secho(f"verdict: {found.verdict}", bold=True)
