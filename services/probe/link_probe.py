#!/usr/bin/python3 -IS
"""Shapes, watches and measures the links of a lab's clients. One call serves all links, because starting a process in
a container from outside costs more than most of what it does here.

    link-probe apply SPEC      set qdiscs, remember what was set, start or stop timed steps, read everything back
    link-probe read            what is remembered, and the qdiscs with their counters
    link-probe measure SPEC    send frames of its own over the links and say when each one left and arrived
    link-probe steps SPEC      (started by `apply`) change one link at the moments of its profile's steps, for ever

A link is the pair of interfaces between a client's network namespace (eth0) and this one, which is the engine host's.
SPEC is JSON without true, false and null. Answers are parts that begin with "=== flumelab SUBJECT KIND".

Nothing is imported that Debian's python3-minimal lacks: no json, no ctypes (so no setns: nsenter enters).
"""

import ast
import base64
import errno
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib
from array import array

PYTHON = (sys.executable, "-IS")
STATE = "/run/links"
SECTION = "=== flumelab "
LINK = "LINK"
"""Stands in a command for the name of the interface, which only this program knows."""

SOL_PACKET, PACKET_STATISTICS, PACKET_IGNORE_OUTGOING = 263, 6, 23
SO_SNDBUFFORCE, SO_RCVBUFFORCE, SO_TIMESTAMPNS = 32, 33, 35
ETH_P_ALL, ETH_P_IP = 3, 0x0800
TIMESPEC = struct.Struct("=qq")
BUFFER_BYTES = 32 << 20
"""Of each receiver: nothing is lost while this program is busy with sending. 32,000 small frames."""

TO_CLIENT = bytes.fromhex("02f1000000ff")
"""Nobody's address: the client's kernel shows the frame to us and drops it before any counter (IP is not asked)."""
TO_HOST = bytes.fromhex("0180c2000001")
"""Reserved for pause frames (IEEE 802.1D table 7-10): a bridge never forwards it, so no other client is disturbed."""
FROM = bytes.fromhex("02f100000001")
LATE_NS = 5_000_000
HEADERS_BYTES = 42
MARK = struct.Struct("!HI")
"""Which measurement, and which frame; repeated all over the payload, so that one changed bit hides nothing."""


def fail(message):
    sys.stderr.write("link-probe: " + message + "\n")
    sys.exit(1)


def section(subject, kind, text):
    sys.stdout.write(f"{SECTION}{subject} {kind}\n{text.rstrip()}\n")


def entered(pid):
    """The beginning of a command that runs in the namespace of process *pid*; 0 is our own."""
    return ["nsenter", "--target", str(pid), "--net", "--"] if pid else []


def run(command, text=""):
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        fail(f"{' '.join(command)} ended with {done.returncode}: {' '.join(done.stderr.split())}; input: {text[:600]}")
    return done.stdout


