"""The domains of one host: a record and a process each. Every method here blocks, and is a thread's work.

The record is on the disk before its process runs anything, and names the process so that no other is ever taken for it.
What the process does, it runs or stands still, is read off the process alone.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Protocol

import msgspec

from ave.errors import Refused, Unavailable
from ave.model.vm import VM
from ave.ports.hypervisor import Domain, DomainState, End, Ended, Stamp, Usage
from drivers import disk, pinning
from drivers.phases import BEFORE_IT_RUNS, STATES, Phase
from drivers.process import birth, guest, life, used
from drivers.process.home import Home
from drivers.process.life import Life
from drivers.rights import Rights, accepting, outdating

GUEST_LABEL = "guest"  # a VM labelled guest=deaf does not listen to the power button


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What the disk says of a domain."""

    vm: VM
    epoch: int
    instance: int  # a later one has a greater number, in the whole cluster
    life: Life
    phase: Phase
    stamp: Stamp  # by which it was started
    cpus: tuple[int, ...] = ()  # of its host, that it has for itself: counted, and its process is not bound to them


class Here(msgspec.Struct, frozen=True, kw_only=True):
    """A domain whose process lives."""

    vm: str
    epoch: int
    memory_mib: int
    life: Life
    phase: Phase
    standing: bool
    record: Record | None  # None: damaged, so nobody knows whether it was given away

    @property
    def state(self) -> DomainState:
        return STATES[self.phase][self.standing]

    @property
    def cpus(self) -> tuple[int, ...]:
        return self.record.cpus if self.record else ()


class Volumes(Protocol):
    """What a domain needs to know of the storage."""

    def owner(self, volume: str) -> tuple[str, int]: ...
    def path(self, volume: str) -> str: ...


