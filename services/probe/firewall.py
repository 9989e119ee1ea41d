"""The program ``firewall``: applies, removes and shows rule sets in the network namespaces of other containers.

::

    firewall apply  PID NUMBER SCENARIO RULES FORGET STATE ROUTE  [PID NUMBER ...]
    firewall remove PID NUMBER                                    [PID NUMBER ...]
    firewall show   PID                                           [PID ...]
    firewall list

A rule set is what the namespace of process PID holds because of client NUMBER (0: because of all clients). RULES is
the input of ``iptables-restore --noflush``, with chains called FLUME-*-NUMBER. FORGET is a UDP port: connection
tracking drops its entries once the rules are there. STATE is after how many seconds connection tracking forgets an
idle UDP flow from now on. ROUTE is "ADDRESS BYTES": the path MTU to that host. Each of the four may be empty.

``apply`` first removes the rule set that is there. ``remove`` keeps the lines of the rules, with their last counts, in
/run/firewall/PID.gone: the report after the run explains the packets that they dropped. ``show`` prints
"=== flumelab PID NUMBER SCENARIO" and the rules as iptables-save does. ``list`` prints such lines alone, also of
processes that have ended: their rules ended with them.
"""

import contextlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Sequence

from probe.rule_sets import answer_error, groups, own_rules, remove_input, timeout_message, unhook_input

STATE = "/run/firewall"
TIMEOUTS = "/proc/sys/net/netfilter/nf_conntrack_udp_timeout"
NETLINK_NETFILTER = 12


class FirewallError(Exception):
    """A rule set could not be applied, removed or shown; the message is one line."""


def main(arguments: Sequence[str]) -> None:
    """Run one action; an error ends the program with one line on standard error and status 1."""
    try:
        os.makedirs(STATE, exist_ok=True)
        match arguments:
            case ["apply", *rest]:
                for pid, number, scenario, rules, port, seconds, route in groups(rest, 7):
                    apply(pid, int(number), scenario, rules, port=port, seconds=seconds, route=route)
            case ["remove", *rest]:
                for pid, number in groups(rest, 2):
                    remove(pid, int(number))
            case ["show", *rest]:
                for (pid,) in groups(rest, 1):
                    show(pid)
            case ["list"]:
                list_all()
            case ["timeouts", unreplied_s, replied_s]:
                set_timeouts(int(unreplied_s), int(replied_s))
            case _:
                raise FirewallError("usage: firewall apply ... | remove PID NUMBER ... | show PID ... | list")
    except (FirewallError, OSError, ValueError) as error:
        sys.exit(f"firewall: {error}")


def apply(pid: str, number: int, scenario: str, rules: str, *, port: str, seconds: str, route: str) -> None:
    """Put one rule set in the place of the one that is there."""
    remove(pid, number)
    key = f"{pid}-{number}"
    write(f"{key}.scenario", scenario)  # first: then `remove` finds a rule set that was applied in part
    if rules:
        _run_in(pid, *_restore_command(pid), text=rules)
    if seconds:
        write(f"{key}.timeouts", _timeouts_in(pid, seconds, seconds))
    if route:
        address, size = route.split()
        write(f"{key}.route", route)
        _run_in(pid, "ip", "route", "replace", f"{address}/32", "dev", "eth0", "mtu", size)
    if port:
        for side in ("--orig-port-dst", "--orig-port-src"):  # status 1: there were none
            _run_in(pid, "conntrack", "-D", "-p", "udp", side, port, check=False)


def remove(pid: str, number: int) -> None:
    """Remove one rule set, if it is there.

    Its counts are read after the built-in chains no longer jump to it: then they are the last ones.
    """
    key = f"{pid}-{number}"
    if not read(f"{key}.scenario"):
        return
    if os.path.exists(f"/proc/{pid}/ns/net"):
        hooks = _rules_in(pid, number)[1]
        if hooks:
            _run_in(pid, *_restore_command(pid), text=unhook_input(hooks, number))
            write(f"{pid}.gone", "".join(f"{line}\n" for line in _rules_in(pid, number)[0]), mode="a")
            _run_in(pid, *_restore_command(pid), text=remove_input(hooks, number))
        if route := read(f"{key}.route").split():
            _run_in(pid, "ip", "route", "del", f"{route[0]}/32")
            _run_in(pid, "ip", "route", "flush", "cache", check=False)
        if before := read(f"{key}.timeouts").split():
            _timeouts_in(pid, *before)
    for name in ("route", "timeouts", "scenario"):
        with contextlib.suppress(FileNotFoundError):
            os.remove(f"{STATE}/{key}.{name}")


