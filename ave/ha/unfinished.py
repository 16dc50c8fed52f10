"""VMs and volumes that a Job left half made or half deleted, because the storage was away for longer than the Job could wait.

Nobody but their user would go on with them, and nobody told the user. So the VM Monitor's leader has them discarded, ever more
patiently, for as long as they are there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ave.ha.discard import HALF_DONE, NAME
from ave.ha.retry import Attempts
from ave.jobs.crew import Crew
from ave.jobs.submit import submit
from ave.model.cluster import Lock, lock_name
from ave.model.vm import VM
from ave.model.volume import Volume
from ave.model.work import ENDED, OnConflict, Work
from ave.operations import DiscardHalfDone
from ave.ports.store import In
from ave.ports.together import Ports
from ave.scheduler.mirror import Mirror

LOOK_SECONDS = 30.0
MOST = 100  # in one Job


class Unfinished:
    """Of one holding of the monitor's role. Another leader begins one more Job, which finds nothing left to do."""

    def __init__(self, ports: Ports, crew: Crew) -> None:
        self._ports, self._crew = ports, crew
        self._attempts = Attempts()
        self._job, self._look = "", 0.0  # the last one, and when to look again

    async def go_on(self, mirror: Mirror) -> None:
        """Raises Unavailable, UnknownOutcome: the next look is the retry."""
        now = self._ports.runtime.now()
        if now < self._look:
            return
        self._look = now + LOOK_SECONDS
        if self._job and not await self._over():
            return
        vms = [vm.id for vm in mirror.vms.values() if vm.state in HALF_DONE[VM]]
        volumes = await self._ports.store.find(Volume, {"state": In(HALF_DONE[Volume])})
        left = await self._unlocked({**_by_lock(VM, vms), **_by_lock(Volume, (volume.id for volume in volumes))})
        self._attempts.keep(left)
        due = dict([(lock, thing) for lock, thing in left.items() if self._attempts.due(lock, now, 0)][:MOST])
        if due:
            self._attempts.begin(due, now)
            await self._discard(
                [id for kind, id in due.values() if kind is VM], [id for kind, id in due.values() if kind is Volume]
            )

    async def _over(self) -> bool:
        job = await self._ports.store.get(Work, self._job)
        return job is None or job.state in ENDED

    async def _unlocked(self, by_lock: dict[str, tuple[type[Any], str]]) -> dict[str, tuple[type[Any], str]]:
        """What a Job is at work on is its own. One that has just ended is found here, too, and the Job looks again."""
        locks = await self._ports.store.find(Lock, {"id": In(tuple(by_lock))}) if by_lock else []
        held = dict.fromkeys(lock.id for lock in locks if lock.job)
        return {lock: thing for lock, thing in by_lock.items() if lock not in held}

    async def _discard(self, vms: list[str], volumes: list[str]) -> None:
        asked = DiscardHalfDone(vms=tuple(vms), volumes=tuple(volumes))
        self._job = await submit(self._ports, self._crew, NAME, asked, on_conflict=OnConflict.SKIP)
        self._ports.runtime.log("half done is discarded", vms=",".join(vms), volumes=",".join(volumes), job=self._job)


def _by_lock(kind: type[Any], ids: Iterable[str]) -> dict[str, tuple[type[Any], str]]:
    return {lock_name(kind, id): (kind, id) for id in ids}
