"""``python -m matrix [TRIAL…]`` (``make players``): run the trials, all or those named, and write ``docs/players.md``.

The trial ``page`` runs nothing.

What earlier calls found stays in ``artifacts/players``, so that the page can be made in pieces.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matrix.page import page
from matrix.runs import PLAYERS, TRIALS, Trial, events, remove, restart_server, run
from support.paths import ROOT

FOLDER = ROOT / "artifacts" / "players"
PAGE = ROOT / "docs" / "players.md"
RESTART, NOTHING = "restart", "page"


def main(names: list[str]) -> None:
    """Run what *names* name, and write the page from all that is there."""
    known = {trial.name.replace(" ", "-"): trial for trial in TRIALS}
    wanted = names or [*known, RESTART]
    if unknown := set(wanted) - {*known, RESTART, NOTHING}:
        raise SystemExit(f"{', '.join(unknown)}: choose of {', '.join([*known, RESTART, NOTHING])}")
    if wanted != [NOTHING]:
        _run(wanted, known)
    reports = {
        trial.name: _json(path)
        for name, trial in known.items()
        if (path := FOLDER / name / "latest" / "report.json").exists()
    }
    restart = FOLDER / RESTART / "events.json"
    PAGE.write_text(page(PLAYERS, reports, _json(restart) if restart.exists() else {}, _versions()))


def _run(wanted: Sequence[str], known: Mapping[str, Trial]) -> None:
    """Carry the *wanted* trials out, and remove the lab of the last one."""
    try:
        for name in wanted:
            if name == RESTART:
                run(Trial("restart", "connect; wait 100%", 10), FOLDER / RESTART)
                (FOLDER / RESTART / "events.json").write_text(json.dumps(restart_server()))
            elif name != NOTHING:
                run(known[name], FOLDER / name)
    finally:
        remove()


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
