"""The steps of a try in a fresh system, as a shell script, and what its output says of them."""

import re
import shlex
from collections.abc import Iterable, Sequence

import msgspec

from flume.lab.machine import packages
from flume.lab.machine.debian_base import BASE_IMAGE_PACKAGES
from flume.lab.machine.dockerd import ENGINE_PACKAGES

PERSONS = ("root", "member")
"""Root, for whom the first command installs what is missing; a user of the group docker, whose administrator has."""

_HEAD = r"""
step() {  # step NAME COMMAND…: run it, and say how it ended and how long it took
    name=$1; shift
    echo "STEP $name"
    began=$(date +%s.%N); ended=0
    "$@" </dev/null || ended=$?
    echo "DONE $name | $ended | $(echo "$began $(date +%s.%N)" | awk '{ printf "%.1f", $2 - $1 }')"
}
export DEBIAN_FRONTEND=noninteractive
update-ca-certificates >/dev/null 2>&1
"""

_ENGINE = r"""
engine() {
    dockerd >/var/log/dockerd.log 2>&1 &
    for _ in $(seq 100); do [ -S /run/docker.sock ] && return; sleep 0.3; done
    tail -3 /var/log/dockerd.log; return 1
}
"""


class Step(msgspec.Struct, frozen=True):
    """What became of one step."""

    name: str
    status: int
    seconds: float


def script(person: str, commands: Sequence[str], *, debian: str = "13") -> str:
    """Return the steps of *person*, who runs *commands* in a clone."""
    if person == "root":
        lines = ["mv /srv/flumelab /root/flumelab", "cd /root/flumelab"]
        lines += [f"step {shlex.quote(command)} sh -c {shlex.quote(command)}" for command in commands]
        return "\n".join((_HEAD, *lines, "step 'make engine-stop' make engine-stop", ""))
    release = {"ID": "debian", "VERSION_ID": debian}
    wanted = list({**ENGINE_PACKAGES, **packages.docker_command(release), **BASE_IMAGE_PACKAGES}.values())
    wanted += ["python3-venv", "uidmap"]  # uidmap: without a registry of images, mmdebstrap makes the base as this user
    if any("test" in command for command in commands):
        wanted += packages.test_packages().values()
    apt = "apt-get update -q >/dev/null && apt-get install -y -q --no-install-recommends >/dev/null"
    install = " ".join((apt, *dict.fromkeys(wanted)))
    lines = [
        f"step 'the administrator installs Debian packages' sh -c {shlex.quote(install)}",
        "step 'the administrator starts the engine' engine",
        "useradd --create-home --shell /bin/sh --groups docker member",
        "mv /srv/flumelab /home/member/flumelab",
        "chown -R member: /home/member/flumelab",
        "cd /",
    ]
    for command in commands:
        as_member = f"cd flumelab && {command}"
        lines.append(f"step {shlex.quote(command)} su -l member -c {shlex.quote(as_member)}")
    return "\n".join((_HEAD, _ENGINE, *lines, ""))


def results(lines: Iterable[str]) -> list[Step]:
    """Return the steps that ended, from the *lines* of the output.

    >>> results(["STEP make lab", "...", "DONE make lab | 0 | 139.2"])
    [Step(name='make lab', status=0, seconds=139.2)]
    """
    found = (re.fullmatch(r"DONE (.*) \| (\d+) \| ([\d.]+)", line.strip()) for line in lines)
    return [Step(one[1], int(one[2]), float(one[3])) for one in found if one]
