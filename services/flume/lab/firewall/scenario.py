"""A firewall scenario as a value, read from ``netem/firewall/NAME.toml``. Pure but for :func:`find`.

A rule names its packets by their direction, not by a chain: the same rule can be applied at the client's host or at
the server's. Packets to the server are outgoing at the client and incoming at the server. What a rule *does* becomes
its comment in the kernel, and the rule's counter becomes the proof:

=======================  ==============================================================================
``blocked NAME``         drops or rejects packets; must have counted for the scenario to have acted
``changed NAME``         rewrites packets; must have counted likewise
``open NAME``            lets packets pass that must pass; must have counted
``also NAME``            belongs to the scenario, and needs no packet
=======================  ==============================================================================
"""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from flume.errors import SettingsError
from flume.lab import catalogue
from flume.lab.strict import FileValue

OPEN = "open"
"""The name that means no firewall: it removes the scenarios that are applied."""

Scope = Literal["client", "all", "server"]
"""One client, every client, or the server for all clients."""

Text = Annotated[str, msgspec.Meta(min_length=1)]

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
_TARGETS = frozenset({"", "DROP", "RETURN", "REJECT", "MASQUERADE"})
"""Without a target a rule only counts, or remembers in a match such as hashlimit."""
_NOT_IN_A_MATCH = frozenset({"-j", "--jump", "-g", "--goto", "-A", "-I", "-D", "-t", "--table", "--comment", "-c"})
_PORT = "{port}"

_RENAMED, _RENAMED_IN_RULE = {"cure": "remedy"}, {"stands": "host"}
"""Old key → its name now. Files of a person's own may still have the old ones."""


class Rule(FileValue, frozen=True, kw_only=True):
    """One rule; *matches* and *target* are arguments of iptables, ``{port}`` is the server's port."""

    does: Annotated[str, msgspec.Meta(pattern=r"^(blocked|changed|open|also) [a-z][a-z -]*$")]
    host: Literal["client", "server"]
    """On which host the rule is applied."""
    packets: Literal["to-server", "from-server"]
    matches: Text
    target: str = ""

    def __post_init__(self) -> None:
        """Refuse arguments that are no rule of our own chain."""
        words = _words("matches", self.matches)
        wrong = sorted(_NOT_IN_A_MATCH & set(words))
        if wrong:
            raise ValueError(
                f"matches has {', '.join(wrong)}: write only what a rule matches; the target has its own key"
            )
        target = (_words("target", self.target) or [""])[0]
        if target not in _TARGETS:
            raise ValueError(f"target {target!r} is none of {', '.join(sorted(_TARGETS - {''}))}")
        kind = self.does.partition(" ")[0]
        if kind == "blocked" and target not in {"DROP", "REJECT"}:
            raise ValueError(f"a rule that blocks has the target DROP or REJECT, not {target or 'none'}")
        if kind == "open" and target not in {"RETURN", ""}:
            raise ValueError(f"a rule that leaves open has the target RETURN or none, not {target}")
        if target == "MASQUERADE" and (self.host, self.packets) != ("client", "to-server"):
            raise ValueError("addresses are translated where the client sends: host client, packets to-server")

    @property
    def kind(self) -> str:
        """blocked, changed, open or also."""
        return self.does.partition(" ")[0]


class Scenario(FileValue, frozen=True, kw_only=True):
    """One scenario: texts for a person, and the rules; *name* is that of the file."""

    name: str
    summary: Text
    symptom: Text
    diagnosis: Text
    remedy: Text
    scope: Scope
    """What it is applied to by default."""
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1)]
    """What it can be applied to."""
    rule: Annotated[tuple[Rule, ...], msgspec.Meta(min_length=1)]
    doctor: dict[str, str] = msgspec.field(default_factory=dict)
    """What ``flume doctor`` on the client's host finds: leg → finding. The other legs are well or untested."""
    forget_flows: bool = False
    """Whether the client's firewall forgets all UDP flows when the scenario is applied."""
    udp_state_s: Annotated[int, msgspec.Meta(ge=1, le=3600)] | None = None
    """For how many seconds the client's firewall remembers an idle UDP flow."""
    path_mtu_bytes: Annotated[int, msgspec.Meta(ge=576, le=1499)] | None = None
    """Largest packet on the path from the server, in bytes; longer packets are fragmented."""
    renamed_keys: dict[str, str] = msgspec.field(default_factory=dict)
    """Old keys that the file has, and their names now; not a key itself."""

    def __post_init__(self) -> None:
        """Check rules that concern several keys."""
        if self.scope not in self.scopes:
            raise ValueError(f"scope {self.scope!r} is none of its own scopes {', '.join(self.scopes)}")
        kinds = {rule.kind for rule in self.rule}
        if not kinds & {"blocked", "changed"}:
            raise ValueError("no rule blocks or changes anything, so nothing could prove that it acted")
        if "open" not in kinds:
            raise ValueError("no rule is open, so nothing could prove that the rest passes")
        at_client = self.forget_flows or self.udp_state_s or self.path_mtu_bytes
        if "server" in self.scopes and (at_client or any("MASQUERADE" in rule.target for rule in self.rule)):
            raise ValueError(
                "the scope server has neither flows to forget, nor a path MTU, nor a translation of its own"
            )


def _words(key: str, text: str) -> list[str]:
    """Return the words of *text*; raises :class:`ValueError` for a line break or an open quotation mark."""
    if "\n" in text:
        raise ValueError(f"{key} is more than one line")
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"{key} cannot be read: {error}") from error
    if any("{" in word for word in shlex.split(text.replace(_PORT, ""))):
        raise ValueError(f"{key} has braces other than {_PORT}")
    return words


def load(text: str, *, name: str) -> Scenario:
    """Return the scenario in *text*; raises :class:`SettingsError` with file, key and reason.

    Keys that were renamed are read under their old name too, and listed in :attr:`Scenario.renamed_keys`.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError("firewall", name, "a file name of lower-case letters, digits and hyphens, ending .toml")
    try:
        table, renamed = _with_present_keys(tomllib.loads(text))
        return msgspec.convert({**table, "name": name, "renamed_keys": renamed}, Scenario)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise SettingsError("firewall", f"{name}.toml", f"its file is not as it should be: {error}") from error


def _with_present_keys(table: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return *table* with the present names of its keys, and the old names that it had: old → present."""
    renamed = {old: new for old, new in _RENAMED.items() if old in table and new not in table}
    present = {renamed.get(key, key): value for key, value in table.items()}
    if isinstance(rules := present.get("rule"), list):
        present["rule"] = [_rule_with_present_keys(rule, renamed) for rule in rules]
    return present, renamed


def _rule_with_present_keys(rule: Any, renamed: dict[str, str]) -> Any:
    """Return *rule* with the present names of its keys; note old ones in *renamed*."""
    if not isinstance(rule, dict):
        return rule  # refused where types are checked
    found = {old: new for old, new in _RENAMED_IN_RULE.items() if old in rule and new not in rule}
    renamed |= found
    return {found.get(key, key): value for key, value in rule.items()}


def find(folder: Path, name_or_path: str) -> Scenario:
    """Return the scenario with that name in *folder*, or the one in a file; raises :class:`SettingsError`."""
    file = catalogue.read(folder, name_or_path, key="firewall", also=[OPEN])
    return load(file.text, name=file.name)


def find_all(folder: Path) -> list[Scenario]:
    """Return all scenarios of *folder*, by name."""
    return [find(folder, name) for name in catalogue.names(folder)]
