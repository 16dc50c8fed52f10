"""Simulated libvirt: one host's domains, with boot times, and live migration by memory, dirty rate and bandwidth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from ave.errors import Refused, Unavailable
from ave.model.vm import VM
from ave.ports.hypervisor import Console, Domain, DomainState, Ended, Progress, Stamp, Usage
from drivers import pinning
from drivers.rights import accepting, outdating
from drivers.sim import physics
from drivers.sim.facts import Effect
from drivers.sim.guest import Guest
from drivers.sim.machine import Machine, Phase
from drivers.sim.network import Plane
from drivers.sim.runtime import SimRuntime

ANSWERS: Mapping[str, object] = {"guest-ping": {}}  # of every guest's agent


class SimHypervisor:
    def __init__(self, machine: Machine, runtime: SimRuntime, machines: Mapping[str, Machine]) -> None:
        self._machine, self._runtime, self._machines = machine, runtime, machines
        self._hardware = machine.hardware
        self._random = runtime.world.random_for(f"{runtime.name}/hypervisor").random
        self._heard = runtime.signal()
        self._hushed = runtime.signal()
        machine.hearers[runtime.name] = self._heard.set
        machine.hush_hearers[runtime.name] = self._hushed.set

    async def list(self) -> tuple[Domain, ...]:
        await self._runtime.sleep(physics.DISK_SECONDS)
        if not self._machine.listable:
            raise Unavailable(f"the hypervisor of {self._machine.name} does not say what runs there")
        now = self._machine.clock.now()
        return tuple(
            Domain(
                vm=g.vm,
                state=g.state,
                epoch=g.epoch,
                memory_mib=g.memory_mib,
                silent=now - g.hung_at if g.hung_at is not None else 0.0,
                cpus=g.cpus,
            )
            for g in self._machine.guests.values()
        )

    async def ended(self) -> tuple[Ended, ...]:
        await self._runtime.sleep(physics.DISK_SECONDS)
        return tuple(self._machine.ended.values())

    async def hear(self) -> None:
        await self._heard.wait()
        self._heard.clear()

    async def silent(self, seconds: float, unlike: Mapping[str, int] | None = None) -> dict[str, int]:
        while True:
            self._hushed.clear()
            await self._runtime.sleep(physics.DISK_SECONDS)
            if not self._machine.listable:
                raise Unavailable(f"the hypervisor of {self._machine.name} does not say what runs there")
            running = [g for g in self._machine.guests.values() if g.state is DomainState.RUNNING]
            left = {g.vm: g.hung_at + seconds - self._machine.clock.now() for g in running if g.hung_at is not None}
            silent = {g.vm: g.epoch for g in running if left.get(g.vm, 1.0) <= 0.0}
            if silent != unlike:
                return silent
            await self._hush(min((wait for wait in left.values() if wait > 0.0), default=None))

    async def _hush(self, seconds: float | None) -> None:
        """Until the guests that say nothing may be others than before."""
        if seconds is None:
            await self._hushed.wait()
            return
        with suppress(TimeoutError):
            async with self._runtime.timeout(seconds):
                await self._hushed.wait()

    async def usage(self) -> tuple[Usage, ...]:
        await self._runtime.sleep(physics.DISK_SECONDS)
        if not self._machine.listable:
            raise Unavailable(f"the hypervisor of {self._machine.name} does not say what runs there")
        now = self._machine.clock.now()
        found = sorted(self._machine.guests.values(), key=lambda guest: guest.vm)
        return tuple(
            Usage(
                vm=g.vm, epoch=g.epoch, cpu_seconds=_ran(g, now) * g.vcpus * physics.GUEST_CPU, memory_mib=g.memory_mib
            )
            for g in found
        )

    async def console(self, vm: str) -> Console:
        await self._runtime.sleep(physics.DISK_SECONDS)
        guest = self._present(vm)
        return Console(screen=f"/run/{self._machine.name}/{guest.instance}/screen")

    async def ask(self, vm: str, command: str, arguments: Mapping[str, object]) -> object:
        guest = self._present(vm)
        if guest.state is not DomainState.RUNNING or guest.hung_at is not None or vm in self._machine.mute:
            await self._runtime.sleep(physics.QMP_SECONDS)
            raise Unavailable(f"the agent of {vm} does not answer")
        await self._runtime.sleep(physics.AGENT_SECONDS)
        if command not in ANSWERS:
            raise Refused(f"the agent of {vm}: the command {command} has not been found")
        return ANSWERS[command]

    async def start(self, vm: VM, stamp: Stamp) -> None:
        await self._runtime.sleep(self._hardware.define)
        known = self._machine.guests.get(vm.id)
        if known is None:
            self._require_held(vm)
        self._accept(self._machine, vm.id, stamp, "start")
        if known is not None:
            if known.epoch == stamp.epoch and known.state is DomainState.RUNNING:
                return
            raise Refused(f"{vm.id} already has a {known.state} domain of epoch {known.epoch} on {self._machine.name}")
        self._require_owner(vm.id, vm.media, stamp.epoch)
        self._require_writable(self._machine)
        pinning.require(vm, self._machine.name, self._machine.free_cpus(pinning.wanted(vm)))
        self._machine.add(vm, stamp.epoch, incoming=False, job=stamp.job)
        await self._runtime.sleep(self._between(self._hardware.boot))

    async def shutdown(self, vm: str, stamp: Stamp, seconds: float) -> None:
        await self._runtime.sleep(physics.DISK_SECONDS)
        await self._answers(vm)
        self._accept(self._machine, vm, stamp, "shutdown")
        guest = self._machine.guests.get(vm)
        if guest is None:
            return
        needed = self._between(self._hardware.shutdown) if guest.hung_at is None else float("inf")
        await self._runtime.sleep(min(needed, seconds))
        if needed > seconds or guest.state is not DomainState.RUNNING:
            raise Refused(f"{vm} did not shut down within {seconds:g} s; force it off with poweroff")
        self._machine.remove(guest)

    async def destroy(self, vm: str, stamp: Stamp) -> None:
        await self._runtime.sleep(self._hardware.destroy)
        await self._dies(vm)
        self._accept(self._machine, vm, stamp, "destroy")
        self._machine.ended.pop(vm, None)
        if guest := self._machine.guests.get(vm):
            self._machine.remove(guest)

    async def pause(self, vm: str) -> None:
        await self._runtime.sleep(self._hardware.pause)
        await self._answers(vm)
        if guest := self._machine.guests.get(vm):
            self._machine.pause(guest)

    async def suspend(self, vm: str, stamp: Stamp) -> None:
        await self._runtime.sleep(self._hardware.pause)
        await self._answers(vm)
        self._accept(self._machine, vm, stamp, "suspend")
        guest = self._of_epoch(vm, stamp.epoch)
        if guest.migrating or guest.state is DomainState.INCOMING:
            raise Refused(f"{vm} is being migrated: it can be suspended when it has arrived")
        self._machine.suspend(guest)

    async def resume(self, vm: str, stamp: Stamp) -> None:
        await self._runtime.sleep(self._hardware.resume)
        await self._answers(vm)
        self._accept(self._machine, vm, stamp, "resume")
        guest = self._of_epoch(vm, stamp.epoch)
        if guest.migrating:
            raise Refused(f"{vm} is complete on another host: it goes on there, or when its migration is aborted")
        if guest.state is DomainState.SUSPENDED and not stamp.job:
            raise Refused(f"{vm} is suspended by its user: only a Job resumes it")
        self._machine.resume(guest, stamp.epoch)

    async def plug(self, vm: VM, stamp: Stamp) -> None:
        await self._runtime.sleep(self._hardware.define)
        await self._answers(vm.id)
        self._accept(self._machine, vm.id, stamp, "plug")
        guest = self._of_epoch(vm.id, stamp.epoch)
        self._require_owner(vm.id, [name for name in vm.media if name not in guest.media], stamp.epoch)
        self._machine.plug(guest, vm)

    async def resize(self, vm: str, volume: str, size_gib: int, stamp: Stamp) -> None:
        await self._runtime.sleep(physics.RESIZE_SECONDS)
        await self._answers(vm)
        self._accept(self._machine, vm, stamp, "resize")
        guest = self._of_epoch(vm, stamp.epoch)
        if volume not in guest.volumes:
            raise Refused(f"{vm} has no disk {volume}")
        if guest.copying is not None or guest.migrating:
            raise Unavailable(f"{vm} is on its way: its disks are resized when it has arrived")
        guest.sizes[volume] = max(guest.sizes.get(volume, 0), size_gib)

    async def migrate(self, vm: VM, target: str, stamp: Stamp) -> None:
        await self._runtime.sleep(self._hardware.define)
        await self._answers(vm.id)
        source, machine = self._here(vm.id), self._peer(target)
        self._accept(self._machine, vm.id, stamp, "migrate")
        if vm.id in machine.guests:
            raise Refused(f"{vm.id} already has a domain on {target}")
        self._require_writable(machine)
        copy = machine.add(vm, stamp.epoch + 1, incoming=True, job=stamp.job)
        copy.records = source.records  # its memory: no write is under way when it is handed over
        self._machine.sending.append(self._runtime)
        try:
            await self._copy(source, target)
            copy.hung_at = None if source.hung_at is None else machine.clock.now()  # it is no better there
        except BaseException:
            machine.remove(copy)
            if source.migrating:  # it was we who paused it, and not the end of the lease
                source.migrating = False
                self._machine.resume(source, source.epoch)
            raise
        finally:
            source.copying = None
            if self._runtime in self._machine.sending:  # else its host lost power meanwhile
                self._machine.sending.remove(self._runtime)

    async def progress(self, vm: str) -> Progress | None:
        await self._runtime.sleep(physics.DISK_SECONDS)
        guest = self._machine.guests.get(vm)
        if guest is None or guest.copying is None:
            return None
        began, ends, mib = guest.copying
        seconds = self._machine.clock.now() - began
        sent = mib * min(1.0, seconds / (ends - began))
        return Progress(seconds=seconds, sent_mib=sent, left_mib=mib - sent)

    async def finish_migration(self, vm: str, target: str, stamp: Stamp) -> None:
        self._reach(Phase.FINISH, target)
        await self._runtime.sleep(physics.HOP_SECONDS)
        machine = self._peer(target)
        copy = machine.guests.get(vm)
        if copy is None or copy.epoch != stamp.epoch:
            raise Refused(f"{vm} has no copy of epoch {stamp.epoch} on {target}")
        self._accept(machine, vm, stamp, "finish migration")
        machine.resume(copy, stamp.epoch)
        if source := self._machine.guests.get(vm):
            self._machine.remove(source)

    async def abort_migration(self, vm: str, target: str, stamp: Stamp) -> None:
        await self._runtime.sleep(physics.HOP_SECONDS)
        source = self._machine.guests.get(vm)
        if source is not None:
            self._accept(self._machine, vm, stamp, "abort migration")
        copy = self._machines[target].guests.get(vm)
        if copy is not None and copy.state is DomainState.INCOMING and self._reaches(target):
            self._machines[target].remove(copy)
        if source is not None and source.migrating:
            source.migrating = False
            self._machine.resume(source, source.epoch)

    async def _copy(self, source: Guest, target: str) -> None:
        """Pre-copy rounds until what is left fits the downtime, then pause the source and send the rest."""
        machine = self._machine
        line = machine.network.mib_per_second(machine.name, target, self._hardware.migration_mib_per_second)
        bandwidth = line / machine.migrations
        dirty = physics.DIRTY_MIB_PER_SECOND * machine.dirty_factor * (0.5 + self._random())
        left, seconds = float(source.memory_mib), 0.0
        for _ in range(physics.MIGRATION_ROUNDS):
            seconds += left / bandwidth
            left = min(source.memory_mib, dirty * left / bandwidth)
            if left / bandwidth <= physics.DOWNTIME_SECONDS:
                break
        else:
            self._copies(source, physics.CONVERGENCE_SECONDS, bandwidth)
            await self._runtime.sleep(min(seconds, physics.CONVERGENCE_SECONDS))
            raise Unavailable(f"migration of {source.vm} does not converge: it dirties memory faster than it is sent")
        self._copies(source, seconds, bandwidth)
        self._reach(Phase.BEGIN, target)
        await self._runtime.sleep(min(seconds, physics.MIGRATION_SECONDS) / 2)
        self._reach(Phase.COPY, target)
        await self._runtime.sleep(min(seconds, physics.MIGRATION_SECONDS) / 2)
        self._peer(target)
        if seconds > physics.MIGRATION_SECONDS:
            raise Unavailable(f"migration of {source.vm} is given up after {physics.MIGRATION_SECONDS:g} s")
        source.migrating = True
        machine.pause(source)
        self._reach(Phase.SWITCH_OVER, target)
        await self._runtime.sleep(left / bandwidth)
        if machine.initiator.owes(source):
            await self._runtime.sleep(physics.DRAIN_SECONDS)
        if machine.initiator.owes(source):
            raise Unavailable(f"migration of {source.vm}: the storage has not said that what it wrote has arrived")
        if not self._reaches(target):
            raise Unavailable(f"{target} was lost during the switch-over of {source.vm}")

    def _copies(self, source: Guest, seconds: float, bandwidth: float) -> None:
        now = self._machine.clock.now()
        source.copying = now, now + seconds, seconds * bandwidth

    def _reach(self, phase: Phase, target: str) -> None:
        if self._machine.at_phase is not None:
            self._machine.at_phase(phase, target)

    async def _answers(self, vm: str) -> None:
        """Its process, when it is asked for something."""
        if vm in self._machine.mute:
            await self._runtime.sleep(physics.QMP_SECONDS)
            raise Unavailable(f"{vm} on {self._machine.name} does not answer")

    async def _dies(self, vm: str) -> None:
        """One that answers nobody is killed, which may be in vain."""
        if vm in self._machine.mute:
            await self._runtime.sleep(physics.QMP_SECONDS)
            if self._machine.mute.get(vm):
                raise Unavailable(f"{vm} on {self._machine.name} cannot be killed")

    def _require_held(self, vm: VM) -> None:
        machine = self._machine
        moment, epoch = machine.held()
        if machine.clock.now() >= moment:
            raise Unavailable(f"{vm.id} does not start: the storage lease of {machine.name} is over")
        if vm.host_epoch != epoch:
            raise Unavailable(f"{vm.id} was given to epoch {vm.host_epoch} of {machine.name}, which is in {epoch}")

    def _require_owner(self, vm: str, volumes: Sequence[str], epoch: int) -> None:
        for name in volumes:
            volume = self._machine.storage.volumes.get(name)
            if volume is None or (volume.owner, volume.epoch) != (self._machine.name, epoch):
                raise Refused(f"{vm} cannot open volume {name}: {self._machine.name} is not its owner")

    def _require_writable(self, machine: Machine) -> None:
        """A new domain needs files: its definition, its log, its socket."""
        if machine.read_only:
            raise Unavailable(f"the file system of {machine.name} is read-only: no domain can be made there")

    def _of_epoch(self, vm: str, epoch: int) -> Guest:
        guest = self._machine.guests.get(vm)
        if guest is None or guest.epoch != epoch:
            raise Refused(f"{vm} has no domain of epoch {epoch} on {self._machine.name}")
        return guest

    def _present(self, vm: str) -> Guest:
        guest = self._machine.guests.get(vm)
        if guest is None:
            raise Refused(f"{vm} has no domain on {self._machine.name}")
        return guest

    def _here(self, vm: str) -> Guest:
        guest = self._machine.guests.get(vm)
        if guest is None or guest.state is not DomainState.RUNNING:
            raise Refused(f"{vm} does not run on {self._machine.name}")
        return guest

    def _peer(self, target: str) -> Machine:
        if not self._reaches(target):
            raise Unavailable(f"{target} cannot be reached from {self._machine.name}")
        return self._machines[target]

    def _reaches(self, target: str) -> bool:
        return self._machine.network.reaches(self._machine.name, target, Plane.MANAGEMENT)

    def _accept(self, machine: Machine, vm: str, stamp: Stamp, what: str) -> None:
        """Refuse a right older than the newest seen: a slow worker that wakes changes nothing.

        A host that clears itself acts for no Job: it names the incarnation it means, and leaves no stamp.
        """
        guest = machine.guests.get(vm)
        if guest is not None and guest.epoch > stamp.epoch and not (stamp.job and guest.state is DomainState.INCOMING):
            raise Refused(f"{vm}: {what} means epoch {stamp.epoch}, but {guest.epoch} is here")
        if stamp.job:
            rights = machine.rights.get(vm, ())
            if newest := outdating(rights, stamp):
                raise Refused(f"{vm}: {what} by {stamp.job} is outdated; {newest.job} came after it")
            if machine.full:
                raise Unavailable(f"{vm}: {what} cannot be noted: the file system of {machine.name} is full")
            machine.rights[vm] = accepting(rights, stamp)
        self._machine.witness(Effect(f"vm/{vm}", stamp, what))

    def _between(self, bounds: tuple[float, float]) -> float:
        low, high = bounds
        return low + (high - low) * self._random()


def _ran(guest: Guest, now: float) -> float:
    """Seconds for which its vCPUs have run."""
    return guest.ran + (now - guest.since if guest.state is DomainState.RUNNING else 0.0)
