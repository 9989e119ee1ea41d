"""The README's commands on a fresh Debian, beside this system: ``make fresh DEBIAN=13``."""
