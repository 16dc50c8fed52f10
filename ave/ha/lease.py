"""A host's side of the storage lease: renew it, stop the VMs when it ends, and come back the way the verdict allows.

Losing the store touches no VM. Losing the lease pauses them, in milliseconds. If the lease comes back unrevoked, they go on;
if it was revoked, they may have been started elsewhere, so every copy here is destroyed before this host joins anew.

When it is certain that nothing runs any more this host gives up the turn of its lease, and says so in the store: then its
VMs need not wait for a silence to be long enough (``docs/ha.md``). It never acts on what it is granted in that turn.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.ha.flapping import returned
from ave.ha.said import Said
from ave.ha.timing import RENEW_SECONDS, Timing
from ave.model.host import Host, HostState, Wish, Zone
from ave.model.states import move
from ave.model.vm import VM, VMState
from ave.ports.block import Grant
from ave.ports.hypervisor import Domain, DomainState, Stamp
from ave.ports.machine import Facts
from ave.ports.store import Conflict, Insert, Replace, Write
from ave.ports.together import Ports
from ave.scheduler.role import Leadership
from ave.sync import Slots, gather, together

RETRY_SECONDS = 1.0
NOBODY = Grant("", 0)
NOT_CLEARED = (HostState.JOINING, HostState.FENCED, HostState.RECOVERED)


class LeaseKeeper:
    def __init__(self, ports: Ports, timing: Timing, leadership: Leadership, said: Said) -> None:
        self._ports, self._timing, self._leadership, self._said = ports, timing, leadership, said
        self._boot = ""
        self._epoch = (
            0  # of this host, as the store knows it under this lease; 0: it does not, and nothing may run here
        )
        self._grant = NOBODY  # the last one
        self._granted = 0  # the newest turn of the lease in which something may have run here
        self._given_up: int | None = (
            None  # up to this turn no grant counts; None: an earlier process may have given up any
        )
        self._paused: dict[str, int] = {}  # VM -> epoch: those that this keeper paused
        self._turn = Slots(ports.runtime, 1)  # pausing and resuming take turns, or a late pause would be forgotten
        self._stopped = True  # may something here be paused that should run? At first nobody knows

    async def run(self) -> None:
        facts = await self._ports.machine.facts()
        self._boot = facts.boot
        await together(self._ports.runtime, {"renew": self._renew_for_ever(facts), "end": self._stop_at_the_end()})

    @property
    def _ends(self) -> float:
        """When, on this host's clock, VMs must stand still; an earlier process of this boot may have said so."""
        return self._ports.machine.held_until()

    # Joining

    async def _enter(self, facts: Facts) -> None:
        """Go on under the lease that this boot holds and has told the store of; else clear this host and join."""
        self._epoch = self._ports.machine.held_for()
        while True:
            try:
                await self._renew()
                known = await self._ports.store.get(Host, facts.host)
            except Refused:
                await self._join(facts)
                return
            except (Unavailable, UnknownOutcome):
                await self._ports.runtime.sleep(RETRY_SECONDS)
                continue
            if known is None or known.boot != facts.boot or known.state in NOT_CLEARED:
                await self._join(facts)
            else:
                self._epoch = known.epoch
            return

    async def _join(self, facts: Facts) -> None:
        """Nothing of an older right may run here when the new lease is asked for, and nothing of the new one before the store
        knows this host's new epoch: what was given to the old one is started elsewhere from then on."""
        runtime = self._ports.runtime
        self._epoch = 0
        while True:
            try:
                self._ports.machine.hold_until(0.0, 0)
                stale = await self._ports.hypervisor.list()
                await gather(runtime, *(self._destroy(domain) for domain in stale), name="destroy")
                self._paused.clear()
                await self._ports.block.join(self._ports.host, self._boot)
                await self._renew()
                self._epoch = await self._register(facts)
                await self._keep_renewing()
                return
            except (Unavailable, UnknownOutcome, Refused):
                await runtime.sleep(RETRY_SECONDS)

    async def _destroy(self, domain: Domain) -> None:
        await self._ports.hypervisor.destroy(domain.vm, Stamp(epoch=domain.epoch))
        self._ports.runtime.log("stale copy destroyed", vm=domain.vm, epoch=domain.epoch)

    async def _register(self, facts: Facts) -> int:
        """Say in the store that this host is here; a new lease is one new epoch of the host, also if an answer is lost.
        Answers that epoch."""
        store, epoch = self._ports.store, 0
        while True:
            try:
                known = await store.get(Host, facts.host)
                epoch = epoch or (known.epoch + 1 if known is not None else 1)
                if known is None or known.epoch < epoch:
                    await store.commit(*await self._registration(known, facts))
                self._ports.runtime.log("host joins", boot=facts.boot)
                return epoch
            except (Conflict, UnknownOutcome):
                continue
            except Unavailable:
                await self._ports.runtime.sleep(RETRY_SECONDS)
                await self._keep_renewing()

    async def _registration(self, known: Host | None, facts: Facts) -> list[Write]:
        if known is None:
            host = new_host(facts)
            writes: list[Write] = [Insert(move(host, HostState.ONLINE, "joined for the first time"))]
            if facts.zone and await self._ports.store.get(Zone, facts.zone) is None:
                writes.append(Insert(Zone(id=facts.zone, primary=facts.primary)))
            return writes
        known = msgspec.structs.replace(known, epoch=known.epoch + 1, **_described(facts))
        if known.state in (HostState.ENTERING_MAINTENANCE, HostState.MAINTENANCE):
            return [Replace(known)]  # a reboot does not end maintenance
        if known.state is not HostState.JOINING:
            known = move(known, HostState.JOINING, "came back with nothing running")
        if known.wish is Wish.MAINTENANCE:
            return [Replace(move(known, HostState.MAINTENANCE, f"its operator wants it empty, epoch {known.epoch}"))]
        return [Replace(returned(msgspec.structs.replace(known, returns=known.returns + 1)))]

    # Keeping

    async def _renew(self) -> None:
        """One round trip. The lease counts from when it was sent. A turn that was given up needs another one: asked for
        only now that the storage answers, so a host that is not answered stays in the turn that it has given up."""
        sent = self._ports.runtime.now()
        grant = await self._ports.block.renew(self._ports.host, self._boot)
        if self._given_up is None:
            self._given_up = grant.turn
        if grant.turn <= self._given_up:
            sent = self._ports.runtime.now()
            grant = await self._ports.block.renew(self._ports.host, self._boot, anew=True)
        self._granted = grant.turn
        self._renewed(sent)
        self._learn(grant)

    def _renewed(self, sent: float) -> bool:
        """Is there nothing else to do than to renew again? What is granted in a turn that was given up does not count, nor
        what is granted before the store knows of it."""
        if self._given_up is None or self._granted <= self._given_up or not self._epoch:
            return False
        self._ports.machine.hold_until(sent + self._timing.give_up, self._epoch)
        return not self._stopped

    async def _keep_renewing(self) -> None:
        try:
            await self._renew()
        except (Unavailable, UnknownOutcome, Refused):
            pass  # _renew_for_ever deals with both

    async def _renew_for_ever(self, facts: Facts) -> None:
        runtime = self._ports.runtime
        await self._enter(facts)
        renewed = True
        while True:
            try:
                if self._stopped and renewed:
                    await self._resume()
                if renewed and not self._stopped:
                    renewed = False
                    await self._keep()
                else:  # without an answer, or with something left to resume, every second counts
                    await runtime.sleep(RETRY_SECONDS * (0.9 + 0.2 * runtime.random.random()))
                    await self._renew()
                renewed = True
            except (Unavailable, UnknownOutcome):
                renewed = False  # also when it was the resuming that could not be done: the lease comes first
                if runtime.now() >= self._ends:
                    self._learn(None)
            except Refused:
                self._learn(None)
                runtime.log("lease was revoked")
                await self._pause(revoked=True)
                await self._join(facts)

    async def _keep(self) -> None:
        """Until there is something to learn, or to do."""
        block = self._ports.block
        grant = await block.keep(self._ports.host, self._boot, self._grant, self._renewed, every=RENEW_SECONDS)
        if grant.turn == self._granted != self._given_up:
            self._learn(grant)
        else:
            await self._renew()

    def _learn(self, grant: Grant | None) -> None:
        self._grant = grant or NOBODY
        self._leadership.learn(grant)

    # Stopping

    async def _stop_at_the_end(self) -> None:
        """While there is no lease nothing runs, whoever lets it: the look is repeated until the lease is back."""
        runtime = self._ports.runtime
        told = False
        while True:
            if self._ends > runtime.now():
                told = False
                await self._ports.machine.lapse()
                continue
            if not told:
                told = True
                runtime.log("lease ended: pausing VMs", seconds=self._timing.give_up)
            if not await self._pause() and self._ends <= runtime.now():
                self._give_up()
            await runtime.sleep(RETRY_SECONDS)

    def _give_up(self) -> None:
        """A look has found all that is here, and nothing running, after the lease's end. From here on that stays so in
        this turn, whatever is granted or said; and only then it is said."""
        if self._given_up is not None and self._given_up < self._granted:
            self._given_up = self._granted
            self._said.giving_up(self._given_up)
            self._ports.runtime.log("nothing runs", turn=self._given_up)

    async def _pause(self, *, revoked: bool = False) -> bool:
        """No vCPU runs when this returns; if one cannot be listed or paused, the guard's freeze is the net. Answers
        whether any may have run until now."""
        await self._turn.acquire()
        with self._turn.returned():
            if not revoked and self._ends > self._ports.runtime.now():
                return True  # the lease is back, and who renews it has seen no reason to let anything go on
            self._stopped = True
            try:
                running = [d for d in await self._ports.hypervisor.list() if d.state is DomainState.RUNNING]
            except Unavailable:
                return True
            self._paused.update({domain.vm: domain.epoch for domain in running})
            await gather(self._ports.runtime, *(self._stand_still(domain) for domain in running), name="pause")
            return bool(running)

    async def _stand_still(self, domain: Domain) -> None:
        """One that cannot be paused keeps none of the others running; the next look tries again."""
        try:
            await self._ports.hypervisor.pause(domain.vm)
        except (Unavailable, UnknownOutcome) as trouble:
            self._ports.runtime.log("VM cannot be paused", vm=domain.vm, why=str(trouble))

    async def _resume(self) -> None:
        """The lease is back and was never revoked, so nobody else was given what runs here.

        What this keeper paused goes on at once, also if the hypervisor does not say what is here. Of what the guard froze,
        or an earlier process paused, the store knows whether its user wants it paused; without the store it waits.
        """
        await self._turn.acquire()
        with self._turn.returned():
            if self._ports.runtime.now() >= self._ends:
                return  # lost again meanwhile
            paused = [self._let_run(vm, epoch) for vm, epoch in self._paused.items()]
            await gather(self._ports.runtime, *paused, name="resume")
            for domain in await self._ports.hypervisor.list():
                if self._ports.runtime.now() >= self._ends:
                    return
                waits = domain.state is DomainState.PAUSED and domain.vm not in self._paused
                if waits and await self._should_run(domain):
                    await self._let_run(domain.vm, domain.epoch)
            self._stopped = bool(self._paused)

    async def _let_run(self, vm: str, epoch: int) -> None:
        """One that does not answer keeps none of the others still; the next look tries again."""
        runtime = self._ports.runtime
        try:
            await self._ports.hypervisor.resume(vm, Stamp(epoch=epoch))
            self._paused.pop(vm, None)
            runtime.log("VM resumes", vm=vm)
        except Refused as refusal:
            self._paused.pop(vm, None)
            runtime.log("VM does not resume", vm=vm, why=str(refusal))
        except (Unavailable, UnknownOutcome) as trouble:
            self._paused[vm] = epoch
            runtime.log("VM does not resume yet", vm=vm, why=str(trouble))

    async def _should_run(self, domain: Domain) -> bool:
        vm = await self._ports.store.get(VM, domain.vm)
        here = vm is not None and vm.host == self._ports.host and vm.epoch == domain.epoch
        return here and vm is not None and vm.state is VMState.RUNNING


def new_host(facts: Facts) -> Host:
    """What a machine that joins for the first time looks like in the store."""
    return Host(id=facts.host, epoch=1, **_described(facts))


def _described(facts: Facts) -> dict[str, Any]:
    """What may be another after a reboot: memory is added, a network is connected."""
    return {
        "zone": facts.zone,
        "master": facts.master,
        "cpus": facts.cpus,
        "memory_mib": facts.memory_mib,
        "reserve_mib": facts.reserve_mib,
        "cpu_model": facts.cpu_model,
        "networks": facts.networks,
        "exclusive_cpus": facts.exclusive_cpus,
        "nics_max": facts.nics_max,
        "volumes_max": facts.volumes_max,
        "boot": facts.boot,
    }
