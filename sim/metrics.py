"""The figures of a run, read from the world and the store's log. ``METRICS`` is the table that thresholds may name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ave.model.vm import VM, VMState
from ave.model.work import ENDED, LEAD, Work, WorkState
from ave.operations import OPERATIONS, JobType
from ave.ports.store import Commit
from ave.scheduler.steps import PLACE
from drivers.sim.facts import Disturbed, Elected, Gone, Paused, Powered, Resumed, Started
from sim.cluster import SimCluster

METRICS: dict[str, str] = {  # name -> unit
    "ha.lost": "count",
    "ha.rescued": "count",
    "ha.resumed": "count",
    "ha.waiting": "count",
    "ha.recovery_time.p50": "seconds",
    "ha.recovery_time.p99": "seconds",
    "ha.recovery_time.max": "seconds",
    "vm.running": "count",
    "vm.stopped": "count",
    "vm.total": "count",
    "vm.mismatched": "count",
    "vm.pause.max": "seconds",
    "jobs.submitted": "count",
    "jobs.done": "count",
    "jobs.failed": "count",
    "jobs.open": "count",
    "jobs.duration.p50": "seconds",
    "jobs.duration.p99": "seconds",
    "jobs.duration.max": "seconds",
    "placement.decided": "count",
    "placement.refused": "count",
    "placement.failed_ratio": "ratio",
    "store.elections": "count",
    "storage.elections": "count",
    "faults": "count",
    "user.given_up": "count",
}


class Metrics:
    def __init__(self, cluster: SimCluster) -> None:
        self._cluster = cluster
        self._now: Callable[[], float] = lambda: cluster.world.now
        self._lost: dict[str, tuple[str, float]] = {}  # VM -> host that was lost, and when
        self._paused: dict[str, float] = {}
        self._recovery: list[float] = []
        self._durations: list[float] = []
        self._jobs: dict[str, WorkState] = {}
        self._open: dict[str, None] = {}  # those of them that have not ended
        self._placed: dict[str, None] = {}
        self.counts: dict[str, int] = dict.fromkeys(METRICS, 0)
        self._pause_max = 0.0
        self._saw: dict[type[Any], Callable[[Any], None]] = {
            Powered: self._powered,
            Disturbed: self._disturbed,
            Started: self._started,
            Paused: self._pause,
            Resumed: self._resume,
            Gone: self._gone,
            Elected: self._elected,
        }
        cluster.listeners.append(self._listen)
        cluster.store.ledger.listeners.append(self._committed)

    def values(self, given_up: int = 0) -> dict[str, float]:
        """Every metric by name, as it stands now; times in seconds, percentiles by nearest rank."""
        values: dict[str, float] = dict(self.counts)
        states = [vm.state for vm in self._cluster.store.ledger.find(VM, {}, (), 0, None)]
        values["vm.total"] = len(states)
        values["vm.running"] = states.count(VMState.RUNNING)
        values["vm.stopped"] = states.count(VMState.STOPPED)
        values["store.elections"] = self._cluster.store.term - 1
        values["vm.mismatched"] = self._mismatched()
        values["vm.pause.max"] = self._pause_max
        values["ha.waiting"] = sum(self._wanted(vm) for vm in self._lost)
        values["jobs.submitted"] = len(self._jobs)
        values["jobs.done"] = sum(state is WorkState.DONE for state in self._jobs.values())
        values["jobs.failed"] = sum(state is WorkState.FAILED for state in self._jobs.values())
        values["jobs.open"] = len(self._open)
        values["placement.failed_ratio"] = values["placement.refused"] / max(1, values["placement.decided"])
        values["user.given_up"] = given_up
        for name, sample in (("ha.recovery_time", self._recovery), ("jobs.duration", self._durations)):
            for label, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
                values[f"{name}.{label}"] = percentile(sample, share)
        return {name: round(values[name], 6) for name in METRICS}

    def series(self) -> dict[str, float]:
        """What a chart shows of this moment."""
        guests = sum(len(machine.guests) for machine in self._cluster.machines.values())
        up = sum(machine.powered for machine in self._cluster.machines.values())
        return {"hosts up": up, "domains": guests, "VMs lost": len(self._lost), "Jobs open": len(self._open)}

    def _listen(self, fact: Any) -> None:
        handler = self._saw.get(type(fact))
        if handler is not None:
            handler(fact)

    def _mismatched(self) -> int:
        """VMs that the store says run, without exactly one domain that runs, on that host and of that epoch."""
        running: dict[str, list[tuple[str, int]]] = {}
        for machine in self._cluster.machines.values():
            for guest in machine.guests.values():
                if guest.state == "running":
                    running.setdefault(guest.vm, []).append((machine.name, guest.epoch))
        vms = self._cluster.store.ledger.find(VM, {}, (), 0, None)
        told = {vm.id: [(vm.host, vm.epoch)] for vm in vms if vm.state is VMState.RUNNING}
        return sum(told.get(name) != running.get(name) for name in {**told, **running})

    def _wanted(self, name: str) -> bool:
        """Its user may have turned it off, or deleted it, meanwhile."""
        vm = self._cluster.store.ledger.get(VM, name)
        return vm is not None and vm.on

    def _lose(self, host: str) -> None:
        for name in self._cluster.machines[host].guests:
            vm = self._cluster.store.ledger.get(VM, name)
            if vm is not None and vm.ha and vm.on and vm.host == host and name not in self._lost:
                self._lost[name] = (host, self._now())
                self.counts["ha.lost"] += 1

    def _powered(self, fact: Powered) -> None:
        if not fact.on:
            self._lose(fact.host)

    def _disturbed(self, fact: Disturbed) -> None:
        if not fact.over:
            self.counts["faults"] += 1
            for host in fact.harms:
                self._lose(host)
        else:
            for host in fact.harms:  # what is still there and was never stopped was not lost after all
                for name, guest in self._cluster.machines[host].guests.items():
                    if (
                        name not in self._paused
                        and self._lost.get(name, ("", 0.0))[0] == host
                        and guest.state == "running"
                    ):
                        del self._lost[name]

    def _started(self, fact: Started) -> None:
        host, since = self._lost.get(fact.vm, ("", 0.0))
        if not fact.incoming:
            self._paused.pop(fact.vm, None)  # what stands still elsewhere is of the past
        if host and not fact.incoming:
            self._recovery.append(self._now() - since)
            self.counts["ha.rescued"] += 1
            del self._lost[fact.vm]

    def _pause(self, fact: Paused) -> None:
        self._paused[fact.vm] = self._now()

    def _resume(self, fact: Resumed) -> None:
        if fact.vm in self._paused:
            self._pause_max = max(self._pause_max, self._now() - self._paused.pop(fact.vm))
        if fact.vm in self._lost:
            self.counts["ha.resumed"] += 1
            del self._lost[fact.vm]

    def _gone(self, fact: Gone) -> None:
        self._paused.pop(fact.vm, None)

    def _elected(self, fact: Elected) -> None:
        self.counts["storage.elections"] += 1

    def _committed(self, commit: Commit) -> None:
        for kind, id, doc in commit.changes:
            if kind == "vm" and doc is None:
                self._lost.pop(id, None)
            elif kind == "work" and doc is not None:
                self._work(id, doc)

    def _work(self, id: str, work: Work) -> None:
        if work.function == LEAD and OPERATIONS[work.operation].type is not JobType.SCHEDULED:
            if work.state not in ENDED:
                self._open[id] = None
            elif self._jobs.get(id) not in ENDED:
                self._open.pop(id, None)
                self._durations.append(self._now() - work.submitted)
            self._jobs[id] = work.state
        elif work.function == PLACE and work.state is WorkState.DONE and id not in self._placed:
            self._placed[id] = None
            self.counts["placement.decided"] += len(work.facts)
            self.counts["placement.refused"] += sum(bool(fact.refusal) for fact in work.facts.values())


def percentile(sample: Sequence[float], share: float) -> float:
    """Nearest rank; 0 of nothing."""
    ordered = sorted(sample)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0
