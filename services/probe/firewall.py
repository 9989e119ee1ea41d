#!/usr/bin/env python3
"""Sets up, removes and reads firewall scenarios in other containers' network namespaces.

    wall set  PID NUMBER SCENARIO RULES FORGET STATE ROUTE  [PID NUMBER ...]
    wall open PID NUMBER                                    [PID NUMBER ...]
    wall show PID                                           [PID ...]

A wall is what stands in the namespace of process PID because of client NUMBER (0: because of all). RULES is the input
of `iptables-restore --noflush`, with chains called FLUME-*-NUMBER. FORGET is a UDP port whose connection tracking
entries are dropped once the rules stand. STATE is for how many seconds an idle UDP flow is remembered from now on.
ROUTE is "ADDRESS BYTES": the MTU on the way to that host. Each may be empty.

`set` removes the wall that stands there first. `open` keeps the lines of the rules that it removes, with their last
counts, in /run/walls/PID.gone: what they dropped must be explained after the run. `show` prints
"=== flumelab PID NUMBER SCENARIO" and the rules as iptables-save does.

One process for all walls of a lab, because starting one in a container from outside costs more than all that it does.
Only modules of Debian's python3-minimal.
"""

import os
import re
import socket
import struct
import subprocess
import sys

STATE = "/run/walls"
HOOKS = {"IN": ("filter", "INPUT"), "OUT": ("filter", "OUTPUT"), "NAT": ("nat", "POSTROUTING")}
TIMEOUTS = "/proc/sys/net/netfilter/nf_conntrack_udp_timeout"

# linux/netfilter/nfnetlink.h and nfnetlink_cttimeout.h
NETLINK_NETFILTER, SUBSYS_TIMEOUT, DEFAULT_SET, REQUEST_ACK = 12, 8, 3, 5
ATTR_L3, ATTR_L4, ATTR_DATA, NESTED, UNREPLIED, REPLIED = 2, 3, 4, 0x8000, 1, 2


class WallError(Exception):
    """What could not be done, in one line."""


def enter(pid, *command, text=None, check=True):
    """Run *command* in the network namespace of *pid*; return its output."""
    done = subprocess.run(
        ["nsenter", "--target", pid, "--net", "--", *command], input=text, capture_output=True, text=True, check=False
    )
    if check and done.returncode:
        raise WallError(f"{command[0]} in the namespace of process {pid}: {done.stderr.strip() or done.returncode}")
    return done.stdout if done.returncode == 0 else ""


def read(name):
    try:
        with open(f"{STATE}/{name}") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write(name, text, mode="w"):
    with open(f"{STATE}/{name}", mode) as file:
        file.write(text)


def forget(name):
    try:
        os.remove(f"{STATE}/{name}")
    except FileNotFoundError:
        pass


def flavour(pid):
    """Return nft or legacy: what Docker wrote its rules with in that namespace, else what works there."""
    known = read(f"{pid}.flavour")
    if not known:
        both = ("nft", "legacy")
        docker = [one for one in both if "DOCKER_OUTPUT" in enter(pid, f"iptables-{one}-save", check=False)]
        works = docker or [one for one in both if enter(pid, f"iptables-{one}", "-w", "5", "-S", "INPUT", check=False)]
        if not works:
            raise WallError(f"neither iptables-nft nor iptables-legacy works in the namespace of process {pid}")
        known = works[0]
        write(f"{pid}.flavour", known)
    return known


def attribute(kind, data):
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def set_timeouts(unreplied, replied):
    """Let connection tracking of this namespace remember UDP flows for so many seconds; print what it was.

    By netlink, because /proc/sys cannot be written in a container.
    """
    with open(TIMEOUTS) as first, open(f"{TIMEOUTS}_stream") as second:
        print(first.read().strip(), second.read().strip())
    seconds = attribute(UNREPLIED, struct.pack("!I", unreplied)) + attribute(REPLIED, struct.pack("!I", replied))
    body = (
        struct.pack("=BBH", socket.AF_INET, 0, 0)
        + attribute(ATTR_L3, struct.pack("!H", socket.AF_INET))
        + attribute(ATTR_L4, bytes([socket.IPPROTO_UDP]))
        + attribute(ATTR_DATA | NESTED, seconds)
    )
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as netlink:
        netlink.send(struct.pack("=IHHII", 16 + len(body), SUBSYS_TIMEOUT << 8 | DEFAULT_SET, REQUEST_ACK, 1, 0) + body)
        error = -struct.unpack_from("=i", netlink.recv(4096), 16)[0]
    if error:
        raise WallError(f"the time for which UDP flows are remembered cannot be set: {os.strerror(error)}")


