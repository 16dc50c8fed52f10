from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from ave.model.host import Host, HostState
from ave.model.vm import PRIORITIES
from ave.model.work import Work, WorkState
from ave.scheduler.steps import START
from drivers.sim.facts import Powered, Started
from drivers.sim.physics import BOOT_SECONDS
from sim.invariants.shape import Stage, Violation

WITHIN_SECONDS = 60.0
FEW, SHARE = 2, 0.3  # hosts: more than both of these, dead within that time, are a storm
STORM_SECONDS = 600.0  # after the last death
PER_HOST, IN_ALL = 8, 32  # starts at once
STARTING_SECONDS = BOOT_SECONDS[0]  # whoever began within that time is at it still
OVERTAKEN_SECONDS = 5.0


class StormBrake:
    """Armed by every rescue start in a storm. That each has proof is S4's to see.

    Out of order is a start of a VM while a more urgent one of the same rescue waits, on the same host and for a while, for
    somebody to begin with it.
    """

    id = "H3"
    phrase = "when many hosts die at once, at most 8 rescue starts are under way on a host and 32 in all, the most urgent first"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._deaths: deque[tuple[float, str]] = deque()
        self._state: dict[str, HostState] = {}
        self._until = -1.0  # the end of the storm
        self._starts: deque[tuple[float, str]] = deque()  # of those that may still be at it: when, and where
        self._ready: dict[
            str, tuple[str, str, str, float]
        ] = {}  # start task -> its Job, host, VM, since when it is ready

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {Powered: self.powered, "host": self.host, "work": self.work, Started: self.started}

    def powered(self, fact: Powered) -> None:
        if not fact.on:
            self._dies(fact.host)

    def host(self, change: tuple[str, Host | None]) -> None:
        id, host = change
        state = host.state if host is not None else HostState.JOINING
        if state is HostState.FENCED and self._state.get(id) is not state:
            self._dies(id)
        self._state[id] = state

    def work(self, change: tuple[str, Work | None]) -> None:
        id, work = change
        if work is None or work.function != START or work.state is not WorkState.READY:
            self._ready.pop(id, None)
        else:
            self._ready.setdefault(id, (work.job, work.lane, work.resource, self._stage.now()))

    def started(self, fact: Started) -> None:
        now = self._stage.now()
        if fact.incoming or not fact.job.startswith("ha.") or now > self._until:
            return
        self.armed += 1
        self._starts.append((now, fact.host))
        while self._starts[0][0] < now - STARTING_SECONDS:
            self._starts.popleft()
        here = sum(host == fact.host for _, host in self._starts)
        if here > PER_HOST or len(self._starts) > IN_ALL:
            what = f"{here} rescued VMs start at once on {fact.host}, and {len(self._starts)} in all, in a storm"
            raise Violation(self.id, what, (fact.vm, fact.host))
        if first := self._overtaken(fact, now):
            raise Violation(
                self.id, f"{fact.vm} was started on {fact.host} before {first}", (fact.vm, first, fact.host)
            )

    def _overtaken(self, fact: Started, now: float) -> str:
        urgency = self._urgency(fact.vm)
        for job, host, vm, since in self._ready.values():
            waits = (job, host) == (fact.job, fact.host) and now - since > OVERTAKEN_SECONDS
            if waits and self._urgency(vm) < urgency:
                return vm
        return ""

    def _urgency(self, name: str) -> int:
        vm = self._stage.vm(name)
        return PRIORITIES.index(vm.priority) if vm is not None else len(PRIORITIES)

    def _dies(self, host: str) -> None:
        now = self._stage.now()
        self._deaths.append((now, host))
        while self._deaths[0][0] < now - WITHIN_SECONDS:
            self._deaths.popleft()
        dead = dict.fromkeys(host for _, host in self._deaths)
        if len(dead) > max(FEW, SHARE * len(self._stage.machines)):
            self._until = now + STORM_SECONDS