def both_at_once(commands):
    """Run (argv, input) side by side; return their outputs."""
    started = [
        (command, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        for command, _ in commands
    ]
    outputs = []
    for (command, process), (_, text) in zip(started, commands):
        out, err = process.communicate(text)
        if process.returncode:
            fail(f"{' '.join(command)} ended with {process.returncode}: {' '.join(err.split())}; input: {text[:600]}")
        outputs.append(out)
    return outputs


# --- links and what is remembered of them ----------------------------------------------------------------------------


def host_end(pid):
    """The name of this namespace's end of the link of process *pid*: the peer of its eth0."""
    line = run([*entered(pid), "ip", "-o", "link", "show", "dev", "eth0"])
    name = line.split()[1].rstrip(":")  # eth0@if12
    index = int(name.rpartition("@if")[2])
    for other, interface in socket.if_nameindex():
        if other == index:
            return interface
    fail(f"interface {index}, the other end of eth0 of process {pid}, is not in the engine host's namespace")


def path(number, kind):
    return f"{STATE}/{number}.{kind}"


def read(number, kind):
    try:
        with open(path(number, kind)) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write(number, kind, text):
    with open(path(number, kind) + ".new", "w") as file:
        file.write(text)
    os.replace(path(number, kind) + ".new", path(number, kind))


def known():
    """Number, process and interface of each link that was ever set here and still exists."""
    numbers = sorted(int(name.partition(".")[0]) for name in os.listdir(STATE) if name.endswith(".link"))
    links = []
    for number in numbers:
        pid, interface = read(number, "link").split()
        if os.path.exists(f"/proc/{pid}") and os.path.exists(f"/sys/class/net/{interface}"):
            links.append((number, int(pid), interface))
    return links


# --- apply -----------------------------------------------------------------------------------------------------------


def has_netem():
    """Whether this kernel has netem, found out once in a namespace that ends with the question."""
    known = read("all", "netem")
    if not known:
        command = ["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "limit", "1000"]
        known = str(int(subprocess.run(command, capture_output=True, check=False).returncode == 0))
        write("all", "netem", known)
    return known == "1"


def stop_steps(number):
    """End the sequencer of a link and wait until it and its tc have gone: nothing of it may follow what we set now."""
    group = read(number, "steps")
    if not group:
        return
    try:
        with open(f"/proc/{group}/cmdline") as file:
            ours = "link-probe\0steps" in file.read()
        if ours:
            os.killpg(int(group), signal.SIGKILL)
            while group_runs(int(group)):
                time.sleep(0.002)
    except (FileNotFoundError, ProcessLookupError):
        pass
    os.unlink(path(number, "steps"))


def group_runs(group):
    """Whether a process of *group* still runs; zombies do not."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] not in "ZX":
                return True
    return False


def named(lines, interface):
    """The tc commands *lines* with the name of the interface in the place of LINK."""
    return [[interface if word == LINK else word for word in line] for line in lines]


def batch(lines):
    return "".join(" ".join(line) + "\n" for line in lines)


def apply(spec):
    netem = has_netem()
    section("all", "netem", str(int(netem)))
    if not netem:
        return  # the caller knows whether it needs one
    links = []
    for link in spec["links"]:
        number, pid = link["number"], link["pid"]
        before = read(number, "link").split()
        if before[:1] == [str(pid)]:
            links.append((number, pid, before[1]))
        else:
            links.append((number, pid, host_end(pid)))
            write(number, "own", "0 0")
        stop_steps(number)
    down = [line for link, known in zip(spec["links"], links) for line in named(link["down"], known[2])]
    up = [named(link["up"], "eth0") for link in spec["links"]]
    for link, (number, pid, interface) in zip(spec["links"], links):
        write(number, "profile", link["profile"])
        write(number, "link", f"{pid} {interface}")
    read_back(links, down, up)
    # Only now: what was read back is what was set. From here on it moves.
    for link, (_, _, interface) in zip(spec["links"], links):
        if link["steps"]:
            start_steps(link, interface)


def start_steps(link, interface):
    steps = [
        [at_s, named(down, interface), named(up, "eth0")] for at_s, down, up in link["steps"]
    ]
    spec = repr({"pid": link["pid"], "interface": interface, "period_s": link["period_s"], "steps": steps})
    process = subprocess.Popen(
        [*PYTHON, sys.argv[0], "steps", spec],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    write(link["number"], "steps", str(process.pid))


def steps(spec):
    """Follow the wall clock, as satellites do: all links of a profile change at the same moments."""
    period_s = spec["period_s"]
    while os.path.exists(f"/proc/{spec['pid']}") and os.path.exists(f"/sys/class/net/{spec['interface']}"):
        phase_s = time.time() % period_s
        due = [step for step in spec["steps"] if step[0] <= phase_s] or spec["steps"][-1:]
        _, down, up = due[-1]
        both_at_once(
            [
                command
                for command in (
                    (["tc", "-batch", "-"], batch(down)),
                    ([*entered(spec["pid"]), "tc", "-batch", "-"], batch(up)),
                )
                if command[1]
            ]
        )
        after = [step[0] for step in spec["steps"] if step[0] > due[-1][0] and step[0] > phase_s]
        next_s = min(after, default=period_s + spec["steps"][0][0])
        time.sleep(max(0.0, next_s - phase_s - (time.time() % period_s - phase_s) % period_s))


def read_back(links, down=(), up=()):
    """Run the commands, *down* here and the lists of *up* in the clients' namespaces, and show what stands then."""
    tc = ["tc", "-s", "-j", "-batch", "-"]
    commands = [(tc, batch(down) + "qdisc show\n")]
    for (_, pid, _), lines in zip(links, up or [()] * len(links)):
        commands.append(([*entered(pid), *tc], batch(lines) + "qdisc show dev eth0\n"))
    host, *clients = both_at_once(commands)
    section("host", "qdisc", host)
    for (number, pid, interface), text in zip(links, clients):
        section(number, "link", f"{pid} {interface}")
        section(number, "qdisc", text)
        section(number, "profile", read(number, "profile"))
        section(number, "own", read(number, "own"))
        group = read(number, "steps")
        section(number, "steps", str(int(not group or group_runs(int(group)))))


# --- measure ---------------------------------------------------------------------------------------------------------


class Tap:
    """What arrives on an interface, with the kernel's own time of arrival."""

    def __init__(self, sock, name):
        sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        sock.setblocking(False)
        sock.bind((name, ETH_P_ALL))
        self.sock = sock

    def take(self):
        """Yield (nanoseconds since 1970, frame) of all that has arrived."""
        receive, unpack = self.sock.recvmsg, TIMESPEC.unpack
        try:
            while True:
                frame, ((_, _, stamp),), _, _ = receive(2048, 64)
                seconds, nanoseconds = unpack(stamp)
                yield seconds * 1_000_000_000 + nanoseconds, frame
        except BlockingIOError:
            return

    def dropped(self):
        """Frames that there was no room for."""
        return struct.unpack("=II", self.sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]


def pair():
    return [socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) for _ in range(2)]


def pairs_of(pids):
    """For each process a socket to send from and one to receive with, in its namespace; opened side by side."""
    waiting = []
    for pid in pids:
        ours, theirs = socket.socketpair()
        command = [*entered(pid), *PYTHON, sys.argv[0], "open", str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        theirs.close()
        waiting.append((pid, ours, process))
    pairs = []
    for pid, ours, process in waiting:
        with ours:
            _, descriptors, _, _ = socket.recv_fds(ours, 1, 2)
        if process.wait() or len(descriptors) != 2:
            fail(f"no packet socket in the namespace of process {pid}")
        pairs.append([socket.socket(fileno=descriptor) for descriptor in descriptors])
    return pairs


def open_for_parent(descriptor):
    made = pair()
    with socket.socket(fileno=int(descriptor)) as parent:
        socket.send_fds(parent, [b"x"], [one.fileno() for one in made])


def checksum(header):
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def frame_of(mark, number, length, to_client):
    """A frame as the stream's are, from nobody to nobody: UDP over IPv4, port 9 (discard)."""
    source, target = (b"\xc6\x13\xff\xfd", b"\xc6\x13\xff\xfe")[:: 1 if to_client else -1]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, length - 14, 0, 0x4000, 64, 17, 0, source, target)
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    payload = (MARK.pack(mark, number) * (length // MARK.size + 1))[: length - HEADERS_BYTES]
    ethernet = (TO_CLIENT if to_client else TO_HOST) + FROM + b"\x08\x00"
    return ethernet + ip + struct.pack("!HHHH", 9, 9, length - 34, 0) + payload


def identify(frame, mark, count):
    """The number of a frame of ours, though a bit of it may be wrong; -1 for others'."""
    seen = {}
    for at in range(HEADERS_BYTES, len(frame) - MARK.size + 1, MARK.size):
        found, number = MARK.unpack_from(frame, at)
        if found == mark and number < count:
            seen[number] = seen.get(number, 0) + 1
            if seen[number] == 2:
                return number
    return -1


class Way:
    """One direction of one link while it is measured."""

    def __init__(self, number, direction, sender, tap, mark, sizes, interface):
        self.number, self.direction, self.tap, self.mark = number, direction, tap, mark
        to_client = direction == "down"
        self.frames = [frame_of(mark, at, size, to_client) for at, size in enumerate(sizes)]
        self.sent = array("q", bytes(8 * len(sizes)))
        self.seen, self.times, self.damaged = array("i"), array("q"), array("b")
        # The protocol that tc's filters see is the one the socket is bound to. What it receives nobody reads.
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        sender.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 8 << 20)
        sender.bind((interface, ETH_P_IP))
        self.send_frame = sender.send

    def send(self, at):
        self.sent[at] = time.time_ns()
        try:
            self.send_frame(self.frames[at])
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # netem had no room for it: lost, as netem counts it too
                raise

    def collect(self):
        count, frames, mark = len(self.frames), self.frames, self.mark
        for time_ns, frame in self.tap.take():
            if frame[HEADERS_BYTES : HEADERS_BYTES + 2] != frames[0][HEADERS_BYTES : HEADERS_BYTES + 2] and (
                identify(frame, mark, count) < 0
            ):
                continue
            number = MARK.unpack_from(frame, HEADERS_BYTES)[1] if len(frame) >= 48 else count
            whole = number < count and frame == frames[number]
            if not whole:
                number = identify(frame, mark, count)
                if number < 0:
                    continue
            self.seen.append(number)
            self.times.append(time_ns)
            self.damaged.append(not whole)


def packed(values):
    return base64.b64encode(zlib.compress(values.tobytes(), 1)).decode()


def measure(spec):
    marks = int.from_bytes(os.urandom(2), "big") | 1
    ways, timetable = [], []
    known_links = {number: interface for number, _, interface in known()}
    inside = pairs_of([link["pid"] for link in spec["links"]])
    for link, client in zip(spec["links"], inside):
        number = link["number"]
        interface = known_links[number]
        ends = {"down": (pair(), interface), "up": (client, "eth0")}
        for direction, other in (("down", "up"), ("up", "down")):
            phases = link[direction]
            sizes = [size for _, count, _, size in phases for _ in range(count)]
            tap = Tap(ends[other][0][1], ends[other][1])
            marks = (marks + 2) & 0xFFFF
            way = Way(number, direction, ends[direction][0][0], tap, marks, sizes, ends[direction][1])
            moments = [start_us + k * step_us for start_us, count, step_us, _ in phases for k in range(count)]
            timetable += [(moment, len(ways), at) for at, moment in enumerate(moments)]
            ways.append(way)
    timetable.sort()
    try:
        play(ways, timetable)
    finally:
        drain(ways, spec["drain_us"])
        note_own_losses(ways)
    for way in ways:
        subject = f"{way.number}.{way.direction}"
        values = (way.sent, way.seen, way.times, way.damaged)
        section(subject, "samples", "\n".join([str(way.tap.dropped()), *map(packed, values)]))
    read_back([link for link in known() if link[0] in {way.number for way in ways}])


def play(ways, timetable):
    """Send every frame at its moment and collect what arrives meanwhile."""
    began = time.monotonic_ns() + 20_000_000
    for moment, way, at in timetable:
        due = began + moment * 1000
        while (left := due - time.monotonic_ns()) > 0:
            if left > 2_000_000:
                for one in ways:
                    one.collect()
                left = due - time.monotonic_ns()
            if left > 0:
                time.sleep(left / 1e9)
        late = time.monotonic_ns() - due
        if late > LATE_NS:
            began += late  # what was held up by a busy machine must not arrive as a burst that fills a queue
        ways[way].send(at)


def drain(ways, drain_us):
    """Collect what still arrives."""
    end = time.monotonic_ns() + drain_us * 1000
    while time.monotonic_ns() < end:
        for one in ways:
            one.collect()
        time.sleep(0.02)
    for one in ways:
        one.collect()


def note_own_losses(ways):
    """Add what this measurement lost to what earlier ones did: the link's counter has it among the stream's losses."""
    for way in ways:
        lost = list(map(int, (read(way.number, "own") or "0 0").split()))
        lost[way.direction == "up"] += sum(map(bool, way.sent)) - len(set(way.seen))
        write(way.number, "own", f"{lost[0]} {lost[1]}")


def main(arguments):
    os.makedirs(STATE, exist_ok=True)
    match arguments:
        case ["apply", spec]:
            apply(ast.literal_eval(spec))
        case ["read"]:
            read_back(known())
        case ["measure", spec]:
            measure(ast.literal_eval(spec))
        case ["steps", spec]:
            steps(ast.literal_eval(spec))
        case ["open", descriptor]:
            open_for_parent(descriptor)
        case _:
            fail("usage: link-probe apply SPEC | read | measure SPEC")


if __name__ == "__main__":
    main(sys.argv[1:])