def timeouts(pid, unreplied, replied):
    return enter(pid, sys.executable, __file__, "timeouts", unreplied, replied)


def rules(pid, number):
    """Return the lines of a wall's own rules, with counts, and the names of its chains by table."""
    saved = enter(pid, f"iptables-{flavour(pid)}-save", "-c")
    lines = re.findall(rf"^\[\d+:\d+\] -A FLUME-(?:IN|OUT|NAT)-{number} .*$", saved, re.MULTILINE)
    chains = re.findall(rf"^:FLUME-(IN|OUT|NAT)-{number} ", saved, re.MULTILINE)
    return lines, chains


def take_down(pid, number):
    """Remove all of a wall. Its counts are read when no packet meets it any more, so they are the last ones."""
    key = f"{pid}-{number}"
    if not read(f"{key}.scenario"):
        return
    if os.path.exists(f"/proc/{pid}/ns/net"):
        kind = flavour(pid)
        chains = rules(pid, number)[1]
        tables = {}
        for chain in chains:
            tables.setdefault(HOOKS[chain][0], []).append(chain)
        restore = [f"iptables-{kind}-restore", "--noflush", "-w", "5"]
        unhook = "".join(
            f"*{table}\n" + "".join(f"-D {HOOKS[one][1]} -j FLUME-{one}-{number}\n" for one in names) + "COMMIT\n"
            for table, names in tables.items()
        )
        if unhook:
            enter(pid, *restore, text=unhook)
            write(f"{pid}.gone", "".join(f"{line}\n" for line in rules(pid, number)[0]), "a")
        remove = "".join(
            f"*{table}\n" + "".join(f"-F FLUME-{one}-{number}\n-X FLUME-{one}-{number}\n" for one in names) + "COMMIT\n"
            for table, names in tables.items()
        )
        if remove:
            enter(pid, *restore, text=remove)
        if route := read(f"{key}.route").split():
            enter(pid, "ip", "route", "del", f"{route[0]}/32")
            enter(pid, "ip", "route", "flush", "cache", check=False)
        if before := read(f"{key}.timeouts").split():
            timeouts(pid, *before)
    for name in ("route", "timeouts", "scenario"):
        forget(f"{key}.{name}")


def put_up(pid, number, scenario, text, port, seconds, route):
    take_down(pid, number)
    key = f"{pid}-{number}"
    write(f"{key}.scenario", scenario)  # first: what is half up can be taken down
    if text:
        enter(pid, f"iptables-{flavour(pid)}-restore", "--noflush", "-w", "5", text=text)
    if seconds:
        write(f"{key}.timeouts", timeouts(pid, seconds, seconds))
    if route:
        address, size = route.split()
        write(f"{key}.route", route)
        enter(pid, "ip", "route", "replace", f"{address}/32", "dev", "eth0", "mtu", size)
    if port:
        for side in ("--orig-port-dst", "--orig-port-src"):  # status 1: there were none
            enter(pid, "conntrack", "-D", "-p", "udp", side, port, check=False)


def show(pid):
    for name in sorted(os.listdir(STATE)):
        if match := re.fullmatch(rf"{pid}-(\d+)\.scenario", name):
            print(f"=== flumelab {pid} {match[1]} {read(name)}")
            if os.path.exists(f"/proc/{pid}/ns/net"):
                print("\n".join(rules(pid, match[1])[0]))


def groups(items, size):
    if not items or len(items) % size:
        raise WallError(f"{len(items)} arguments are not a multiple of {size}; see the head of this program")
    return [items[at : at + size] for at in range(0, len(items), size)]


def main(action, *arguments):
    os.makedirs(STATE, exist_ok=True)
    if action == "timeouts":
        set_timeouts(*map(int, arguments))
        return
    size, work = {"set": (7, put_up), "open": (2, take_down), "show": (1, show)}[action]
    for group in groups(arguments, size):
        work(*group)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (WallError, OSError, KeyError, TypeError) as problem:
        sys.exit(f"wall: {problem}")
