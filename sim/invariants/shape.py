"""What every invariant is made of, and the stage on which it watches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ave.ha.timing import Timing
from ave.model.host import Host
from ave.model.vm import VM
from drivers.sim.machine import Machine
from drivers.sim.storage import Storage
from drivers.sim.store import ReplicaSet
from sim.invariants.calm import Calm
from sim.violation import Violation


class Stage:
    """The world as it truly is: machines, storage, the store's majority log, and true time."""

    def __init__(
        self,
        machines: Mapping[str, Machine],
        storage: Storage,
        store: ReplicaSet,
        timing: Timing,
        now: Callable[[], float],
    ) -> None:
        self.machines, self.storage, self.store, self.timing, self.now = machines, storage, store, timing, now
        self.calm = Calm(machines, storage, store, now)
        self.acknowledged: dict[str, None] = {}  # Jobs whose submission a user was told of
        self.poisoned: dict[str, None] = {}  # work that is meant to stumble

    def vm(self, id: str) -> VM | None:
        return self.store.ledger.get(VM, id)  # type: ignore[no-any-return]

    def host(self, id: str) -> Host | None:
        return self.store.ledger.get(Host, id)  # type: ignore[no-any-return]

    def lock_holder(self, resource: str) -> str:
        """The Job that holds the lock, or nobody."""
        lock = self.store.ledger.shelves_by_name["lock"].docs.get(resource)
        return lock.job if lock is not None else ""

    def held(self) -> dict[str, None]:
        """Every resource that a Job has locked."""
        locks = self.store.ledger.shelves_by_name["lock"].docs
        return {resource: None for resource, lock in locks.items() if lock.job}

    def worker(self, host: str) -> str:
        """The start of the host's worker that lives and reaches the store, or nobody."""
        machine = self.machines.get(host)
        if machine is None or not machine.powered or "node" not in machine.running or not self.store.serves(host):
            return ""
        handler = self.store.ledger.shelves_by_name["handler"].docs.get(host)
        return handler.uuid if handler is not None else ""

    def works(self, handler: str) -> bool:
        return handler != "" and self.worker(handler.rpartition("-")[0]) == handler


class Invariant(Protocol):
    id: str
    phrase: str
    armed: int

    def __init__(self, stage: Stage) -> None: ...

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        """What to call: by type of fact; by kind of document, with (id, document or None); "tick" with the time, when
        something happens and a second has passed since the last one; "end" at the end of the run."""
        ...


__all__ = ["Invariant", "Stage", "Violation"]
