"""A host's way to its volumes: what its guests write, what waits to be sent, and which guests stand still over an error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ave.ports.hypervisor import DomainState
from drivers.sim import physics
from drivers.sim.facts import Write
from drivers.sim.round import Round
from drivers.sim.runtime import SimRuntime

if TYPE_CHECKING:
    from drivers.sim.guest import Guest
    from drivers.sim.machine import Machine


class Initiator:
    def __init__(self, machine: Machine) -> None:
        self._machine, self._storage = machine, machine.storage
        self._holding = False
        self._unsent: list[tuple[float, Sequence[Write]]] = []
        self._on_its_way: Iterable[Write] = ()
        self._round: Round | None = None
        self._stuck: dict[str, Guest] = {}  # paused because a write failed (QEMU: werror=stop)
        machine.network.on_change(self._resend)
        machine.storage.on_change(self._resend)

    def lose_power(self) -> None:
        """What was queued is gone; what was on the wires may arrive."""
        self._unsent.clear()
        self._stuck.clear()

    def owes(self, guest: Guest) -> bool:
        """Has it written something that nobody has told it is done? Then its memory must not go on elsewhere."""
        batches = (self._on_its_way, *(batch for _, batch in self._unsent))
        return any(instance == guest.instance for batch in batches for _, _, instance, _, _ in batch)

    def stuck(self, guest: Guest) -> bool:
        """Does it stand still because a write failed?"""
        return self._stuck.get(guest.vm) is guest

    def hold(self) -> None:
        """Send nothing, however well the storage is reached."""
        self._holding = True

    def release(self) -> None:
        """Send what was held, however old it is: a session that was never lost has no limit."""
        self._holding = False
        if self._machine.powered:
            unsent, self._unsent = self._unsent, []
            for _, batch in unsent:
                self._send(self._machine.world.now, batch)

    async def write_for_ever(self, runtime: SimRuntime) -> None:
        """Every few seconds the guests' journals commit: one batch for the host, checked at the targets on arrival.

        Each writes a numbered record to each of its volumes, the same one until it is acknowledged.
        """
        machine, storage = self._machine, self._storage
        await runtime.sleep(physics.GUEST_WRITE_SECONDS * runtime.random.random())
        while True:
            if self._stuck:
                self._retry()
            if batch := self._writes():
                factor = (
                    machine.disk_factor * storage.slow.get(machine.name, 1.0) if storage.slow else machine.disk_factor
                )
                self._on_its_way = batch
                await runtime.sleep(physics.HOP_SECONDS + physics.WRITE_SECONDS * factor)
                self._on_its_way = ()
                self._send(machine.world.now, batch)
            await runtime.sleep(physics.GUEST_WRITE_SECONDS)

    def _writes(self) -> Sequence[Write] | Round:
        """A write to each volume of each guest that runs."""
        if self._round is not None and not self._round.over:
            return self._round
        guests, host, volumes = self._machine.guests, self._machine.name, self._storage.volumes
        batch, luns, repeats = [], [], not (self._unsent or self._holding)
        for guest in guests.values():
            if guest.state is DomainState.RUNNING:
                vm, instance, epoch, records = guest.vm, guest.instance, guest.epoch, guest.records
                for volume in guest.volumes:
                    last = records.get(volume, 0)
                    batch.append((volume, vm, instance, epoch, last + 1))
                    lun = volumes.get(volume)
                    if repeats and lun is not None and lun.continues(host, vm, epoch, last):
                        luns.append(lun)
                    else:
                        repeats = False
        if not batch or not repeats:
            return batch
        self._round = Round(tuple(batch), luns, guests)
        return self._round

    def stir(self) -> None:
        """Who writes here changes."""
        if self._round is not None:
            self._round.end()

    def _send(self, since: float, writes: Sequence[Write] | Round) -> None:
        storage, host = self._storage, self._machine.name
        if isinstance(writes, Round):
            if not self._holding and storage.count(host, writes):
                return
            batch: Sequence[Write] = tuple(writes)
            writes.end()
        else:
            batch = writes
        if self._holding or not storage.hears(host):
            self._unsent.append((since, batch))
            return
        acknowledged = storage.accept(host, batch)
        if not storage.tells(host):
            self._unsent.append((since, batch))  # nobody told us that it was done
            return
        guests = self._machine.guests
        for volume, vm, instance, _, record in acknowledged:
            if (guest := guests.get(vm)) is not None and guest.instance == instance:
                guest.records[volume] = record
        if storage.full or storage.flaws:
            self._stop_on_error(batch)

    def _resend(self) -> None:
        """What was queued for a lost session is sent again. What is too old has failed; who wrote it does it again if it
        is still here (QEMU: werror=stop), before anything else: its memory says that it was never done.
        """
        if (
            self._unsent
            and self._machine.powered
            and not self._holding
            and self._storage.reached_by(self._machine.name)
        ):
            unsent, self._unsent = self._unsent, []
            now, again = self._machine.world.now, dict[Write, None]()
            for since, batch in unsent:
                if now - since <= physics.REPLACEMENT_SECONDS:
                    self._send(since, batch)
                else:
                    again |= dict.fromkeys(write for write in batch if self._is_here(write))
            if again:
                self._send(now, tuple(again))

    def _is_here(self, write: Write) -> bool:
        _, vm, instance, _, _ = write
        guest = self._machine.guests.get(vm)
        return guest is not None and guest.instance == instance

    def _stop_on_error(self, batch: Sequence[Write]) -> None:
        for volume, vm, instance, _, _ in batch:
            guest = self._machine.guests.get(vm)
            if guest is not None and guest.instance == instance and self._storage.fails(volume):
                if guest.state is DomainState.RUNNING:
                    self._stuck[guest.vm] = guest
                self._machine.pause(guest)

    def _retry(self) -> None:
        """Whose volumes take writes again goes on, unless something else keeps it still."""
        for vm, guest in list(self._stuck.items()):
            if any(self._storage.fails(volume) for volume in guest.volumes):
                continue
            del self._stuck[vm]
            if guest.state is DomainState.PAUSED and not guest.migrating:
                self._machine.resume(guest, guest.epoch)