def show(pid: str) -> None:
    """Print the rule sets in the namespace of process *pid*, with the counts of their rules."""
    for name in sorted(os.listdir(STATE)):
        if match := re.fullmatch(rf"{pid}-(\d+)\.scenario", name):
            sys.stdout.write(f"=== flumelab {pid} {match[1]} {read(name)}\n")
            if os.path.exists(f"/proc/{pid}/ns/net"):
                sys.stdout.write("\n".join(_rules_in(pid, int(match[1]))[0]) + "\n")


def list_all() -> None:
    """Print which rule sets were applied and not removed."""
    for name in sorted(os.listdir(STATE)):
        if match := re.fullmatch(r"(\d+)-(\d+)\.scenario", name):
            sys.stdout.write(f"=== flumelab {match[1]} {match[2]} {read(name)}\n")


def set_timeouts(unreplied_s: int, replied_s: int) -> None:
    """Set after how many idle seconds connection tracking of this namespace forgets UDP flows; print the old values.

    By netlink, because /proc/sys cannot be written in a container.
    """
    with open(TIMEOUTS) as first, open(f"{TIMEOUTS}_stream") as second:
        sys.stdout.write(f"{first.read().strip()} {second.read().strip()}\n")
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as netlink:
        netlink.send(timeout_message(unreplied_s, replied_s))
        error = answer_error(netlink.recv(4096))
    if error:
        raise FirewallError(f"the time for which UDP flows are remembered cannot be set: {os.strerror(error)}")


# --- what is remembered ----------------------------------------------------------------------------------------------


def read(name: str) -> str:
    """Return what is remembered under *name*, or an empty text."""
    try:
        with open(f"{STATE}/{name}") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write(name: str, text: str, *, mode: str = "w") -> None:
    """Remember *text* under *name*."""
    with open(f"{STATE}/{name}", mode) as file:
        file.write(text)


# --- in the namespace of another process -----------------------------------------------------------------------------


def _run_in(pid: str, *command: str, text: str | None = None, check: bool = True) -> str:
    """Run *command* in the network namespace of *pid*; return its output, nothing when it fails without *check*."""
    entered = ("nsenter", "--target", pid, "--net", "--", *command)
    done = subprocess.run(entered, input=text, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise FirewallError(f"{command[0]} in the namespace of process {pid}: {done.stderr.strip() or done.returncode}")
    return done.stdout if done.returncode == 0 else ""


def _variant(pid: str) -> str:
    """Return nft or legacy: the iptables that Docker wrote its rules with in that namespace, else one that works."""
    known = read(f"{pid}.variant")
    if not known:
        both = ("nft", "legacy")
        docker = [one for one in both if "DOCKER_OUTPUT" in _run_in(pid, f"iptables-{one}-save", check=False)]
        works = docker or [
            one for one in both if _run_in(pid, f"iptables-{one}", "-w", "5", "-S", "INPUT", check=False)
        ]
        if not works:
            raise FirewallError(f"neither iptables-nft nor iptables-legacy works in the namespace of process {pid}")
        known = works[0]
        write(f"{pid}.variant", known)
    return known


def _restore_command(pid: str) -> tuple[str, ...]:
    return (f"iptables-{_variant(pid)}-restore", "--noflush", "-w", "5")


def _rules_in(pid: str, number: int) -> tuple[list[str], list[str]]:
    """Return the rules of a rule set, with counts, and the hooks of its chains."""
    return own_rules(_run_in(pid, f"iptables-{_variant(pid)}-save", "-c"), number)


def _timeouts_in(pid: str, unreplied_s: str, replied_s: str) -> str:
    return _run_in(pid, sys.executable, "-IS", sys.argv[0], "timeouts", unreplied_s, replied_s)
