"""Locks on an engine: containers that are never started. The engine makes one of a name, and removes it by its id.

Available as ``engine.locks``. A lock is where the lab is, so it holds for every host and user that has this engine.
"""

from typing import Any

import docker.errors
import msgspec

from flume.lab.containers import topology
from flume.lab.containers.container import Errors

LABEL_LOCK = "flumelab.lock"
"""The name of the lab. Not a label of the lab: whoever removes a lab does not end its run."""

LABEL_OWNER = "flumelab.owner"


class Held(msgspec.Struct, frozen=True):
    """A lock that exists."""

    id: str
    lab: str
    owner: str
    """What its owner has written of itself."""


class LockStore:
    """The locks of one engine."""

    def __init__(self, api: Any, errors: Errors) -> None:
        """Use :attr:`flume.lab.containers.engine.Engine.locks` instead."""
        self._api = api
        self._errors = errors

    def create(self, lab: str, owner: str, *, image: str) -> Held | None:
        """Make the lock of *lab* with the text *owner*, in one step; return None where there is one already."""
        name = topology.object_name(lab, "lock")
        with self._errors(f"make the lock {name}"):
            try:
                created = self._api.create_container(
                    name=name,
                    image=image,
                    command=["true"],
                    labels={LABEL_LOCK: lab, LABEL_OWNER: owner},
                    host_config=self._api.create_host_config(network_mode="none"),
                    use_config_proxy=False,
                )
            except docker.errors.APIError as error:
                if error.status_code != 409:  # the name is in use
                    raise
                return None
        return Held(str(created["Id"]), lab, owner)

    def find(self, lab: str | None = None) -> list[Held]:
        """Return the lock of *lab*, if there is one; of None: the locks of all labs."""
        wanted = LABEL_LOCK if lab is None else f"{LABEL_LOCK}={lab}"
        with self._errors("look for locks"):
            found = self._api.containers(all=True, filters={"label": [wanted]})
        return [Held(one["Id"], one["Labels"][LABEL_LOCK], one["Labels"].get(LABEL_OWNER, "")) for one in found]

    def remove(self, held: Held) -> None:
        """Remove this lock and no later one of the same name; nothing happens where it has gone."""
        with self._errors(f"remove the lock of lab {held.lab}"):
            try:
                self._api.remove_container(held.id, force=True, v=True)
            except docker.errors.APIError as error:
                if error.status_code != 404 and "already in progress" not in str(error.explanation):
                    raise
