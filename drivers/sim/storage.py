"""The simulated storage itself: volumes that obey one (owner, epoch), a meta service that elects, and storage leases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

from ave.ports.block import Grant, Lease, Slot
from ave.ports.hypervisor import Stamp
from drivers.rights import Rights
from drivers.sim import physics
from drivers.sim.facts import Deposed, Elected, Refusing, Witness, Write, Wrote
from drivers.sim.lull import Lull
from drivers.sim.network import Network, Plane
from drivers.sim.physics import SERVERS, Hardware
from drivers.sim.records import Records
from drivers.sim.round import Round
from drivers.sim.runtime import SimRuntime, World

RESTART_SECONDS = 5.0  # of the targets and the meta service: guess
RENEW_SECONDS = 2.0  # an initiator's deadline for one request that nobody answers


class Flaw(StrEnum):
    """What is wrong with a volume: its data, not its name, size and owner."""

    ERROR = "error"  # every read and write fails at once
    SILENT = "silent"  # no read or write is ever answered


class Lun:
    __slots__ = ("_records", "epoch", "lock", "owner", "rights", "round", "size_gib", "slot")

    def __init__(self, size_gib: int) -> None:
        self.round: Round | None = None  # of its owner, while the writes are only counted
        self.size_gib, self.owner, self.epoch = size_gib, "", 0
        self.slot: Slot | None = None  # where volumes share targets
        self.lock = ""  # under which it was attached
        self.rights: Rights = ()
        self._records = Records()

    @property
    def records(self) -> Records:
        self._stir()
        return self._records

    def __setattr__(self, name: str, value: object) -> None:
        if name in ("epoch", "owner"):
            self._stir()
        object.__setattr__(self, name, value)

    def _stir(self) -> None:
        if self.round is not None:
            self.round.end()

    def continues(self, owner: str, vm: str, epoch: int, record: int) -> bool:
        """Is this the record that its owner wrote last, so that the one after it is only counted?"""
        runs = self._records.runs
        if not runs or self.owner != owner or self.epoch != epoch:
            return False
        run = runs[-1]
        return run.last == record and run.vm == vm and run.epoch == epoch

    def attached_for_another(self, stamp: Stamp) -> bool:
        return bool(self.owner and self.lock and stamp.lock) and self.lock != stamp.lock


class HeldLease:
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
        hardware: Hardware = SERVERS,
    ) -> None:
        self.hardware = hardware
        self.lazy = lazy  # may renewals be counted that nothing keeps from succeeding?
        self.members = tuple(members)
        self.preferred = tuple(preferred)  # members that lead rather than others
        self.leader: str | None = members[0]
        self.term = 1
        self.volumes: dict[str, Lun] = {}
        self.leases: dict[str, HeldLease] = {}
        self.witness = witness
        self.slow: dict[str, float] = {}  # host -> how many times longer its I/O takes
        self.flaws: dict[str, Flaw] = {}  # of volumes
        self.full = False
        self.luns_per_target, self.targets_max = 1, 0  # as its targets are made
        self.quorate = True  # may the meta service have a leader?
        self.serving = True  # are the targets there?
        self._world, self._network = world, network
        self._runtime = SimRuntime(world, "storage")
        self._electing = False
        self._election_seconds = 0.0  # of the next one; 0: as long as they take
        self._aside: dict[str, float] = {}  # member -> until when it leads only if no other can
        self._listeners: list[Callable[[], None]] = []
        self._heard: dict[str, bool] = {}  # host -> as the wires are: looked at once until they change
        self._told: dict[str, bool] = {}
        network.on_change(self._look)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Who wants to know that the targets went, or are back?"""
        self._listeners.append(listener)

    def grant(self, host: str, boot: str) -> None:
        """A lease that exists before the story begins."""
        self.leases[host] = HeldLease(boot, self._world.now)

    def place(self, volume: str, size_gib: int, owner: str, epoch: int) -> None:
        """A volume that exists, attached, before the story begins."""
        known = self.volumes[volume] = Lun(size_gib)
        known.owner, known.epoch = owner, epoch

    def served_at(self, slot: Slot) -> str | None:
        """The volume that is this LUN."""
        return next((volume for volume, lun in self.volumes.items() if lun.slot == slot), None)

    def reached_by(self, host: str) -> bool:
        """Can this host do I/O? It can while it is on the side of a majority of the members."""
        return self.hears(host) and self.tells(host)

    def hears(self, host: str) -> bool:
        """Does what this host sends arrive at a majority of the members?"""
        heard = self._heard.get(host)
        if heard is None:
            seen = sum(self._network.carries(host, member, Plane.STORAGE) for member in self.members)
            heard = self._heard[host] = 2 * seen > len(self.members)
        return heard and self.serving

    def tells(self, host: str) -> bool:
        """Do the answers of a majority arrive at this host?"""
        told = self._told.get(host)
        if told is None:
            seen = sum(self._network.carries(member, host, Plane.STORAGE) for member in self.members)
            told = self._told[host] = 2 * seen > len(self.members)
        return told and self.serving

    def lull_of(self, host: str) -> Lull | None:
        lease = self.leases.get(host)
        return None if lease is None else lease.lull

    def may_rest(self, host: str, boot: str, grant: Grant) -> HeldLease | None:
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
        return self._network.sound or self._network.trip_seconds(host, leader) <= RENEW_SECONDS

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

    def step_aside(self, seconds: float) -> bool:
        """The leader wants another one, and not to be elected for so long. Can there be one?"""
        leader = self.leader
        if leader is None or not any(member != leader for member in self._able()):
            return False
        self._aside[leader] = self._world.now + seconds
        self._depose()
        return True

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

    def accept(self, host: str, writes: Sequence[Write]) -> Sequence[Write]:
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

    def count(self, host: str, writes: Round) -> bool:
        """Take the next round of writes as one; False if it has to be looked at write by write."""
        if writes.over or self.full or self.flaws or not (self.hears(host) and self.tells(host)):
            return False
        writes.times += 1
        self.witness(Wrote(host, writes.batch, writes.times - 1))
        return True

    def fails(self, volume: str) -> bool:
        """Is a write to it answered with an error?"""
        return self.full or self.flaws.get(volume) is Flaw.ERROR

    def _look(self) -> None:
        self._heard.clear()
        self._told.clear()
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

    def _willing(self) -> list[str]:
        able = self._able()
        return [member for member in able if self._world.now >= self._aside.get(member, 0.0)] or able

    def _outranked(self) -> bool:
        """Is there one that should lead instead?"""
        if self.leader is None or self.leader in self.preferred:
            return False
        return any(member in self.preferred for member in self._willing())

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
        able = self._willing()
        if able and self.leader is None and self.quorate:
            self.term += 1
            self.leader = drawn(able, self.preferred, self._runtime.random.random())
            self._world.tell("storage", "meta leader elected", {"host": self.leader, "term": self.term})
            self.witness(Elected(self.leader, self.term))


def drawn(able: Sequence[str], preferred: Sequence[str], draw: float) -> str:
    """Whom an election makes leader: one of those that are preferred, if there are any."""
    best = [member for member in able if member in preferred] or able
    return best[int(draw * len(best))]
