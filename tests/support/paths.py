"""The folders of the checkout that tests read, in one module: a test can move to another folder unchanged."""

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
