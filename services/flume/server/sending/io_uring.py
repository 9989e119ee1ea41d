"""Linux's io_uring, as much of it as sending needs: many sends on many sockets in one system call.

The only file that knows the kernel's structures (linux/io_uring.h, io_uring_setup(2), io_uring_enter(2)). It calls the
kernel by ctypes, because the interface is three numbers and two shared pieces of memory. Every send carries
MSG_DONTWAIT: the kernel completes it before io_uring_enter returns, with EAGAIN if the buffer is full, and keeps
nothing for later. So no send is pending when :meth:`SendRing.submit` has returned. The server's promise rests on that.
"""

import ctypes
import errno
import mmap
import os
import socket
import struct
from array import array
from typing import Final, NamedTuple

SYS_SETUP, SYS_ENTER = 425, 426
"""The same on all architectures (since Linux 5.1)."""

OP_SEND = 26
ENTER_GETEVENTS = 1
OFFSET_SQES = 0x1000_0000
FEATURE_SINGLE_MMAP = 1

SQE_BYTES, CQE_BYTES = 64, 16
_SQE: Final = struct.Struct("=BBHiQQIIQ24x")  # opcode flags ioprio fd off addr len msg_flags user_data
_CQE: Final = struct.Struct("=Qi4x")  # user_data res flags
_LENGTH_WORD = 6
"""Position of ``len`` in an SQE, in words of 32 bits."""

MIN_ENTRIES, MAX_ENTRIES = 64, 32_768
"""IORING_MAX_ENTRIES; a completion queue is twice as long."""

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall


class Failure(NamedTuple):
    """The send in *slot* was refused with the errno *number*."""

    slot: int
    number: int


class SendRing:
    """A ring whose slots hold prepared sends of one shared buffer. One thread uses it."""

    def __init__(self, payload_bytes: int, entries: int = MIN_ENTRIES) -> None:
        """Make a ring of at least *entries* slots and a buffer of *payload_bytes*.

        Raises :class:`OSError`: ENOSYS, EPERM (switched off, or a container's seccomp profile), ENOMEM, ...
        """
        self.entries = 1 << max(entries - 1, MIN_ENTRIES - 1).bit_length()
        self._buffer = bytearray(payload_bytes)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._buffer))
        parameters = (ctypes.c_uint32 * 30)()
        self._descriptor: int = _syscall(SYS_SETUP, self.entries, parameters)
        if self._descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"io_uring_setup: {os.strerror(number)}")
        try:
            self._map(list(parameters))
        except BaseException:
            os.close(self._descriptor)
            raise
        self._count = 0
        self._size = -1

    def _map(self, parameters: list[int]) -> None:
        """Find the kernel's counters in the memory it shares."""
        if not parameters[5] & FEATURE_SINGLE_MMAP:
            raise OSError(errno.ENOSYS, "io_uring of Linux 5.4 or later is needed")
        self._completions = completions = parameters[1]
        _, tail, _, _, _, _, indices = parameters[10:17]
        completed_head, completed_tail, _, _, _, completed = parameters[20:26]
        size = max(indices + 4 * self.entries, completed + CQE_BYTES * completions)
        flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
        self._ring = mmap.mmap(self._descriptor, size, flags=flags)
        ring = memoryview(self._ring)
        slots = mmap.mmap(self._descriptor, SQE_BYTES * self.entries, flags=flags, offset=OFFSET_SQES)
        self._slots = memoryview(slots)
        self._words = self._slots.cast("I")
        self._tail = ring[tail : tail + 4].cast("I")
        self._indices = ring[indices : indices + 4 * self.entries].cast("I")
        self._order = memoryview(array("I", range(self.entries)))
        self._completed_head = ring[completed_head : completed_head + 4].cast("I")
        self._completed_tail = ring[completed_tail : completed_tail + 4].cast("I")
        self._completed, self._completed_end = completed, completed + CQE_BYTES * completions
        self._expected: dict[int, bytes] = {}

    def prepare(self, slot: int, target: socket.socket) -> None:
        """Make *slot* send the shared buffer on the connected socket *target*."""
        target_slot, flags = (self._slots, SQE_BYTES * slot), socket.MSG_DONTWAIT
        _SQE.pack_into(*target_slot, OP_SEND, 0, 0, target.fileno(), 0, self._address, 0, flags, slot)
        self._size = -1  # its length is still to be written

    def submit(self, payload: memoryview | bytes, count: int) -> list[Failure]:
        """Send *payload* from slots 0 to *count* - 1, in one system call; return the sends that were refused.

        Raises :class:`OSError` when the kernel took none of them.
        """
        self._fill(payload, count)
        at = self._tail[0] % self.entries
        first = min(count, self.entries - at)
        self._indices[at : at + first] = self._order[:first]
        self._indices[: count - first] = self._order[first:count]
        self._tail[0] = (self._tail[0] + count) & 0xFFFF_FFFF
        submitted = self._enter(count, 0, 0)
        if submitted < 0:
            number = ctypes.get_errno()
            self._tail[0] = (self._tail[0] - count) & 0xFFFF_FFFF
            raise OSError(number, f"io_uring_enter: {os.strerror(number)}")
        failures = self._reap(submitted, len(payload))
        if submitted < count:  # the kernel ran out of memory in the middle
            self._tail[0] = (self._tail[0] - (count - submitted)) & 0xFFFF_FFFF
            failures += [Failure(slot, errno.ENOBUFS) for slot in range(submitted, count)]
        return failures

    def _fill(self, payload: memoryview | bytes, count: int) -> None:
        size = len(payload)
        self._buffer[:size] = payload
        if size != self._size or count > self._count:
            self._words[_LENGTH_WORD : count * SQE_BYTES // 4 : SQE_BYTES // 4] = memoryview(array("I", [size]) * count)
            self._size, self._count = size, count

    def _enter(self, submit: int, complete: int, flags: int) -> int:
        return int(_syscall(SYS_ENTER, self._descriptor, submit, complete, flags, None, 0))

    def _reap(self, count: int, size: int) -> list[Failure]:
        """Take *count* completions off the queue. All are there already; one comparison checks them if all
        succeeded."""
        head, missing = self._completed_head[0], errno.EIO
        while (self._completed_tail[0] - head) & 0xFFFF_FFFF < count:
            if self._enter(0, count, ENTER_GETEVENTS) < 0 and (missing := ctypes.get_errno()) != errno.EINTR:
                break
        expected, count = count, min(count, (self._completed_tail[0] - head) & 0xFFFF_FFFF)
        at = self._completed + head % self._completions * CQE_BYTES
        found = self._ring[at : min(at + count * CQE_BYTES, self._completed_end)]
        found += self._ring[self._completed : self._completed + count * CQE_BYTES - len(found)]
        self._completed_head[0] = (head + count) & 0xFFFF_FFFF
        if count == expected and found == self._all_successful(size)[: len(found)]:
            return []
        # A send without a completion may have left all the same: it is not sent again, and counts as failed.
        outcomes = dict.fromkeys(range(expected), -missing) | dict(_CQE.iter_unpack(found))
        failed = sorted((slot, result) for slot, result in outcomes.items() if result != size)
        return [Failure(slot, -result if result < 0 else errno.EMSGSIZE) for slot, result in failed]

    def _all_successful(self, size: int) -> bytes:
        """Return the completions of a full ring whose sends all took *size* bytes."""
        if size not in self._expected:
            self._expected[size] = b"".join(_CQE.pack(slot, size) for slot in range(self.entries))
        return self._expected[size]

    def close(self) -> None:
        """Close the ring; its memory is freed with the last reference."""
        os.close(self._descriptor)
