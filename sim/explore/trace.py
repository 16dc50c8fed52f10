"""A run as one hash: of everything that was said, committed and witnessed, in order and with its moment."""

from __future__ import annotations

import hashlib
from typing import Any

from ave.ports.store import Commit
from drivers.sim.facts import Wrote
from sim.cluster import SimCluster


class Trace:
    """Ordinary writes of guests are left out: they are most of what happens, and follow from the rest."""

    def __init__(self, cluster: SimCluster) -> None:
        self._hash = hashlib.sha256()
        self._world = cluster.world
        cluster.listeners.append(self._saw)
        cluster.store.ledger.listeners.append(self._committed)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()

    def told(self, now: float, process: str, event: str, fields: dict[str, Any]) -> None:
        self._hash.update(f"{now!r} {process} {event} {fields!r}\n".encode(errors="surrogatepass"))

    def _saw(self, fact: object) -> None:
        if not isinstance(fact, Wrote):
            self._hash.update(f"{self._world.now!r} {fact!r}\n".encode())

    def _committed(self, commit: Commit) -> None:
        changes = [(kind, id, doc.version if doc is not None else 0) for kind, id, doc in commit.changes]
        self._hash.update(f"{commit.at!r} {changes!r}\n".encode())
