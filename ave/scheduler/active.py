"""The Active VM Scheduler: turns "where?" into a reservation in the store, one decision after the other.

``place`` is a Follower task bound to the role, so while nobody is Active it waits in its lane, and so does what needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from ave.errors import Stale, Unavailable
from ave.jobs.verb import TaskKind
from ave.model.cluster import Role
from ave.model.group import Group
from ave.model.host import Host, Report, Zone
from ave.model.settings import Settings
from ave.model.vm import VM
from ave.model.work import Fact, Work
from ave.placement.batch import Batch, place_batch, reserving
from ave.placement.plugged import NONE, Plugged
from ave.ports.store import Change, Check, Conflict, In, TooOld, Write
from ave.ports.together import Ports
from ave.scheduler.maintenance import close
from ave.scheduler.mirror import Mirror
from ave.scheduler.refusals import refusals
from ave.scheduler.role import ROLES, SCHEDULER, Held, Leadership, still_held, take_role
from ave.scheduler.rules import change
from ave.scheduler.steps import CHANGE, CLOSE, PLACE, Placing
from ave.sync import Slots

RETRY_SECONDS = 1.0
TRIES = 10

Placements = dict[str, Fact]


class Scheduler:
    """Standby until this host leads; then Active with every role, until it does not."""

    def __init__(
        self, ports: Ports, leadership: Leadership, on_change: Callable[[], None], plugged: Plugged = NONE
    ) -> None:
        self._ports, self._plugged = ports, plugged
        self._held = Held(ports, leadership)
        self._on_change = on_change
        self._deciding = Slots(ports.runtime, 1)
        self.mirror: Mirror | None = None
        self.roles: dict[str, Role] = {}  # those held now

    @property
    def tasks(self) -> dict[str, TaskKind]:
        """What only the Active scheduler can do."""
        return {
            PLACE: TaskKind(function=self.place, seconds=60.0),
            CLOSE: TaskKind(function=self.close, seconds=60.0),
            CHANGE: TaskKind(function=self.change_group, seconds=60.0),
        }

    async def run(self) -> None:
        runtime = self._ports.runtime
        while True:
            term = await self._held.wait_for_term()
            active = runtime.spawn(self._be_active(term), name="active")
            await self._held.wait_for_loss(term)
            active.cancel()
            self._stand_by()

    async def _be_active(self, term: int) -> None:
        """Take the roles, then read everything, then decide: in this order nothing committed before can be missed."""
        runtime, store = self._ports.runtime, self._ports.store
        while True:
            try:
                watch = await store.watch((Host, VM, Group, Zone, Report, Settings))
                try:
                    taken = {name: await take_role(self._ports, name, term) for name in ROLES}
                    mirror = Mirror()
                    await mirror.read(store)
                    self.mirror, self.roles = mirror, taken
                    self._on_change()
                    await mirror.follow(watch)
                finally:
                    watch.close()
            except Stale:
                self._stand_by()
                await runtime.sleep(10 * RETRY_SECONDS)
            except (Unavailable, TooOld):
                self._stand_by()
                await runtime.sleep(RETRY_SECONDS)

    def _stand_by(self) -> None:
        self.mirror, self.roles = None, {}

    async def place(self, ports: Ports, task: Work) -> Placements:
        """The function of a place task: reserve a host for each VM, or say why there is none."""
        asked = msgspec.convert(task.arguments, Placing, strict=False)
        await self._deciding.acquire()
        with self._deciding.returned():
            for _ in range(TRIES):
                vms = await ports.store.find(VM, {"id": In(asked.vms)})
                groups = await ports.store.find(Group)  # the VMs may have come into one just now
                role, mirror = self._active()
                for vm in vms:
                    mirror.learn(vm)
                for group in groups:
                    mirror.learn_group(group)
                batch = self._decide(mirror, vms, asked)
                try:
                    await self._reserve(role, mirror, vms, batch, asked)
                except Conflict:
                    continue  # something moved under the decision: decide again
                self._tell(batch, asked)
                facts = {vm: Fact(refusal=f"there is no VM {vm}") for vm in asked.vms}
                facts |= {vm: Fact(host=choice.host) for vm, choice in batch.placed.items()}
                return facts | refusals(mirror.view, vms, batch, asked, self._plugged)
        raise Unavailable("the cluster changes faster than placement can be decided")

    async def close(self, ports: Ports, task: Work) -> Placements:
        """The function of a close task: see where a host's VMs would go, and let no more come in."""
        await self._deciding.acquire()
        with self._deciding.returned():
            return await close(ports, task, self._active, self._plugged)

    async def change_group(self, ports: Ports, task: Work) -> Placements:
        """The function of a change step: a placement group from now on, if its rule can be kept beside all others."""
        await self._deciding.acquire()
        with self._deciding.returned():
            return await change(ports, task, self._active)

    def _active(self) -> tuple[Role, Mirror]:
        role, mirror = self.roles.get(SCHEDULER), self.mirror
        if role is None or mirror is None:
            raise Unavailable("this host is not the Active VM Scheduler any more")
        return role, mirror

    def _decide(self, mirror: Mirror, vms: Sequence[VM], asked: Placing) -> Batch:
        return place_batch(
            mirror.view,
            vms,
            asked.purpose,
            by_priority=asked.by_priority,
            only=asked.host,
            leave=asked.leave,
            plugged=self._plugged,
        )

    async def _reserve(self, role: Role, mirror: Mirror, vms: Sequence[VM], batch: Batch, asked: Placing) -> None:
        """Commit the decision against what it was decided on: the term, the hosts' states, the groups, the VMs."""
        writes: list[Write] = [still_held(role)]
        changes: list[Write] = []
        hosts: dict[str, None] = {}
        groups: dict[str, None] = {}
        for vm in vms:
            if (choice := batch.placed.get(vm.id)) is not None:
                hosts[choice.host] = None
                groups |= dict.fromkeys(group.id for group in mirror.view.bonds.of(vm.id))
                after = reserving(vm, choice, asked.purpose)
                set = {"reserved": after.reserved, "reserved_under": role.version, "unpinned": after.unpinned}
                changes.append(Change(VM, vm.id, {"version": vm.version}, set))
            elif vm.reserved:  # an earlier attempt had found it room, which others may have by this decision
                changes.append(Change(VM, vm.id, {"version": vm.version}, {"reserved": ""}))
        if not changes:
            return
        writes += [Check(Host, host, {"version": mirror.hosts[host].version}) for host in hosts]
        writes += [Check(Group, group, {"version": mirror.groups[group].version}) for group in groups]
        answers = await self._ports.store.commit(*writes, *changes)
        for vm in answers[len(writes) :]:
            mirror.learn(vm)

    def _tell(self, batch: Batch, asked: Placing) -> None:
        """Each decision, for whoever reads the log: ``ave explain placement`` has the whole of it."""
        log, purpose = self._ports.runtime.log, str(asked.purpose)
        for vm, choice in batch.placed.items():
            fields = {"fitting": choice.fitting, "rejected": choice.rejected, "passed_over": choice.passed_over}
            log("placed", vm=vm, purpose=purpose, host=choice.host, **fields)
        for vm, why in batch.refused.items():
            log("not placed", vm=vm, purpose=purpose, rejected=dict(why.rejected))
        if len(asked.vms) > 1:
            counts = {"placed": len(batch.placed), "refused": len(batch.refused), "gained": batch.gained}
            log("batch placed", purpose=purpose, plan=batch.plan, **counts)
