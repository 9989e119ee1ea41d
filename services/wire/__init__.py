"""The programs of the wire image: a kernel with netem through which links pass where the engine's kernel has none.

==================  ===========================================================================================
``launcher.py``     the program ``wire``: opens the packet sockets, starts the kernel, serves its control socket
``init``            the first program in that kernel: joins its interfaces in pairs
``agent``           what it becomes then: runs tc commands for the launcher
``initramfs.sh``    packs both with what they need, while the image is built
==================  ===========================================================================================

The kernel is Debian's User Mode Linux: one ordinary process, without any capability. Frames reach it through packet
sockets, which the launcher opens and binds to interfaces of the container's own network namespace::

    server ── Docker's bridge ── bN ══ vec(2i+1) ─ mirred ─ vec(2i) ══ cN | eth0 of client N
                    wire's namespace   the kernel in the wire     wire's namespace

Direction *down* is shaped by the root qdisc of vec(2i), *up* by that of vec(2i+1). The namespace owns both interfaces:
whatever ends, the engine's kernel removes them, and no stream passes without its link.

Pure, and unit-tested without a container: :mod:`wire.requests`. The image has Debian's python3-minimal, which lacks
json, dataclasses and ctypes, as :mod:`probe` says.
"""
