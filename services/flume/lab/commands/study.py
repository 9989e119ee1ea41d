"""``flume lab study``: run a matrix of networks and settings, and show what each does to the video."""

import hashlib
import importlib
import re
import sys
from pathlib import Path

import click

from flume.errors import LabError, SettingsError, SetupError
from flume.lab import catalogue, checkout
from flume.lab.commands.common import hosts_option, later_profiles, say
from flume.lab.commands.quality import measure_pictures
from flume.lab.commands.running import hosts_for
from flume.lab.containers import topology
from flume.lab.engines import prepare
from flume.lab.hosts.hosts_file import HostsFile
from flume.lab.hosts.site import closing_unless_interrupted
from flume.lab.link.profile_file import load_profile
from flume.lab.machine.interrupts import clearing_away
from flume.lab.run.runner import Outcome, run_on
from flume.lab.run.scenario import load_scenario
from flume.lab.run.spec import RunSpec
from flume.lab.study.matrix import Study, load_study
from flume.lab.study.runner import Conductor, Parts, only_one_here, trouble_of


@click.command(short_help="Run a matrix of networks, show what each does to the video.")
@click.argument("study", default="default", metavar="[STUDY]")
@click.option("--name", metavar="NAME", help="Of the folder, study-NAME. Default: the name of the study's file.")
@click.option("--resume", is_flag=True, help="Go on with a study that was interrupted or killed.")
@click.option(
    "--artifacts",
    type=click.Path(path_type=Path),
    default=Path("artifacts"),
    show_default=True,
    help="The folder for the study: reports, captures and logs of all its runs, some 45 MB a run of three clients.",
)
@click.option("--lab", default="study", show_default=True, help="The name of its labs; other labs are not touched.")
@hosts_option
def study(*, study: str, name: str | None, resume: bool, artifacts: Path, lab: str, hosts_path: Path | None) -> None:
    """Run STUDY: a name in compose/studies, or the path of a TOML file of your own.

    Writes study.html, study.csv and intervals.csv into ARTIFACTS/study-NAME, also after Ctrl-C. The exit status is 0
    when every run counts, 3 when one does not, and 130 after an interrupt.
    """
    file = catalogue.read(checkout.studies(), study, key="study")
    topology.check_lab_name(lab)
    wanted = load_study(file.text, name=file.name)
    hosts = hosts_for(lab, hosts_path)
    parts = read_parts(wanted, hosts)
    folder = artifacts / f"study-{_checked_name(name or file.name)}"
    _need_scipy()
    with only_one_here(folder):
        conductor = Conductor(wanted, parts, folder, say=say, lab=lab)
        conductor.begin(resume=resume)
        try:
            if conductor.left:
                _run(conductor, hosts, interactive=sys.stderr.isatty())
        finally:
            complete = _write(conductor)
    sys.exit(0 if complete else LabError.exit_code)


def _checked_name(name: str) -> str:
    """Return *name*, which becomes part of a folder's name. Raises :class:`SettingsError`."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise SettingsError("name", name, "1 to 64 letters, digits, dots, dashes and underscores")
    return name


def _need_scipy() -> None:
    """Raise :class:`SetupError` before the first run, not after the last one, where the page could not be made."""
    try:
        importlib.import_module("scipy.stats")
    except ModuleNotFoundError as error:
        raise SetupError("a study needs the package scipy: pip install 'flumelab[study]', or use make study") from error


def read_parts(study: Study, hosts: HostsFile | None = None) -> Parts:
    """Read the files that *study* names; its runs are on *hosts*. Raises :class:`SettingsError` that names the file."""
    file = catalogue.read(checkout.scenarios(), study.scenario, key="scenario")
    inputs = {f"scenario {study.scenario}": _digest(file.text)}
    profiles = {}
    for name in study.profiles:
        found = catalogue.read(checkout.profiles(), name, key="profiles")
        profiles[name] = load_profile(found.text, name=found.name, file=str(found.path))
        inputs[f"profile {name}"] = _digest(found.text)
    scenario = load_scenario(file.text, name=file.name, duration_s=study.duration_s)
    if hosts is not None:
        inputs["hosts"] = _digest(repr(hosts.hosts))
    return Parts(scenario, profiles, later_profiles(scenario), inputs)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _run(conductor: Conductor, hosts: HostsFile | None, *, interactive: bool) -> None:
    """Carry out what is left, on engines that are prepared once."""
    site = prepare.prepare_site(say, hosts=hosts, clients=conductor.study.clients, interactive=interactive)
    heard: set[str] = set()

    def once(line: str) -> None:
        """Say what each of the runs says, such as that a link is narrow, one time."""
        if line not in heard:
            heard.add(line)
            say(line)

    def run_one(spec: RunSpec) -> Outcome:
        outcome = run_on(site, spec, say=once, interactive=interactive, leave_running=False, hosts=hosts)
        if not conductor.study.pictures or trouble_of(outcome.report):
            return outcome
        try:
            return outcome._replace(report=measure_pictures(outcome.directory, outcome.report))
        except LabError as error:  # the other figures are as good as before
            say(f"  the pictures of this run were not measured: {error}")
            return outcome

    with closing_unless_interrupted(site):
        conductor.conduct(run_one)


def _write(conductor: Conductor) -> bool:
    """Write the page of what there is, in spite of an interrupt; return whether every run counts."""
    # Imported only now: scipy takes a second.
    from flume.lab.study.page import write_page  # noqa: PLC0415
    from flume.lab.study.results import results  # noqa: PLC0415

    folder = conductor.folder
    again = f"--resume with the name {folder.name.removeprefix('study-')}"
    with clearing_away("writing the study's page", lambda: [str(folder)], again):
        found = results(conductor.state, folder)
        path = write_page(found, folder)
    click.echo(f"{found.finished} of {found.planned} runs count; the page: {path}")
    return found.finished == found.planned
