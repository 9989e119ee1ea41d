"""``flume lab quality``: how the pictures of a finished run looked."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from flume.lab import progress
from flume.lab.commands.common import artifacts_option, run_folder, say
from flume.lab.pictures.figures import PICTURES
from flume.lab.report.writer import JSON_NAME, read_report, write_report
from flume.lab.trial.measures import PictureFigures
from flume.lab.trial.verdict import Report


@click.command(short_help="Compare the pictures of a run with those sent.")
@click.argument("run", default="latest")
@artifacts_option
def quality(*, run: str, artifacts: Path) -> None:
    """Compare each frame that the clients of RUN could decode with the frame sent: VMAF, SSIM, PSNR, XPSNR.

    From the captures of the run; the lab need not run. The figures go into its report.json and report.html, and the
    worst frame of each client into picture files beside them. It takes about as long as the run itself.

    RUN is the name of a folder in the artifacts, the newest one by default, or the path of a folder that holds a
    report.json. An interrupt leaves the old report.
    """
    folder = run_folder(run, artifacts)
    for line in quality_lines(measure_pictures(folder, read_report(folder / JSON_NAME))):
        click.echo(line)
    click.echo(f"report: {folder / 'report.html'}")


def measure_pictures(folder: Path, report: Report) -> Report:
    """Return *report* with its pictures measured from the captures in *folder*, and write it there.

    Raises :class:`~flume.errors.LabError`.
    """
    # Imported only now: it needs scapy, which takes half a second.
    from flume.lab.pictures.compare import compare  # noqa: PLC0415

    interactive = sys.stderr.isatty()
    if not interactive:
        say("Comparing the pictures that the clients could decode with those sent.")
    with progress.task("pictures", total=1.0, interactive=interactive, says_time_left=True) as bar:
        found = compare(folder, report, lambda share, what: bar.update(completed=share, text=f"pictures: {what}"))
    write_report(found, folder)
    return found


def quality_lines(report: Report) -> Iterator[str]:
    """Yield a line for each client whose pictures were to be measured."""
    for client in report.clients:
        found, reason = client.measures.pictures, client.measures.not_measured.get(PICTURES)
        if found is not None:
            yield f"{client.name}: {_line(found)}{f' ({reason})' if reason else ''}"
        elif reason is not None:
            yield f"{client.name}: pictures not measured: {reason}"


def _line(found: PictureFigures) -> str:
    frames = found.compared + found.not_decodable
    parts = [f"{found.identical} of {frames} frames as sent", f"{found.not_decodable} not decodable"]
    for name, measure, unit in (
        ("VMAF", found.vmaf, ""),
        ("SSIM", found.ssim, ""),
        ("PSNR", found.psnr_db, " dB"),
        ("XPSNR", found.xpsnr_db, " dB"),
    ):
        if measure is not None:
            parts.append(f"{name} {measure.mean:g}{unit} (worst {measure.least:g})")
    return ", ".join(parts)