class Domains:
    def __init__(self, home: Home, volumes: Volumes, instances: Callable[[], int]) -> None:
        self.home, self._volumes, self._instances = home, volumes, instances
        self.name = home.host
        self._command = (birth.PROGRAM, str(home.folder))

    # Looking

    def list(self) -> tuple[Domain, ...]:
        """Unavailable if any could be missed: an empty answer says that nothing is here."""
        seen = [here for vm in self._recorded() if (here := self.look(vm))]
        return tuple(Domain(vm=h.vm, state=h.state, epoch=h.epoch, memory_mib=h.memory_mib, cpus=h.cpus) for h in seen)

    def usage(self) -> tuple[Usage, ...]:
        """As the kernel counts for its process; nothing goes over a network."""
        found = []
        for vm in self._recorded():
            if (here := self.look(vm)) and (usage := used.usage(vm, here.epoch, here.life)):
                found.append(usage)
        return tuple(found)

    def present(self, vm: str) -> Here:
        if (here := self.look(vm)) is None:
            raise Refused(f"{vm} has no domain on {self.name}")
        return here

    def ended(self) -> tuple[Ended, ...]:
        """Those whose record is there and whose process is not: whoever ends one removes both."""
        found = []
        for vm in self._recorded():
            try:
                record = self._read(vm)
            except disk.DAMAGED:
                continue  # how it ended, if it did, cannot be told
            if record is not None and not life.is_there(record.life):
                end = End.SHUTDOWN if self.home.shut_down(vm).exists() else End.CRASHED
                found.append(Ended(vm=vm, epoch=record.epoch, end=end))
        return tuple(found)

    def _recorded(self) -> tuple[str, ...]:
        self.home.boot()
        folder = self.home.folder / "domains"
        try:
            found = sorted(path for path in folder.iterdir() if path.suffix == ".json" and path.name[0] != ".")
        except OSError as error:
            raise Unavailable(f"the domains of {self.name} cannot be listed: {error}") from error
        return tuple(disk.name_of(path.stem) for path in found)

    def look(self, vm: str) -> Here | None:
        """None: there is none. Nothing is concluded from a record that cannot be read; then its process is looked for."""
        try:
            record = self._read(vm)
        except disk.DAMAGED:
            return self._find(vm)
        if record is None or not life.is_there(record.life):
            return None
        return Here(
            vm=vm,
            epoch=record.epoch,
            memory_mib=record.vm.memory_mib,
            life=record.life,
            phase=record.phase,
            standing=life.is_standing(record.life),
            record=record,
        )

    def _read(self, vm: str) -> Record | None:
        try:
            return msgspec.json.decode(self.home.domain(vm).read_bytes(), type=Record)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(f"the record of {vm} on {self.name} cannot be read: {error}") from error

    def _find(self, vm: str) -> Here | None:
        for found, (_host, epoch, _instance, memory, *_) in life.running([*self._command, vm]):
            return Here(
                vm=vm,
                epoch=int(epoch),
                memory_mib=int(memory),
                life=found,
                phase=Phase.LEAVING,
                standing=life.is_standing(found),
                record=None,
            )
        return None

    def processes(self) -> Iterator[Life]:
        """Every guest of this host, whatever its record says, or whether it has one."""
        for found, _ in life.running(self._command):
            yield found

    # The right to act

    @contextmanager
    def locked(self, vm: str) -> Iterator[None]:
        with self.home.awake(), self.home.lock(vm):
            yield

    def accept(self, vm: str, stamp: Stamp, what: str, here: Here | None) -> None:
        """Refuse a right older than the newest seen; remember this one, durably.

        A host that settles what is its own acts for no Job: it names the incarnation it means, and leaves no stamp.
        """
        if here is not None and here.epoch > stamp.epoch and not (stamp.job and here.state is DomainState.INCOMING):
            raise Refused(f"{vm}: {what} means epoch {stamp.epoch}, but {here.epoch} is here")
        if not stamp.job:
            return
        path = self.home.rights(vm)
        try:
            rights = msgspec.json.decode(path.read_bytes(), type=Rights)
        except FileNotFoundError:
            rights = ()
        except disk.DAMAGED as error:
            raise Refused(
                f"{vm}: who may {what} it on {self.name} cannot be read: {error}; once no Job acts on {vm}, remove {path}"
            ) from error
        if newest := outdating(rights, stamp):
            raise Refused(f"{vm}: {what} by {stamp.job} is outdated; {newest.job} came after it")
        if (after := accepting(rights, stamp)) != rights:
            disk.replace(path, msgspec.json.encode(after))

    def accepted(self, vm: str, stamp: Stamp, what: str) -> Record:
        """The domain of the stamp's epoch, which is here and known, once the stamp was accepted."""
        here = self.look(vm)
        self.accept(vm, stamp, what, here)
        if here is None or here.epoch != stamp.epoch:
            raise Refused(f"{vm} has no domain of epoch {stamp.epoch} on {self.name}")
        if here.record is None:
            raise Refused(f"the record of {vm} on {self.name} is damaged: all that can be done is to force it off")
        return here.record

    def require_owner(self, vm: str, volumes: Iterable[str], epoch: int) -> None:
        for volume in volumes:
            try:
                owner = self._volumes.owner(volume)
            except Refused as refusal:
                raise Refused(f"{vm} cannot open volume {volume}: {refusal}") from refusal
            if owner != (self.name, epoch):
                raise Refused(f"{vm} cannot open volume {volume}: {self.name} is not its owner at epoch {epoch}")

    # Acting: the VM is locked by whoever calls

    def add(self, vm: VM, stamp: Stamp, phase: Phase) -> Record:
        """A new domain of the stamp's epoch: it runs, or is a copy that stands still, or there is none."""
        with self.home.pins() if vm.pinned else nullcontext():
            return self._add(vm, stamp, phase, self._cpus_for(vm, phase))

    def _cpus_for(self, vm: VM, phase: Phase) -> tuple[int, ...]:
        """For itself alone: who arrives is pinned again, if that is possible."""
        arrives = phase is Phase.INCOMING
        many = pinning.wanted(msgspec.structs.replace(vm, unpinned=False) if arrives else vm)
        if not many:
            return ()
        facts = self.home.facts()
        exclusive, _ = pinning.divided(range(facts.cpus), facts.exclusive_cpus)
        found = pinning.chosen(many, exclusive, {cpu for one in self.list() for cpu in one.cpus})
        if not arrives:
            pinning.require(vm, self.name, found)
        return found

    def _add(self, vm: VM, stamp: Stamp, phase: Phase, cpus: tuple[int, ...]) -> Record:
        instance = self._instances()
        self._set_devices(vm)
        disk.remove(self.home.shut_down(vm.id))
        arguments = (vm.id, disk.file_name(self.name), stamp.epoch, instance, vm.memory_mib, self.home.devices(vm.id))
        how = vm.labels.get(GUEST_LABEL, "")
        with birth.born([str(self.home.folder), *map(str, arguments), how]) as newborn:
            record = Record(
                vm=vm, epoch=stamp.epoch, instance=instance, life=newborn.life, phase=phase, stamp=stamp, cpus=cpus
            )
            self.write(record)
            try:
                newborn.say(guest.HOLD if phase is Phase.INCOMING else guest.GO)
                if phase is Phase.SETTLED:
                    self.require_held(vm)  # it may have ended while the disk was slow
            except BaseException:
                self.remove(vm.id, newborn.life)
                raise
        return record

    def remove(self, vm: str, process: Life | None) -> None:
        """End its process, if it has one, and forget it."""
        if process is not None:
            life.end(process)
        disk.remove(self.home.domain(vm))
        disk.remove(self.home.devices(vm))
        disk.remove(self.home.shut_down(vm))

    def let_run(self, record: Record) -> bool:
        """Its right is beyond doubt: does it run now? If the lease is over it is left paused, and a copy incoming.

        Whoever repeats this, because its caller died, comes to the same end.
        """
        on = self._is_held(record.vm)
        phase = BEFORE_IT_RUNS[record.phase][on]
        if phase is not record.phase:
            record = msgspec.structs.replace(record, phase=phase)
            self.write(record)
        if not on:
            return False
        life.send(record.life, signal.SIGCONT)
        if not self._is_held(record.vm):  # who let it run fell asleep in between
            life.stop(record.life)
            return False
        if record.phase is not Phase.SETTLED:
            self.write(msgspec.structs.replace(record, phase=Phase.SETTLED))
        return True

    def _is_held(self, vm: VM) -> bool:
        """Is there a lease, and for the very epoch of this host to which the VM was given?"""
        return self._has_lease() and vm.host_epoch == self.home.held()[1]

    def _has_lease(self) -> bool:
        """By the clock that every runtime on this machine shows, as all its processes share it."""
        return time.monotonic() < self.home.held()[0]

    def require_lease(self, vm: str) -> None:
        if not self._has_lease():
            raise Unavailable(f"{vm} cannot begin to run on {self.name}: the host's lease is over")

    def require_held(self, vm: VM) -> None:
        self.require_lease(vm.id)
        if not self._is_held(vm):
            epoch = self.home.held()[1]
            raise Unavailable(f"{vm.id} was given to epoch {vm.host_epoch} of {self.name}, which is in {epoch}")

    def write(self, record: Record) -> None:
        disk.replace(self.home.domain(record.vm.id), msgspec.json.encode(record))

    def plug(self, vm: VM, record: Record) -> None:
        self._set_devices(vm)
        self.write(msgspec.structs.replace(record, vm=vm))

    def _set_devices(self, vm: VM) -> None:
        paths = "".join(f"{self._volumes.path(volume)}\n" for volume in vm.volumes)
        disk.replace(self.home.devices(vm.id), paths.encode(), durably=False)
