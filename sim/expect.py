"""Where VMs must be: what a scenario expects, judged in the simulated world at its moment, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ave.model.vm import VM, VMState
from ave.model.work import Work, WorkState
from ave.ports.hypervisor import DomainState
from ave.ports.store import Commit
from ave.scheduler.steps import PLACE
from sim.cluster import SimCluster
from sim.scenario.model import Expectation

GONE = (VMState.CREATING, VMState.DELETING)  # not there yet, or any more: no VM of its fleet


class Met(msgspec.Struct, frozen=True):
    """An expectation, and what became of it."""

    what: str  # "web-1 on host-2"
    found: str  # what was wrong: "it is on host-3"; "" if nothing was
    passed: bool


class Observer:
    """Sees what the scheduler answered last, and where domains are."""

    def __init__(self, cluster: SimCluster) -> None:
        self._cluster = cluster
        self._answers: dict[str, str] = {}  # VM -> the refusal, or "" if it found a host
        cluster.store.ledger.listeners.append(self._committed)

    def judge(self, expected: Expectation) -> Met:
        wrong = next(self._wrong(expected), "")
        return Met(phrase(expected), wrong, not wrong)

    def _committed(self, commit: Commit) -> None:
        for kind, _, doc in commit.changes:
            if kind == "work" and isinstance(doc, Work) and doc.function == PLACE and doc.state is WorkState.DONE:
                self._answers |= {vm: fact.refusal for vm, fact in doc.facts.items()}

    def _wrong(self, expected: Expectation) -> Iterator[str]:
        names = (expected.vm,) if expected.vm else self._fleet(expected.fleet)
        places = {name: self._place(name) for name in names}
        if not names:
            yield "it has no VMs"
        if expected.refused and expected.refused not in (answer := self._answers.get(expected.vm, "")):
            yield f"the scheduler's answer was: {answer}" if answer else "it was not refused"
        if expected.hosts or expected.zone or expected.apart is not None or expected.together is not None:
            yield from (f"{name} runs nowhere" for name, host in places.items() if not host)
            yield from self._misplaced(expected, places)
        if expected.unpinned is not None:
            for name in names:
                vm = self._cluster.store.ledger.get(VM, name)
                if vm is None or vm.unpinned != expected.unpinned:
                    yield f"{name} is {'un' if vm is not None and vm.unpinned else ''}pinned"

    def _misplaced(self, expected: Expectation, places: dict[str, str]) -> Iterator[str]:
        used = tuple(sorted({host for host in places.values() if host}))
        where = ", ".join(f"{name} on {host}" for name, host in places.items())
        if expected.hosts:
            yield from (f"{name} is on {host}" for name, host in places.items() if host not in expected.hosts)
            if expected.fleet:
                yield from (f"none is on {host}" for host in expected.hosts if host not in used)
        if expected.zone:
            zones = {host.name: host.zone for host in self._cluster.topology.hosts()}
            yield from (f"{name} is on {host}" for name, host in places.items() if zones[host] != expected.zone)
        if expected.apart is not None and (len(used) == len(places)) is not expected.apart:
            yield where
        if expected.together is not None and (len(used) == 1) is not expected.together:
            yield where

    def _fleet(self, fleet: str) -> tuple[str, ...]:
        vms = self._cluster.store.ledger.find(VM, {}, (), 0, None)
        return tuple(vm.id for vm in vms if vm.labels.get("fleet") == fleet and vm.state not in GONE)

    def _place(self, vm: str) -> str:
        """Where it is, running or standing still; "": nowhere."""
        for machine in self._cluster.machines.values():
            guest = machine.guests.get(vm)
            if guest is not None and guest.state is not DomainState.INCOMING:
                return machine.name
        return ""


def phrase(expected: Expectation) -> str:
    """As a report names it: "db apart", "web-1 on host-2 or host-3"."""
    parts: list[str] = []
    if expected.hosts:
        parts.append(f"on {(' or ' if expected.vm else ' and ').join(expected.hosts)}")
    if expected.zone:
        parts.append(f"in zone {expected.zone}")
    if expected.apart is not None:
        parts.append("apart" if expected.apart else "not all apart")
    if expected.together is not None:
        parts.append("together" if expected.together else "not all together")
    if expected.unpinned is not None:
        parts.append("unpinned" if expected.unpinned else "pinned")
    if expected.refused:
        parts.append(f"refused by {expected.refused}")
    when = "" if expected.at is None else f" at {expected.at:g} s"
    return f"{expected.vm or expected.fleet} {', '.join(parts)}{when}"
