"""Live migrations on behalf of a task: each a Job of its own, a few at a time, and none twice.

A migration's id is made of the task's Job, the VM and the number of the try, so whoever repeats the task finds what was
submitted before, and goes on from there. VMs that must be on one host move in one Job, which is named after the first of
them: alone none of them may leave the others.
"""

from __future__ import annotations

from ave.errors import Refused
from ave.jobs.cancel import cancel
from ave.jobs.crew import Crew
from ave.jobs.submit import submit
from ave.model.group import Group, tied
from ave.model.vm import VM, VMState
from ave.model.work import ENDED, Result, Work
from ave.operations import MigrateVMs
from ave.ports.store import In
from ave.ports.together import Ports

AT_ONCE = 2  # they share the network of one host: more of them are not faster, and each would take longer to converge


class Moves:
    """``tries``: how often a VM is tried. ``open`` is what was under way when it was last looked."""

    def __init__(self, ports: Ports, task: Work, tries: int) -> None:
        self._ports, self._task, self._tries = ports, task, tries
        self.crew = Crew(ports)
        self._next: dict[str, int] = {}  # VM -> the number of its next or current try
        self._parties: dict[str, tuple[str, ...]] | None = (
            None  # VM -> all that must be where it is, if there are others
        )
        self.open: dict[str, None] = {}
        self.ended: dict[str, Result] = {}  # VM -> how its last try ended
        self.placeless: dict[str, None] = {}  # VMs for which the last try found no host

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
            job = await self._ports.store.get(Work, await self._id(vm))
            if job is None or job.state not in ENDED:
                if job is None:
                    self.open.pop(vm, None)
                else:
                    self.open[vm] = None
                return
            self.open.pop(vm, None)
            result = job.results.get(vm)
            whys = [each.why for each in job.results.values() if not each.ok]
            failed = Result(False, whys[0] if whys else str(job.state))
            self.ended[vm] = result if result is not None and not result.ok else failed if whys else Result(True)
            self.placeless.pop(vm, None)
            if job.plan is not None and any(fact.refusal for fact in job.plan.facts.values()):
                self.placeless[vm] = None
            self._next[vm] = self._next.get(vm, 1) + 1

    async def party(self, vm: VM) -> tuple[str, ...]:
        """The VM, and those on its host that must be where it is."""
        others = (await self._all_parties()).get(vm.id, ())
        found = await self._ports.store.find(VM, {"id": In(others)}) if others else [vm]
        return tuple(one.id for one in found if one.host == vm.host and one.state is VMState.RUNNING) or (vm.id,)

    async def begin(self, vms: tuple[str, ...], host: str) -> None:
        """Submit the next try of these, who must move together, to this host or (empty) to where the scheduler finds room;
        look before."""
        self.open |= dict.fromkeys(vms)
        await submit(self._ports, self.crew, "vm.migrate", MigrateVMs(vms=vms, host=host), id=await self._id(vms[0]))

    async def withdraw(self, vm: str) -> None:
        """Cancel what is under way. A migration that cannot be stopped any more comes to its end."""
        await self.look(vm)
        if vm in self.open:
            try:
                await cancel(self._ports, self.crew, await self._id(vm))
            except Refused:
                pass  # it has ended meanwhile

    async def _id(self, vm: str) -> str:
        first = (await self._all_parties()).get(vm, (vm,))[0]
        return f"vm.migrate-{self._task.job}-{first}-{self._next.get(vm, 1)}"

    async def _all_parties(self) -> dict[str, tuple[str, ...]]:
        """As they are at the beginning: whoever changes the rules meanwhile finds them kept or broken, as ever."""
        if self._parties is None:
            groups = await self._ports.store.find(Group)
            members = sorted({vm: None for group in groups for vm in group.vms})
            self._parties = {vm: party for party in tied(groups, members) if len(party) > 1 for vm in party}
        return self._parties
