"""Firewall scenarios: read from ``netem/firewall``, applied in the lab's namespaces, proved by their counters."""
