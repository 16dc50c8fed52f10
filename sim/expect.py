"""What a scenario expects of VMs, hosts and alarms, judged in the simulated world at its moment, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ave.model.alarm import Alarm
from ave.model.host import Host
from ave.model.vm import VM, VMState
from ave.model.work import Work, WorkState
from ave.ports.hypervisor import DomainState
from ave.ports.store import Commit
from ave.scheduler.steps import PLACE
from drivers.sim.facts import Started
from sim.cluster import SimCluster
from sim.scenario.model import Expectation

GONE = (VMState.CREATING, VMState.DELETING)  # not there yet, or any more: no VM of its fleet


class Met(msgspec.Struct, frozen=True):
    """An expectation, and what became of it."""

    what: str  # "web-1 on host-2"
    found: str  # what was wrong: "it is on host-3"; "" if nothing was
    passed: bool


class Observer:
    """Sees what the scheduler answered last, where domains are, and how often each VM was started."""

    def __init__(self, cluster: SimCluster) -> None:
        self._cluster = cluster
        self._answers: dict[str, str] = {}  # VM -> the refusal, or "" if it found a host
        self._starts: dict[str, int] = {}  # VM -> how often, since time 0
        cluster.store.ledger.listeners.append(self._committed)
        cluster.listeners.append(self._saw)

    def judge(self, expected: Expectation) -> Met:
        wrong = next(self._wrong(expected), "")
        return Met(phrase(expected), wrong, not wrong)

    def _committed(self, commit: Commit) -> None:
        for kind, _, doc in commit.changes:
            if kind == "work" and isinstance(doc, Work) and doc.function == PLACE and doc.state is WorkState.DONE:
                self._answers |= {vm: fact.refusal for vm, fact in doc.facts.items()}

    def _saw(self, fact: object) -> None:
        if isinstance(fact, Started) and not fact.incoming and self._cluster.world.now > 0:
            self._starts[fact.vm] = self._starts.get(fact.vm, 0) + 1

    def _wrong(self, expected: Expectation) -> Iterator[str]:
        if expected.alarm:
            if (self._cluster.store.ledger.get(Alarm, expected.alarm) is not None) is not expected.raised:
                yield f"it is {'not ' if expected.raised else ''}raised"
        elif expected.vm or expected.fleet:
            yield from self._wrong_vms(expected)
        else:
            yield from self._wrong_host(expected, *expected.hosts)

    def _wrong_host(self, expected: Expectation, name: str) -> Iterator[str]:
        host = self._cluster.store.ledger.get(Host, name)
        if expected.state and (host is None or host.state != expected.state):
            yield f"it is {host.state if host is not None else 'unknown'}"
        found = len(self._cluster.machines[name].guests)
        if expected.vms is not None and found != expected.vms:
            yield f"it has {found}"

    def _wrong_vms(self, expected: Expectation) -> Iterator[str]:
        names = (expected.vm,) if expected.vm else self._fleet(expected.fleet)
        places = {name: self._place(name) for name in names}
        if not names:
            yield "it has no VMs"
        if expected.refused and expected.refused not in (answer := self._answers.get(expected.vm, "")):
            yield f"the scheduler's answer was: {answer}" if answer else "it was not refused"
        if expected.hosts or expected.zone or expected.apart is not None or expected.together is not None:
            yield from (f"{name} runs nowhere" for name, host in places.items() if not host)
            yield from self._misplaced(expected, places)
        for name in names:
            if expected.state and (state := self._state(name)) != expected.state:
                yield f"{name} is {state}"
            if expected.starts is not None and (starts := self._starts.get(name, 0)) != expected.starts:
                yield f"{name} was started {_times(starts)}"
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

    def _state(self, vm: str) -> str:
        """What its domains do, those aside that a migration fills."""
        guests = [machine.guests.get(vm) for machine in self._cluster.machines.values()]
        states = [guest.state for guest in guests if guest is not None and guest.state is not DomainState.INCOMING]
        if not states:
            return "off"
        return "running" if DomainState.RUNNING in states else "paused"

    def _place(self, vm: str) -> str:
        """Where it is, running or standing still; "": nowhere."""
        for machine in self._cluster.machines.values():
            guest = machine.guests.get(vm)
            if guest is not None and guest.state is not DomainState.INCOMING:
                return machine.name
        return ""


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def phrase(expected: Expectation) -> str:
    """As a report names it: "db apart", "web-1 on host-2 or host-3"."""
    when = "" if expected.at is None else f" at {expected.at:g} s"
    if expected.alarm:
        return f"alarm {expected.alarm} {'' if expected.raised else 'not '}raised{when}"
    of_vms = expected.vm or expected.fleet
    parts: list[str] = []
    if of_vms and expected.hosts:
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
    if expected.state:
        parts.append(expected.state)
    if expected.starts is not None:
        parts.append(f"started {_times(expected.starts)}")
    if expected.vms is not None:
        parts.append(f"with {expected.vms} VMs")
    return f"{of_vms or expected.hosts[0]} {', '.join(parts)}{when}"
