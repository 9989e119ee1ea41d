"""Where the checkout keeps what tests read: one place, so that a test may move between folders."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The top of the checkout."""

CACHE = ROOT / ".cache"
SERVICES = ROOT / "services"
COMPOSE = ROOT / "compose"
LAB_YAML = COMPOSE / "lab.yaml"
NETEM = ROOT / "netem"
PROFILES = NETEM / "profiles"
FIREWALLS = NETEM / "firewall"
