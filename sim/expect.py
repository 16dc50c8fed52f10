"""What a scenario expects of VMs, hosts and alarms, judged at its moment by what can be seen, in sentences."""

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


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What there is at a moment, in whatever world: by its store, and by its hosts themselves."""

    vms: dict[str, VM]
    hosts: dict[str, Host]
    alarms: frozenset[str]
    domains: dict[str, dict[str, DomainState]]  # host -> VM -> what its domain there does
    zones: dict[str, str | None]  # of hosts
    answers: dict[str, str] = {}  # VM -> why the scheduler found no host for it the last time, or "" if it did
    starts: dict[str, int] = {}  # VM -> how often it was started since time 0


class Answers:
    """What the scheduler answered last, of each VM."""

    def __init__(self) -> None:
        self.by_vm: dict[str, str] = {}  # the refusal, or "" if it found a host

    def committed(self, commit: Commit) -> None:
        for kind, _, doc in commit.changes:
            if kind == "work" and isinstance(doc, Work) and doc.function == PLACE and doc.state is WorkState.DONE:
                self.by_vm |= {vm: fact.refusal for vm, fact in doc.facts.items()}


class Observer:
    """Looks at a simulated cluster, and has seen how often each VM was started."""

    def __init__(self, cluster: SimCluster) -> None:
        self._cluster = cluster
        self._answers = Answers()
        self._starts: dict[str, int] = {}
        cluster.store.ledger.listeners.append(self._answers.committed)
        cluster.listeners.append(self._saw)

    def judge(self, expected: Expectation) -> Met:
        return judge(expected, self.sight())

    def sight(self) -> Sight:
        ledger, machines = self._cluster.store.ledger, self._cluster.machines
        return Sight(
            vms={vm.id: vm for vm in ledger.find(VM, {}, (), 0, None)},
            hosts={host.id: host for host in ledger.find(Host, {}, (), 0, None)},
            alarms=frozenset(alarm.id for alarm in ledger.find(Alarm, {}, (), 0, None)),
            domains={name: {g.vm: g.state for g in each.guests.values()} for name, each in machines.items()},
            zones={host.name: host.zone for host in self._cluster.topology.hosts()},
            answers=self._answers.by_vm,
            starts=self._starts,
        )

    def _saw(self, fact: object) -> None:
        if isinstance(fact, Started) and not fact.incoming and self._cluster.world.now > 0:
            self._starts[fact.vm] = self._starts.get(fact.vm, 0) + 1


def judge(expected: Expectation, sight: Sight) -> Met:
    wrong = next(_wrong(expected, sight), "")
    return Met(phrase(expected), wrong, not wrong)


def _wrong(expected: Expectation, sight: Sight) -> Iterator[str]:
    if expected.alarm:
        if (expected.alarm in sight.alarms) is not expected.raised:
            yield f"it is {'not ' if expected.raised else ''}raised"
    elif expected.vm or expected.fleet:
        yield from _wrong_vms(expected, sight)
    else:
        yield from _wrong_host(expected, sight, *expected.hosts)


def _wrong_host(expected: Expectation, sight: Sight, name: str) -> Iterator[str]:
    host = sight.hosts.get(name)
    if expected.state and (host is None or host.state != expected.state):
        yield f"it is {host.state if host is not None else 'unknown'}"
    found = len(sight.domains[name])
    if expected.vms is not None and found != expected.vms:
        yield f"it has {found}"


def _wrong_vms(expected: Expectation, sight: Sight) -> Iterator[str]:
    names = (expected.vm,) if expected.vm else _fleet(expected.fleet, sight)
    places = {name: _place(name, sight) for name in names}
    if not names:
        yield "it has no VMs"
    if expected.refused and expected.refused not in (answer := sight.answers.get(expected.vm, "")):
        yield f"the scheduler's answer was: {answer}" if answer else "it was not refused"
    if expected.hosts or expected.zone or expected.apart is not None or expected.together is not None:
        yield from (f"{name} runs nowhere" for name, host in places.items() if not host)
        yield from _misplaced(expected, sight, places)
    for name in names:
        if expected.state and (state := _state(name, sight)) != expected.state:
            yield f"{name} is {state}"
        if expected.starts is not None and (starts := sight.starts.get(name, 0)) != expected.starts:
            yield f"{name} was started {_times(starts)}"
    if expected.unpinned is not None:
        for name in names:
            vm = sight.vms.get(name)
            if vm is None or vm.unpinned != expected.unpinned:
                yield f"{name} is {'un' if vm is not None and vm.unpinned else ''}pinned"


def _misplaced(expected: Expectation, sight: Sight, places: dict[str, str]) -> Iterator[str]:
    used = tuple(sorted({host for host in places.values() if host}))
    where = ", ".join(f"{name} on {host}" for name, host in places.items())
    if expected.hosts:
        yield from (f"{name} is on {host}" for name, host in places.items() if host not in expected.hosts)
        if expected.fleet:
            yield from (f"none is on {host}" for host in expected.hosts if host not in used)
    if expected.zone:
        yield from (f"{name} is on {host}" for name, host in places.items() if sight.zones[host] != expected.zone)
    if expected.apart is not None and (len(used) == len(places)) is not expected.apart:
        yield where
    if expected.together is not None and (len(used) == 1) is not expected.together:
        yield where


def _fleet(fleet: str, sight: Sight) -> tuple[str, ...]:
    return tuple(vm.id for vm in sight.vms.values() if vm.labels.get("fleet") == fleet and vm.state not in GONE)


def _domains(vm: str, sight: Sight) -> dict[str, DomainState]:
    """By host, those aside that a migration fills."""
    found = {host: domains[vm] for host, domains in sight.domains.items() if vm in domains}
    return {host: state for host, state in found.items() if state is not DomainState.INCOMING}


def _state(vm: str, sight: Sight) -> str:
    states = _domains(vm, sight).values()
    if not states:
        return "off"
    return "running" if DomainState.RUNNING in states else "paused"


def _place(vm: str, sight: Sight) -> str:
    """Where it is, running or standing still; "": nowhere."""
    return next(iter(_domains(vm, sight)), "")


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
