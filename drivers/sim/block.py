"""The BlockStorage port of one process, on the simulated storage."""

from __future__ import annotations

from collections.abc import Callable

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.ports.block import Grant, Lease, Slot
from ave.ports.hypervisor import Stamp
from drivers import beats
from drivers.rights import accepting, outdating
from drivers.sim import physics
from drivers.sim.facts import Effect, Joined, Owned, Revoked
from drivers.sim.lull import Lull
from drivers.sim.runtime import SimRuntime, Sleep
from drivers.sim.storage import RENEW_SECONDS, HeldLease, Lun, Storage


class SimBlock:
    """One process's access to the storage."""

    def __init__(self, storage: Storage, runtime: SimRuntime, host: str) -> None:
        self._storage, self._runtime, self._host = storage, runtime, host
        self._random = runtime.world.random_for(f"{runtime.name}/block").random
        self._connected = True  # as far as it knows: until an answer fails to come

    @property
    def luns_per_target(self) -> int:
        return self._storage.luns_per_target

    @property
    def targets_max(self) -> int:
        return self._storage.targets_max

    async def create(self, volume: str, size_gib: int, stamp: Stamp, slot: Slot | None = None) -> None:
        await self._io(self._storage.hardware.volume_create)
        known = self._storage.volumes.get(volume)
        if slot is not None and (other := self._storage.served_at(slot)) not in (None, volume):
            raise Unavailable(f"volume {volume} is not made: LUN {slot.lun} of target {slot.target} is still {other}")
        if known is None:
            if self._storage.full:
                raise Refused(f"volume {volume} is not made: the storage is full")
            known = self._storage.volumes[volume] = Lun(size_gib)
        elif known.size_gib != size_gib:
            raise Refused(f"volume {volume} exists and has {known.size_gib} GiB, not {size_gib}")
        self._accept(volume, known, stamp, "create")
        known.slot = slot
        await self._done()

    async def grow(self, volume: str, size_gib: int, stamp: Stamp) -> None:
        await self._io(self._storage.hardware.volume_grow)
        known = self._known(volume)
        if size_gib < known.size_gib:
            raise Refused(f"volume {volume} has {known.size_gib} GiB and cannot shrink to {size_gib}")
        self._accept(volume, known, stamp, "grow")
        known.size_gib = size_gib
        await self._done()

    async def delete(self, volume: str, stamp: Stamp) -> None:
        await self._io(self._storage.hardware.volume_delete)
        known = self._storage.volumes.get(volume)
        if known is not None:
            if known.owner:
                raise Refused(f"volume {volume} is attached to {known.owner}: detach it first")
            self._accept(volume, known, stamp, "delete")
            del self._storage.volumes[volume]
            self._storage.flaws.pop(volume, None)
        await self._done()

    async def attach(self, volume: str, owner: str, stamp: Stamp) -> None:
        await self._io(self._storage.hardware.attach)
        known = self._known(volume)
        if stamp.epoch < known.epoch or (stamp.epoch == known.epoch and known.owner not in ("", owner)):
            raise Refused(f"volume {volume} belongs to {known.owner or 'nobody'} at epoch {known.epoch}")
        if known.attached_for_another(stamp):
            raise Refused(f"volume {volume} belongs to {known.lock}, for which it is attached to {known.owner}")
        self._accept(volume, known, stamp, "attach")
        known.owner, known.epoch, known.lock = owner, stamp.epoch, stamp.lock or known.lock
        self._storage.witness(Owned(volume, owner, stamp.epoch))
        await self._done()

    async def admit(self, volume: str, host: str, stamp: Stamp) -> None:
        """Whoever owns it or not, the simulated storage is open to all: only writes are checked."""
        await self._io(self._storage.hardware.attach)
        known = self._known(volume)
        if not known.owner or stamp.epoch != known.epoch:
            raise Refused(f"volume {volume} belongs to {known.owner or 'nobody'} at epoch {known.epoch}")
        if known.attached_for_another(stamp):
            raise Refused(f"volume {volume} belongs to {known.lock}, for which it is attached to {known.owner}")
        self._accept(volume, known, stamp, "admit")
        await self._done()

    async def detach(self, volume: str, stamp: Stamp) -> None:
        await self._io(self._storage.hardware.attach)
        known = self._storage.volumes.get(volume)
        if known is None or stamp.epoch < known.epoch or known.attached_for_another(stamp):
            return  # gone, or another owner has it: nothing of ours is attached
        self._accept(volume, known, stamp, "detach")
        known.owner, known.epoch = "", stamp.epoch
        await self._done()

    async def owner(self, volume: str) -> tuple[str, int]:
        await self._io(0.0)
        known = self._known(volume)
        await self._done()
        return known.owner, known.epoch

    async def join(self, host: str, boot: str) -> None:
        await self._meta()
        lease = self._storage.leases.get(host)
        if lease is None or lease.boot != boot or lease.revoked:
            old, lease = lease, HeldLease(boot, self._runtime.world.now)
            if old is not None:  # neither goes back, or a watcher would take a new lease for an old silence
                old.stir()
                lease = HeldLease(boot, self._runtime.world.now, old.counter + 1, old.turn + 1)
            self._storage.leases[host] = lease
            self._storage.witness(Joined(host, boot))
        await self._answer()

    async def renew(self, host: str, boot: str, *, anew: bool = False) -> Grant:
        sent = self._runtime.world.now
        await self._meta()
        lease = self._storage.leases.get(host)
        held = lease is not None and lease.boot == boot and not lease.revoked
        grant = Grant(self._storage.leader or "", self._storage.term)
        if held and lease is not None:
            lease.renew(1, self._runtime.world.now)
            lease.turn += anew
            grant = Grant(grant.leader, grant.term, lease.turn)
        await self._answer()
        if not held or lease is None:
            raise Refused(f"the storage lease of {host} was revoked")
        lease.answered(sent)
        return grant

    async def keep(
        self, host: str, boot: str, grant: Grant, renewed: Callable[[float], bool], *, every: float
    ) -> Grant:
        async def wait(due: float, pause: float) -> None:
            world, clock = self._runtime.world, self._runtime.clock
            true = world.now + (due - clock.now()) / clock.rate
            if (lease := self._storage.may_rest(host, boot, grant)) is not None:
                lull = Lull(lease, self._runtime, true, pause, renewed)
                try:
                    await lull.over
                finally:
                    lull.end()
                true = lull.due
            await Sleep(world, max(0.0, true - world.now))

        return await beats.keep(self._runtime, lambda: self.renew(host, boot), grant, renewed, every, wait)

    async def leases(self) -> tuple[Lease, ...]:
        await self._meta()
        if self._storage.leader != self._host:
            raise Unavailable("this host does not lead the storage's meta service")
        return tuple([lease.shown(host) for host, lease in self._storage.leases.items()])

    async def revoke(self, host: str, counter: int) -> None:
        await self._meta()
        lease = self._storage.leases.get(host)
        if lease is not None and not lease.revoked:
            if lease.counter != counter:
                raise Refused(f"{host} renewed its storage lease meanwhile")
            lease.stir()
            lease.revoked = True
            self._storage.witness(Revoked(host))
        await self._answer()

    async def step_aside(self, seconds: float) -> None:
        await self._meta()
        if self._storage.leader != self._host:
            raise Unavailable("this host does not lead the storage's meta service")
        if not self._storage.step_aside(seconds):
            raise Refused("no other member of the storage's meta service can lead")

    async def _io(self, work: float) -> None:
        storage = self._storage
        seconds = physics.HOP_SECONDS * (1.0 + self._random()) + work
        if storage.slow or not storage.whole:
            seconds = seconds * storage.slow.get(self._host, 1.0) + storage.extra_seconds(self._host, self._random)
            if seconds > physics.STORAGE_SECONDS:
                await self._runtime.sleep(physics.STORAGE_SECONDS)
                raise Unavailable("the storage did not answer in time")
        await self._runtime.sleep(seconds)
        if not (storage.reached_by(self._host) or (self._connected and storage.hears(self._host))):
            raise await self._silence(Unavailable("the storage cannot be reached"))

    async def _done(self) -> None:
        """It took effect. Does the answer arrive?"""
        if not self._storage.whole and not self._storage.tells(self._host):
            raise await self._silence(UnknownOutcome("the answer of the storage was lost"))
        self._connected = True

    async def _meta(self) -> None:
        storage = self._storage
        await self._runtime.sleep(physics.HOP_SECONDS * (0.5 + self._random()))
        extra = 0.0 if storage.whole else storage.extra_seconds(self._host, self._random)
        if extra:
            if not self._connected and 3 * extra > RENEW_SECONDS:  # there and back before anything can be asked
                raise await self._silence(Unavailable("no connection to the storage's meta leader in time"))
            await self._runtime.sleep(min(extra, RENEW_SECONDS))
        answered = self._connected and storage.leader_hears(self._host)
        if not (answered or storage.led_for(self._host)):
            raise await self._silence(Unavailable("the storage's meta leader cannot be reached"))

    async def _answer(self) -> None:
        storage = self._storage
        await self._runtime.sleep(physics.HOP_SECONDS * (0.5 + self._random()))
        extra = 0.0 if storage.whole else storage.extra_seconds(self._host, self._random)
        if extra:
            await self._runtime.sleep(min(extra, RENEW_SECONDS))
        if 2 * extra > RENEW_SECONDS or not storage.leader_tells(self._host):
            raise await self._silence(UnknownOutcome("the answer of the storage's meta leader was lost"))
        self._connected = True

    async def _silence(self, error: Exception) -> Exception:
        """Wait in vain; returns what to raise. What is sent next needs a new connection."""
        await self._runtime.sleep(RENEW_SECONDS)
        self._connected = False
        return error

    def _known(self, volume: str) -> Lun:
        known = self._storage.volumes.get(volume)
        if known is None:
            raise Refused(f"there is no volume {volume}")
        return known

    def _accept(self, name: str, volume: Lun, stamp: Stamp, what: str) -> None:
        if stamp.job:  # a host that settles what is its own acts for no Job, and leaves no stamp
            if newest := outdating(volume.rights, stamp):
                raise Refused(f"volume {name}: {what} by {stamp.job} is outdated; {newest.job} came after it")
            volume.rights = accepting(volume.rights, stamp)
        self._storage.witness(Effect(f"volume/{name}", stamp, what))
