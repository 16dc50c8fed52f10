from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ave.model.cluster import lock_name
from ave.model.host import HostState
from ave.model.vm import VM
from ave.model.work import ENDED, Work
from drivers.sim.facts import Started
from drivers.sim.machine import NODE
from sim.invariants.shape import Stage, Violation

# After the Job that a place was found for has ended. What it left there goes with its host's next look: that comes every 30 s,
# may be 15 s late (J11), and takes its time.
RELEASED_SECONDS = 50.0


class MemoryFits:
    """Armed when room is promised on a host that already holds room for another VM still in flight."""

    id = "P2"
    phrase = (
        "the memory of a host's VMs, with what is promised to those on their way, fits its physical memory, "
        "and no promise outlives its Job"
    )

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._holds: dict[str, tuple[tuple[str, int, bool], ...]] = {}  # VM -> (host, MiB, on its way?) it counts on
        self._used: dict[str, int] = {}
        self._promised: dict[str, tuple[str, str]] = {}  # VM -> host, and the Job for which it was found
        self._ended: dict[str, float] = {}  # VM -> since when that Job has ended
        self._coming: dict[str, int] = {}  # host -> VMs on their way to it

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {"vm": self.vm, Started: self.started, "tick": self.tick}

    def vm(self, change: tuple[str, VM | None]) -> None:
        """The store's view: what its documents add up to."""
        id, vm = change
        self._promise(id, vm)
        before, now = self._holds.get(id, ()), _holds(vm)
        if now == before:
            return
        for host, mib, coming in before:
            self._used[host] -= mib
            self._coming[host] -= coming
        for host, mib, coming in now:
            self._used[host] = self._used.get(host, 0) + mib
            self._coming[host] = self._coming.get(host, 0) + coming
        self._holds[id] = now
        for host, _, coming in now:
            self.armed += self._coming[host] > coming
            self._judge(id, host, self._used[host])

    def tick(self, now: float) -> None:
        for id, (host, job) in self._promised.items():
            work = self._stage.store.ledger.get(Work, job)
            if (work is not None and work.state not in ENDED) or not self._at_work(host):
                self._ended.pop(id, None)
            elif self._stage.calm.lasted(self._ended.setdefault(id, now)) > RELEASED_SECONDS:
                late = now - self._ended[id]
                what = f"{host} still holds room for {id}, {late:.0f} s after {job or 'its Job'} ended"
                raise Violation(self.id, what, (id, host, job))

    def _at_work(self, host: str) -> bool:
        """A host that is lost takes no VM; what is promised there goes with its first look when it has come back. One whose
        hypervisor does not say what runs there may hold something of it yet."""
        known, machine = self._stage.host(host), self._stage.machines[host]
        return known is not None and known.state is HostState.ONLINE and machine.works(NODE) and machine.listable

    def _promise(self, id: str, vm: VM | None) -> None:
        """A reservation is that of the Job which holds the VM when it is made."""
        if vm is None or not vm.reserved:
            self._promised.pop(id, None)
            self._ended.pop(id, None)
            return
        holder = self._stage.lock_holder(lock_name(VM, id))
        host, job = self._promised.get(id, ("", ""))
        if vm.reserved != host or holder:
            self._promised[id] = (vm.reserved, holder)
            if holder != job:
                self._ended.pop(id, None)

    def started(self, fact: Started) -> None:
        """The world's view: what the machine really holds."""
        machine = self._stage.machines[fact.host]
        self._judge(fact.vm, fact.host, sum(guest.memory_mib for guest in machine.guests.values()))

    def _judge(self, vm: str, host: str, used: int) -> None:
        facts = self._stage.machines[host].facts
        room = facts.memory_mib - facts.reserve_mib
        if used > room:
            raise Violation(self.id, f"{host} holds {used} MiB with {vm}, and has {room} MiB for VMs", (vm, host))


def _holds(vm: VM | None) -> tuple[tuple[str, int, bool], ...]:
    if vm is None:
        return ()
    there = vm.holds_memory and bool(vm.host)
    coming = bool(vm.reserved) and not (there and vm.reserved == vm.host)
    return ((vm.host, vm.memory_mib, False),) * there + ((vm.reserved, vm.memory_mib, True),) * coming
