"""Holding a role: acting for the cluster while the storage meta leader is on this host.

The role's document is never deleted, so its version is the term by which every decision is checked: a holder that was
replaced, or restarted, cannot commit what it decided before.
"""

from __future__ import annotations

import msgspec

from ave.errors import Stale, UnknownOutcome
from ave.model.cluster import Role
from ave.ports.block import Grant
from ave.ports.store import Check, Conflict, Insert, Replace
from ave.ports.together import Ports
from ave.runtime import Signal

SCHEDULER = "scheduler"
MONITOR = "monitor"
ROLES = (SCHEDULER, MONITOR)


class Leadership:
    """What this process knows of the storage meta leader: set by the lease keeper, read by those who hold roles."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self.term = 0  # of the storage meta service, while this host leads it; else 0
        self.changed: Signal = ports.runtime.signal()

    def learn(self, grant: Grant | None) -> None:
        """A renewal was granted, or (None) the lease was lost."""
        term = grant.term if grant is not None and grant.leader == self._ports.host else 0
        if term != self.term:
            self.term = term
            self.changed.set()


async def take_role(ports: Ports, name: str, term: int) -> Role:
    """Become the holder. Stale when a later meta term holds it already; raises Unavailable."""
    while True:
        known = await ports.store.get(Role, name)
        if known is not None and known.term > term:
            raise Stale(name)
        try:
            if known is None:
                (taken,) = await ports.store.commit(Insert(Role(id=name, holder=ports.host, term=term)))
            else:
                mine = msgspec.structs.replace(known, holder=ports.host, term=term)
                (taken,) = await ports.store.commit(Replace(mine))
        except (Conflict, UnknownOutcome):
            continue
        ports.runtime.log("role taken", role=name, term=term)
        return taken  # type: ignore[no-any-return]


def still_held(role: Role) -> Check:
    """A decision's condition: this very holding of the role is the latest."""
    return Check(Role, role.id, {"version": role.version})


class Held:
    """Runs a service while this host leads, and stops it when it does not."""

    def __init__(self, ports: Ports, leadership: Leadership) -> None:
        self._ports, self._leadership = ports, leadership

    async def wait_for_term(self) -> int:
        while not self._leadership.term:
            self._leadership.changed.clear()
            await self._leadership.changed.wait()
        return self._leadership.term

    async def wait_for_loss(self, term: int) -> None:
        while self._leadership.term == term:
            self._leadership.changed.clear()
            await self._leadership.changed.wait()
