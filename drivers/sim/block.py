"""Simulated block storage: volumes that obey one (owner, epoch), a meta service that elects, and storage leases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.ports.block import Grant, Lease
from ave.ports.hypervisor import Stamp
from drivers import beats
from drivers.rights import Rights, accepting, outdating
from drivers.sim import physics
from drivers.sim.facts import Acknowledged, Deposed, Effect, Elected, Joined, Owned, Refusing, Revoked, Witness, Wrote
from drivers.sim.lull import Lull
from drivers.sim.network import Network, Plane
from drivers.sim.records import Records
from drivers.sim.runtime import SimRuntime, Sleep, World

RESTART_SECONDS = 5.0  # of the targets and the meta service: guess
RENEW_SECONDS = 2.0  # an initiator's deadline for one request that nobody answers


class Write(NamedTuple):
    volume: str
    vm: str
    instance: int
    epoch: int
    record: int = 0  # its number, by the VM that writes it


class Flaw(StrEnum):
    """What is wrong with a volume: its data, not its name, size and owner."""

    ERROR = "error"  # every read and write fails at once
    SILENT = "silent"  # no read or write is ever answered


class _Volume:
    __slots__ = ("epoch", "lock", "owner", "records", "rights", "size_gib")

    def __init__(self, size_gib: int) -> None:
        self.size_gib, self.owner, self.epoch = size_gib, "", 0
        self.lock = ""  # under which it was attached
        self.rights: Rights = ()
        self.records = Records()

    def attached_for_another(self, stamp: Stamp) -> bool:
        return bool(self.owner and self.lock and stamp.lock) and self.lock != stamp.lock


class _Lease:
    __slots__ = ("_counter", "_renewed_at", "_sent_at", "_shown", "boot", "lull", "revoked", "turn")

    def __init__(self, boot: str, now: float, counter: int = 0, turn: int = 1) -> None:
        self.boot, self.turn, self.revoked = boot, turn, False
        self.lull: Lull | None = None  # while renewals are only counted
        self._counter = counter
        self._renewed_at = self._sent_at = now
        self._shown: Lease | None = None  # what a look has found last

    def shown(self, host: str) -> Lease:
        if self.lull is not None:
            self.lull.count()
        shown, counter = self._shown, self._counter
        if shown is None or shown.counter != counter or shown.revoked is not self.revoked or shown.turn != self.turn:
            shown = self._shown = Lease(host, counter, self.revoked, self.turn)
        return shown

    @property
    def counter(self) -> int:
        self.count()
        return self._counter

    @property
    def renewed_at(self) -> float:
        """True time, for the oracle alone."""
        self.count()
        return self._renewed_at

    @renewed_at.setter
    def renewed_at(self, moment: float) -> None:
        self._renewed_at = moment

    @property
    def sent_at(self) -> float:
        """When what was answered last was sent: true time, for the oracle alone."""
        self.count()
        return self._sent_at

    def count(self) -> None:
        if self.lull is not None:
            self.lull.count()

    def renew(self, times: int, at: float) -> None:
        self._counter += times
        self.renewed_at = at

    def answered(self, sent: float) -> None:
        self._sent_at = sent

    def stir(self) -> None:
        """Something happens to it."""
        if self.lull is not None:
            self.lull.end()


class Storage:
    """The cluster's storage as one thing: what its meta quorum and its targets durably know."""

    def __init__(
        self,
        world: World,
        network: Network,
        members: Sequence[str],
        witness: Witness,
        preferred: Sequence[str] = (),
        *,
        lazy: bool = True,
    ) -> None:
        self.lazy = lazy  # may renewals be counted that nothing keeps from succeeding?
        self.members = tuple(members)
        self.preferred = tuple(preferred)  # members that lead rather than others
        self.leader: str | None = members[0]
        self.term = 1
        self.volumes: dict[str, _Volume] = {}
        self.leases: dict[str, _Lease] = {}
        self.witness = witness
        self.slow: dict[str, float] = {}  # host -> how many times longer its I/O takes
        self.flaws: dict[str, Flaw] = {}  # of volumes
        self.full = False
        self.quorate = True  # may the meta service have a leader?
        self.serving = True  # are the targets there?
        self._world, self._network = world, network
        self._runtime = SimRuntime(world, "storage")
        self._electing = False
        self._election_seconds = 0.0  # of the next one; 0: as long as they take
        self._listeners: list[Callable[[], None]] = []
        network.on_change(self._look)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Who wants to know that the targets went, or are back?"""
        self._listeners.append(listener)

    def grant(self, host: str, boot: str) -> None:
        """A lease that exists before the story begins."""
        self.leases[host] = _Lease(boot, self._world.now)

    def place(self, volume: str, size_gib: int, owner: str, epoch: int) -> None:
        """A volume that exists, attached, before the story begins."""
        known = self.volumes[volume] = _Volume(size_gib)
        known.owner, known.epoch = owner, epoch

    def reached_by(self, host: str) -> bool:
        """Can this host do I/O? It can while it is on the side of a majority of the members."""
        return self.hears(host) and (self._network.whole or self.tells(host))

    def hears(self, host: str) -> bool:
        """Does what this host sends arrive at a majority of the members?"""
        seen = sum(self._network.carries(host, member, Plane.STORAGE) for member in self.members)
        return self.serving and 2 * seen > len(self.members)

    def tells(self, host: str) -> bool:
        """Do the answers of a majority arrive at this host?"""
        seen = sum(self._network.carries(member, host, Plane.STORAGE) for member in self.members)
        return self.serving and 2 * seen > len(self.members)

    def lull_of(self, host: str) -> Lull | None:
        lease = self.leases.get(host)
        return None if lease is None else lease.lull

    def may_rest(self, host: str, boot: str, grant: Grant) -> _Lease | None:
        """The lease, if every renewal of it is sure to be answered by this grant until something happens."""
        lease = self.leases.get(host)
        if lease is None or lease.boot != boot or lease.revoked or not (self.lazy and self._network.whole):
            return None
        return lease if grant == Grant(self.leader or "", self.term, lease.turn) else None

    def _stir(self) -> None:
        for lease in self.leases.values():
            lease.stir()

    def led_for(self, host: str) -> bool:
        """Can this host renew its lease? Not of a leader that is reached, but answers too late."""
        leader = self.leader
        if leader is None or not self._network.reaches(host, leader, Plane.STORAGE):
            return False
        return self._network.whole or self._network.trip_seconds(host, leader) <= RENEW_SECONDS

    def connects(self, host: str) -> bool:
        """Can it begin to speak with the leader? There and back, before anything can be asked."""
        return self.leader is not None and 1.5 * self._network.trip_seconds(host, self.leader) <= RENEW_SECONDS

    def leader_hears(self, host: str) -> bool:
        return self.leader is not None and self._network.carries(host, self.leader, Plane.STORAGE)

    def leader_tells(self, host: str) -> bool:
        return self.leader is not None and self._network.carries(self.leader, host, Plane.STORAGE)

    def extra_seconds(self, host: str, random: Callable[[], float]) -> float:
        """How much longer than usual a message between this host and the storage takes."""
        return self._network.extra_seconds(host, self.leader or self.members[0], random)

    @property
    def whole(self) -> bool:
        """The usual case, kept cheap."""
        return self._network.whole and self.serving

    # What faults do

    def step_down(self, seconds: float = 0.0) -> None:
        """Lose the meta leader's process; the members elect again, within so many seconds if given. I/O goes on."""
        self._election_seconds = seconds
        self._depose()

    def lose_quorum(self) -> None:
        """No meta leader, and none elected, until ``regain_quorum``. I/O goes on."""
        self.quorate = False
        if self.leader is not None:
            self._depose()

    def regain_quorum(self) -> None:
        self.quorate = True
        self._look()

    def restart(self) -> None:
        """Every target and the meta service start anew. What they had acknowledged is on their disks."""
        if not self.serving:
            return
        self.serving = False
        self._tell_listeners()
        if self.leader is not None:
            self._depose()

        async def come_back() -> None:
            await self._runtime.sleep(RESTART_SECONDS)
            self.serving = True
            self._tell_listeners()
            self._look()

        self._runtime.spawn(come_back(), name="restart")

    def _tell_listeners(self) -> None:
        for listener in self._listeners:
            listener()

    def accept(self, host: str, writes: Sequence[Write]) -> Sequence[Acknowledged]:
        """The targets' check, at the moment the writes arrive; what passes it is on the volumes."""
        acknowledged = []
        volumes = self.volumes
        for write in writes:
            name, vm, instance, epoch, record = write
            volume = volumes.get(name)
            if volume is not None and volume.owner == host and volume.epoch == epoch:
                if self.full or name in self.flaws:
                    continue  # not done: see ``fails`` and ``answers``
                volume.records.put(vm, epoch, record)
                acknowledged.append(write)
            else:
                self.witness(Refusing(host, name, instance, epoch))
        if acknowledged:
            self.witness(Wrote(host, tuple(acknowledged)))
        return acknowledged

    def fails(self, volume: str) -> bool:
        """Is a write to it answered with an error?"""
        return self.full or self.flaws.get(volume) is Flaw.ERROR

    def _look(self) -> None:
        if not self._network.whole:
            self._stir()
        if self.leader is not None and not self.reached_by(self.leader):
            self._depose()
        elif self.leader is None and not self._electing:
            self._call_election()
        elif self._outranked():
            self._runtime.spawn(self._hand_over(), name="hand over")

    def _depose(self) -> None:
        self._world.tell("storage", "meta leader lost", {"host": self.leader})
        self._stir()
        lost, self.leader = self.leader or "", None
        self.witness(Deposed(lost))
        self._call_election()

    def _call_election(self) -> None:
        if not self.quorate:
            return
        self._electing = True
        self._runtime.spawn(self._elect(), name="election")

    def _able(self) -> list[str]:
        return [member for member in self.members if self._network.up(member) and self.reached_by(member)]

    def _outranked(self) -> bool:
        """Is there one that should lead instead?"""
        if self.leader is None or self.leader in self.preferred:
            return False
        return any(member in self.preferred for member in self._able())

    async def _hand_over(self) -> None:
        await self._runtime.sleep(physics.TAKE_OVER_SECONDS)
        if self._outranked():
            self._depose()

    async def _elect(self) -> None:
        low, high = physics.META_ELECTION_SECONDS
        seconds = low + (high - low) * self._runtime.random.random()
        given, self._election_seconds = self._election_seconds, 0.0
        await self._runtime.sleep(given or seconds)
        self._electing = False
        able = self._able()
        if able and self.leader is None and self.quorate:
            self.term += 1
            self.leader = drawn(able, self.preferred, self._runtime.random.random())
            self._world.tell("storage", "meta leader elected", {"host": self.leader, "term": self.term})
            self.witness(Elected(self.leader, self.term))


