"""Firewall scenarios: read from ``netem/firewall``, put up in the lab's namespaces, proved by their own counters."""
