"""The Job Center Scheduler: every master host submits each cycle's Jobs, and exactly one insert wins.

A cycle is the second in which it begins. All of them compute it alike from the store's time, and it is part of the Job's id;
so no lock and no leader is needed, and one healthy instance is enough. If the store's time jumps ahead, cycles are skipped.
If it jumps back, they are numbered on from the last one: its Job is there already, and so would be those of all cycles until
the old time is reached again. An instance that has just started asks which of them are there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.jobs.cleanup import CLEAN_UP, JOB_SECONDS
from ave.jobs.crew import Crew
from ave.jobs.mend import RECOVER
from ave.jobs.submit import submit
from ave.model.work import Urgency, Work
from ave.operations import JobType, NameHosts, Nothing
from ave.ports.store import In
from ave.ports.together import Ports

RETRY_SECONDS = 5.0
HOSTS_PER_PERIOD = 50  # beyond so many hosts a look at all of them comes less often, so that its cost per second stays


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    operation: str
    seconds: float  # from one cycle to the next
    request: Callable[[tuple[str, ...]], Any] = lambda hosts: Nothing()
    per_host: bool = False  # it has a task for every host
    flag: str = ""

    def period(self, hosts: int) -> float:
        return self.seconds * max(1, -(-hosts // HOSTS_PER_PERIOD)) if self.per_host else self.seconds


def _hosts(hosts: tuple[str, ...]) -> NameHosts:
    return NameHosts(hosts=hosts)


TIMETABLE = (
    Entry(operation="vm.synchronise", seconds=30.0, request=_hosts, per_host=True),
    Entry(operation="host.report", seconds=300.0, request=_hosts, per_host=True),
    Entry(operation=RECOVER, seconds=60.0, flag=RECOVER),
    Entry(operation=CLEAN_UP, seconds=600.0, flag=CLEAN_UP),
)


class Timetable:
    def __init__(self, ports: Ports, crew: Crew, entries: Sequence[Entry] = TIMETABLE) -> None:
        self._ports, self._crew, self._entries = ports, crew, entries
        self._submitted: dict[str, int] = {}  # operation -> the last cycle that we know to be there
        self._ahead: dict[str, int] = {}  # operation -> by how much its cycles are ahead of a time that has jumped back

    async def run(self) -> None:
        runtime = self._ports.runtime
        while True:
            try:
                await runtime.sleep(await self._submit_due())
            except (Unavailable, UnknownOutcome):
                await runtime.sleep(RETRY_SECONDS)

    async def _submit_due(self) -> float:
        """Submit what is due; returns for how long nothing will be. What is due at the start is the cycle to come."""
        now, hosts = await self._ports.store.now(), await self._crew.hosts()
        wait = float("inf")
        for entry in self._entries:
            period = entry.period(len(hosts))
            begun = int(now // period * period)
            cycle = begun + self._ahead.get(entry.operation, 0)
            known = self._submitted.get(entry.operation)
            if known is None:
                known = self._submitted[entry.operation] = await self._newest(entry, begun, int(period))
            if cycle < known:
                self._ahead[entry.operation] = known - begun
            elif cycle > known:
                submitted = await self._submit(entry, cycle, hosts)
                self._submitted[entry.operation] = cycle
                if submitted < begun:  # by an instance that is ahead: so are we, or the next cycle waits for it alone
                    self._ahead[entry.operation] = cycle + int(period) - begun
                    wait = 0.0
            wait = min(wait, begun + period - now)
        return wait + 0.05 * self._ports.runtime.random.random()

    async def _newest(self, entry: Entry, cycle: int, period: int) -> int:
        """The last cycle that is there, of this one and those to come: these were submitted before time jumped back."""
        ahead = range(cycle, cycle + int(JOB_SECONDS[JobType.SCHEDULED]) + period, period)
        wanted = {f"{entry.operation}@{number}": number for number in ahead}
        found = await self._ports.store.find(Work, {"id": In(tuple(wanted))})
        return max((wanted[job.id] for job in found), default=cycle)

    async def _submit(self, entry: Entry, cycle: int, hosts: tuple[str, ...]) -> float:
        """Returns when it was submitted, by whomever; never, if it was left out."""
        id = f"{entry.operation}@{cycle}"
        try:
            await submit(
                self._ports,
                self._crew,
                entry.operation,
                entry.request(hosts),
                flag=entry.flag,
                urgency=Urgency.LOW,
                id=id,
            )
        except Refused as refusal:  # its queue is full of earlier cycles
            self._ports.runtime.log("cycle left out", job=id, why=str(refusal))
            return float("inf")
        job = await self._ports.store.get(Work, id)
        return job.submitted if job is not None else float("inf")