def drawn(able: Sequence[str], preferred: Sequence[str], draw: float) -> str:
    """Whom an election makes leader: one of those that are preferred, if there are any."""
    best = [member for member in able if member in preferred] or able
    return best[int(draw * len(best))]


class SimBlock:
    """One process's access to the storage."""

    def __init__(self, storage: Storage, runtime: SimRuntime, host: str) -> None:
        self._storage, self._runtime, self._host = storage, runtime, host
        self._random = runtime.world.random_for(f"{runtime.name}/block").random
        self._connected = True  # as far as it knows: until an answer fails to come

    async def create(self, volume: str, size_gib: int, stamp: Stamp) -> None:
        await self._io(physics.VOLUME_CREATE_SECONDS)
        known = self._storage.volumes.get(volume)
        if known is None:
            if self._storage.full:
                raise Refused(f"volume {volume} is not made: the storage is full")
            known = self._storage.volumes[volume] = _Volume(size_gib)
        elif known.size_gib != size_gib:
            raise Refused(f"volume {volume} exists and has {known.size_gib} GiB, not {size_gib}")
        self._accept(volume, known, stamp, "create")
        await self._done()

    async def grow(self, volume: str, size_gib: int, stamp: Stamp) -> None:
        await self._io(physics.VOLUME_GROW_SECONDS)
        known = self._known(volume)
        if size_gib < known.size_gib:
            raise Refused(f"volume {volume} has {known.size_gib} GiB and cannot shrink to {size_gib}")
        self._accept(volume, known, stamp, "grow")
        known.size_gib = size_gib
        await self._done()

    async def delete(self, volume: str, stamp: Stamp) -> None:
        await self._io(physics.VOLUME_DELETE_SECONDS)
        known = self._storage.volumes.get(volume)
        if known is not None:
            if known.owner:
                raise Refused(f"volume {volume} is attached to {known.owner}: detach it first")
            self._accept(volume, known, stamp, "delete")
            del self._storage.volumes[volume]
            self._storage.flaws.pop(volume, None)
        await self._done()

    async def attach(self, volume: str, owner: str, stamp: Stamp) -> None:
        await self._io(physics.ATTACH_SECONDS)
        known = self._known(volume)
        if stamp.epoch < known.epoch or (stamp.epoch == known.epoch and known.owner not in ("", owner)):
            raise Refused(f"volume {volume} belongs to {known.owner or 'nobody'} at epoch {known.epoch}")
        if known.attached_for_another(stamp):
            raise Refused(f"volume {volume} belongs to {known.lock}, for which it is attached to {known.owner}")
        self._accept(volume, known, stamp, "attach")
        known.owner, known.epoch, known.lock = owner, stamp.epoch, stamp.lock or known.lock
        self._storage.witness(Owned(volume, owner, stamp.epoch))
        await self._done()

    async def detach(self, volume: str, stamp: Stamp) -> None:
        await self._io(physics.ATTACH_SECONDS)
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
            old, lease = lease, _Lease(boot, self._runtime.world.now)
            if old is not None:  # neither goes back, or a watcher would take a new lease for an old silence
                old.stir()
                lease = _Lease(boot, self._runtime.world.now, old.counter + 1, old.turn + 1)
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

    def _known(self, volume: str) -> _Volume:
        known = self._storage.volumes.get(volume)
        if known is None:
            raise Refused(f"there is no volume {volume}")
        return known

    def _accept(self, name: str, volume: _Volume, stamp: Stamp, what: str) -> None:
        if stamp.job:  # a host that settles what is its own acts for no Job, and leaves no stamp
            if newest := outdating(volume.rights, stamp):
                raise Refused(f"volume {name}: {what} by {stamp.job} is outdated; {newest.job} came after it")
            volume.rights = accepting(volume.rights, stamp)
        self._storage.witness(Effect(f"volume/{name}", stamp, what))
