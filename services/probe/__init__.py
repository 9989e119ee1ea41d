"""The programs of the probe image: they capture packets, set links and firewalls, and measure links and clocks.

==================  ======================================================================
``link_probe.py``   the program ``link-probe``: shapes, reads back and measures links
``clock_probe.py``  the program ``clock-probe``: compares the clocks of two hosts
``path_probe.py``   the program ``path-probe``: tries what a network between hosts carries
``firewall.py``     the program ``firewall``: applies, removes and shows rule sets
``tap.sh``          the program ``tap``: captures packets
==================  ======================================================================

:mod:`probe.emulators` knows where a link is shaped, in the engine's kernel or in a wire (services/wire);
:mod:`probe.plugging` leads a link through a wire.

Pure, and unit-tested without a container: :mod:`probe.exchanges`, :mod:`probe.frames`, :mod:`probe.path_packets`,
:mod:`probe.timing`, :mod:`probe.rule_sets`.

The image has Debian's python3-minimal (3.11) and no other package. That Python lacks json, dataclasses and ctypes, so
these modules do without: specifications arrive as Python literals, and ``nsenter`` enters namespaces instead of
setns(2). Each program serves all clients in one call, because starting a process in a container from outside costs
more than most of the work it does there.
"""
