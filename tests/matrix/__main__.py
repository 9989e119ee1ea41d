"""``python -m matrix [TRIAL…]`` (``make players``): run the trials, all or those named, and write ``docs/players.md``.

The trials ``loopback``, ``other-server`` and ``wrap`` need root and programs of this machine, and no Docker. The
trial ``page`` runs nothing.

What earlier calls found stays in ``artifacts/players``, so that the page can be made in pieces.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matrix import loopback, other_server, wrap
from matrix.page import page
from matrix.runs import PLAYERS, TRIALS, Trial, events, remove, restart_server, run
from support.paths import ROOT

FOLDER = ROOT / "artifacts" / "players"
PAGE = ROOT / "docs" / "players.md"
RESTART, NOTHING = "restart", "page"
LOCAL = {"loopback": loopback, "other-server": other_server, "wrap": wrap}
"""Trials without the lab."""


def main(names: list[str]) -> None:
    """Run what *names* name, and write the page from all that is there."""
    known = {trial.name.replace(" ", "-"): trial for trial in TRIALS}
    every = [*known, RESTART, *LOCAL]
    wanted = names or every
    if unknown := set(wanted) - {*every, NOTHING}:
        raise SystemExit(f"{', '.join(unknown)}: choose of {', '.join([*every, NOTHING])}")
    if wanted != [NOTHING]:
        _run(wanted, known)
    reports = {
        trial.name: _json(path)
        for name, trial in known.items()
        if (path := FOLDER / name / "latest" / "report.json").exists()
    }
    restart = FOLDER / RESTART / "events.json"
    local = {name: _json(path) for name in LOCAL if (path := FOLDER / name / "found.json").exists()}
    PAGE.write_text(
        page(
            PLAYERS,
            reports,
            _json(restart) if restart.exists() else {},
            _versions(),
            loopback=local.get("loopback"),
            other=local.get("other-server"),
            wrap=local.get("wrap"),
        )
    )


def _run(wanted: Sequence[str], known: Mapping[str, Trial]) -> None:
    """Carry the *wanted* trials out, and remove the lab of the last one."""
    for name in wanted:
        if name in LOCAL:
            _run_local(name)
    in_lab = [name for name in wanted if name not in {*LOCAL, NOTHING}]
    try:
        for name in in_lab:
            if name == RESTART:
                run(Trial("restart", "connect; wait 100%", 10), FOLDER / RESTART)
                (FOLDER / RESTART / "events.json").write_text(json.dumps(restart_server()))
            else:
                run(known[name], FOLDER / name)
    finally:
        if in_lab:
            remove()


def _run_local(name: str) -> None:
    """Carry out a trial without the lab, where this machine has what it needs."""
    if not LOCAL[name].is_here():
        print(f"{name}: left out, its programs are not installed", file=sys.stderr)
        return
    found = LOCAL[name].run(FOLDER / name)
    (FOLDER / name / "found.json").write_text(json.dumps(found))


def _json(path: Path) -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(path.read_text())
    return content


def _versions() -> dict[str, str]:
    """Return each player's version, from the first event of its log in any run."""
    found = {}
    for log in sorted(FOLDER.glob("*/latest/logs/*player*.log")):
        for event in events(log.read_text()):
            if event["event"] == "ready" and "version" in event:
                found[event["player"]] = event["version"]
    return {name: found[name] for name in PLAYERS if name in found}


if __name__ == "__main__":
    main(sys.argv[1:])
