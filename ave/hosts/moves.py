"""Live migrations on behalf of a task: each a Job of its own, a few at a time, and none twice.

A migration's id is made of the task's Job, the VM and the number of the try, so whoever repeats the task finds what was
submitted before, and goes on from there.
"""

from __future__ import annotations

from ave.errors import Refused
from ave.jobs.cancel import cancel
from ave.jobs.crew import Crew
from ave.jobs.submit import submit
from ave.model.work import ENDED, Result, Work, WorkState
from ave.operations import MigrateVMs
from ave.ports.together import Ports

AT_ONCE = 2  # they share the network of one host: more of them are not faster, and each would take longer to converge


class Moves:
    """``tries``: how often a VM is tried. ``open`` is what was under way when it was last looked."""

    def __init__(self, ports: Ports, task: Work, tries: int) -> None:
        self._ports, self._task, self._tries = ports, task, tries
        self._crew = Crew(ports)
        self._next: dict[str, int] = {}  # VM -> the number of its next or current try
        self.open: dict[str, None] = {}
        self.ended: dict[str, Result] = {}  # VM -> how its last try ended

    @property
    def room(self) -> bool:
        return len(self.open) < AT_ONCE

    def given_up(self, vm: str) -> bool:
        return self._next.get(vm, 1) > self._tries

    def tried(self, vm: str) -> int:
        """How many tries have ended."""
        return self._next.get(vm, 1) - 1

    async def look(self, vm: str) -> None:
        """Learn how the VM's migrations go; several may have ended since."""
        while not self.given_up(vm):
            job = await self._ports.store.get(Work, self._id(vm))
            if job is None or job.state not in ENDED:
                if job is None:
                    self.open.pop(vm, None)
                else:
                    self.open[vm] = None
                return
            self.open.pop(vm, None)
            whys = [result.why for result in job.results.values() if not result.ok]
            done = job.state is WorkState.DONE
            self.ended[vm] = Result(done, "" if done else whys[0] if whys else str(job.state))
            self._next[vm] = self._next.get(vm, 1) + 1

    async def begin(self, vm: str, host: str, *mates: str) -> None:
        """Submit its next try, to this host or (empty) to where the scheduler finds room; look before. ``mates`` go with it,
        because a must rule lets none of them go alone."""
        request = MigrateVMs(vms=(vm, *mates), host=host)
        self.open[vm] = None
        await submit(self._ports, self._crew, "vm.migrate", request, id=self._id(vm))

    async def withdraw(self, vm: str) -> None:
        """Cancel what is under way. A migration that cannot be stopped any more comes to its end."""
        await self.look(vm)
        if vm in self.open:
            try:
                await cancel(self._ports, self._crew, self._id(vm))
            except Refused:
                pass  # it has ended meanwhile

    def _id(self, vm: str) -> str:
        return f"vm.migrate-{self._task.job}-{vm}-{self._next.get(vm, 1)}"
