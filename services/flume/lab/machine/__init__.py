"""This machine: its packages, its Docker engine, its processes."""
