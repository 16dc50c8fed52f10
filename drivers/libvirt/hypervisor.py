"""The Hypervisor port on libvirt: every call in a thread, with a limit of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import TypeVar

import libvirt

from ave.errors import AveError, Refused, Unavailable, UnknownOutcome
from ave.model.vm import VM
from ave.ports.hypervisor import DomainState, Stamp
from ave.runtime import Runtime
from drivers.libvirt import migration, pins, plug, xml
from drivers.libvirt.disks import Disks, Lun
from drivers.libvirt.domains import Domains, Here
from drivers.libvirt.host import Settings
from drivers.libvirt.lanes import Lane, unheard
from drivers.libvirt.link import Link, session
from drivers.libvirt.looks import ACT_SECONDS, LOOK_SECONDS, Looks
from drivers.libvirt.probe import kind_of
from drivers.libvirt.record import Record, name_of
from drivers.phases import Phase
from drivers.process import life

T = TypeVar("T")

PAUSE_SECONDS, START_SECONDS, PLUG_SECONDS, FINISH_SECONDS = 3.0, 60.0, 60.0, 30.0
DESTROY_SECONDS = 40.0  # libvirt waits for 30 s for a domain's lock
BACK_SECONDS = 300.0  # for a memory to be brought back
LOOK_AGAIN_SECONDS = 0.1  # at a guest that shuts down
PRESS_AGAIN_SECONDS = 3.0  # the power button: a guest that was still booting did not see it
WELCOME_SECONDS = 2.0  # from one look for copies that may run to the next


class LibvirtHypervisor(Looks):
    def __init__(self, settings: Settings, disks: Disks, runtime: Runtime) -> None:
        super().__init__(settings, runtime)
        self._disks = disks
        self._peers: dict[str, Domains] = {}
        self._unheard = migration.Unheard()
        self._pauses: dict[
            str, list[asyncio.Future[None]]
        ] = {}  # that libvirt has not answered: QEMU waits for a disk, say
        self._closing = threading.Event()
        self._welcoming = threading.Thread(target=self._welcome_for_ever, name=f"{self._name}/welcome", daemon=True)
        self._welcoming.start()

    def close(self) -> None:
        """Let go of libvirt. VMs run on."""
        self._closing.set()
        self._changed.set()
        self._welcoming.join()
        for domains in (self.here, *self._peers.values()):
            domains.link.close()

    # Power

    async def start(self, vm: VM, stamp: Stamp) -> None:
        self._known = tuple(end for end in self._known if end.vm != vm.id)  # its next end is another one
        if await self._act(f"start {vm.id}", partial(self._accept_start, vm, stamp), ACT_SECONDS):
            return
        luns = await self._owned(vm, vm.media, stamp)
        await self._act(f"start {vm.id}", partial(self._start, vm, stamp, luns), START_SECONDS)

    def _accept_start(self, vm: VM, stamp: Stamp) -> bool:
        """Does it run already?"""
        with self.here.locked(vm.id):
            here = self.here.look(vm.id)
            self.here.accept(vm.id, stamp, "start", here)
            return here is not None and self._runs_already(here, stamp)

    def _runs_already(self, here: Here, stamp: Stamp) -> bool:
        if not here.is_here or self._is_half_started(here, stamp):
            return False
        if here.epoch == stamp.epoch and here.state is DomainState.RUNNING:
            return True
        raise Refused(f"{here.vm} already has a {here.state} domain of epoch {here.epoch} on {self._name}")

    def _is_half_started(self, here: Here, stamp: Stamp) -> bool:
        """Did its starter die before it ran?"""
        return here.epoch == stamp.epoch and here.phase is Phase.SETTLED and here.record.boot == ""

    def _start(self, vm: VM, stamp: Stamp, luns: Mapping[str, Lun]) -> None:
        with self.here.locked(vm.id):
            here = self.here.look(vm.id)
            here = self.here.accept(vm.id, stamp, "start", here)
            if here is not None and self._runs_already(here, stamp):
                return
            self.here.require_held(vm)
            self.here.remove(here)
            record = Record(vm=vm, epoch=stamp.epoch, phase=Phase.SETTLED, rights=self.files.rights(vm.id, "start"))
            kind, cpus = kind_of(self._settings, self.here.link), pins.shared(self.here)
            text = xml.domain(record, luns, self._settings.bridges, kind, cpus)
            here = self.here.define(xml.meant(record, luns, self._settings.bridges), text)
            try:
                self.here.begin(here)
            except (Refused, Unavailable):
                with suppress(AveError):  # then it stands still, and the next start removes it
                    self.here.remove(self.here.look(vm.id))
                raise

    async def shutdown(self, vm: str, stamp: Stamp, seconds: float) -> None:
        ends, pressed = self._runtime.now() + seconds, -PRESS_AGAIN_SECONDS
        ask, what = partial(self._ask, vm, stamp), f"shutdown {vm}"
        while await self._lanes.look(what, lambda: self._is_up(vm), LOOK_SECONDS) or pressed < 0:
            now = self._runtime.now()
            if now - pressed >= PRESS_AGAIN_SECONDS or pressed < 0:
                if not await self._act(what, ask, ACT_SECONDS):
                    return
                pressed = now
            if now >= ends:
                raise Refused(f"{vm} did not shut down within {seconds:g} s; force it off with poweroff")
            await self._runtime.sleep(LOOK_AGAIN_SECONDS)
        await self._act(what, partial(self._forget, vm, stamp), ACT_SECONDS)

    def _is_up(self, vm: str) -> bool:
        here = self.here.look(vm)
        return here is not None and here.is_here

    def _ask(self, vm: str, stamp: Stamp) -> bool:
        """Is there anybody to wait for? A guest that stands still is not asked, or it would obey when it goes on."""
        with self.here.locked(vm):
            here = self.here.accept(vm, stamp, "shutdown", self.here.look(vm))
            if here is None or not here.is_here:
                self.here.remove(here)
                return False
            if here.state is not DomainState.RUNNING:
                raise Refused(f"{vm} did not shut down: it is {here.state}; resume it, or force it off with poweroff")
            if self.agents.is_connected(here):
                with suppress(libvirt.libvirtError):
                    here.domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT)
                    return True
            with suppress(libvirt.libvirtError):  # it is pressed again, and may have gone just now
                here.domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
            return True

    def _forget(self, vm: str, stamp: Stamp) -> None:
        with self.here.locked(vm):
            here = self.here.look(vm)
            if here is not None and not here.is_here and here.epoch <= stamp.epoch:
                self.here.remove(here)

    async def destroy(self, vm: str, stamp: Stamp) -> None:
        def destroy() -> None:
            with self.here.locked(vm):
                self.here.remove(self.here.accept(vm, stamp, "destroy", self.here.look(vm)))

        what = f"destroy {vm}"
        await self._act(what, partial(migration.cancel, self.here, vm, stamp, "destroy"), ACT_SECONDS)
        await self._act(what, destroy, DESTROY_SECONDS)

    # Pausing

    async def pause(self, vm: str) -> None:
        """Whoever holds locks, it does not wait for them; nor for libvirt, if that does not answer."""
        asked = self._lanes.begin(f"pause {vm}", partial(self._pause, vm), Lane.PAUSE)
        try:
            async with self._runtime.timeout(PAUSE_SECONDS):
                await asyncio.shield(asked)
                return
        except (TimeoutError, Unavailable, UnknownOutcome) as trouble:
            asked.add_done_callback(unheard)
            self._pauses[vm] = [pause for pause in (*self._pauses.get(vm, ()), asked) if not pause.done()]
            process = self.here.process(name_of(vm))
            if process is None:
                raise UnknownOutcome(f"pause {vm} on {self._name}: libvirt does not answer") from trouble
            await self._lanes.act(f"freeze {vm}", lambda: life.stop(process), PAUSE_SECONDS, Lane.PAUSE)

    def _pause(self, vm: str) -> None:
        if here := self.here.look(vm):
            self.here.stand(here)

    async def suspend(self, vm: str, stamp: Stamp) -> None:
        def suspend() -> None:
            with self.here.locked(vm):
                here = self.here.accepted(vm, stamp, "suspend")
                if here.phase not in (Phase.SETTLED, Phase.SUSPENDED):
                    raise Refused(f"{vm} is being migrated: it can be suspended when it has arrived")
                self.here.stand(self.here.write(here, phase=Phase.SUSPENDED))

        await self._act(f"suspend {vm}", suspend, ACT_SECONDS)

    async def resume(self, vm: str, stamp: Stamp) -> None:
        def resume() -> None:
            with self.here.locked(vm):
                here = self.here.accepted(vm, stamp, "resume")
                if here.phase is Phase.LEAVING:
                    raise Refused(
                        f"{vm} is complete on another host: it goes on there, or when its migration is aborted"
                    )
                if here.phase is Phase.SUSPENDED and not stamp.job:
                    raise Refused(f"{vm} is suspended by its user: only a Job resumes it")
                self.here.let_run(here)

        await self._act(f"resume {vm}", resume, ACT_SECONDS)
        if any(not pause.done() for pause in self._pauses.get(vm, ())):
            raise Unavailable(
                f"{vm} goes on, but a pause that libvirt has not answered yet may stop it: resume it again"
            )
        self._pauses.pop(vm, None)

    async def plug(self, vm: VM, stamp: Stamp) -> None:
        def accepted() -> Record:
            with self.here.locked(vm.id):
                return self.here.accepted(vm.id, stamp, "plug").record

        record = await self._act(f"plug {vm.id}", accepted, ACT_SECONDS)
        luns = await self._owned(vm, [one for one in vm.media if one not in record.vm.media], stamp)
        luns |= await self._where(record.vm.media, self._name, stamp.epoch)

        def change() -> None:
            with self.here.locked(vm.id):
                here = self.here.accepted(vm.id, stamp, "plug")
                plug.plug(self.here, here, vm, luns, self._settings.bridges)

        await self._act(f"plug {vm.id}", change, PLUG_SECONDS)

    async def resize(self, vm: str, volume: str, size_gib: int, stamp: Stamp) -> None:
        def resize() -> None:
            plug.require_settled(self.here.look(vm))  # who copies it holds its lock, for minutes
            with self.here.locked(vm):
                plug.resize(self.here, self.here.accepted(vm, stamp, "resize"), volume, size_gib)

        await self._act(f"resize disk {volume} of {vm}", resize, ACT_SECONDS)

    # Migration

    async def migrate(self, vm: VM, target: str, stamp: Stamp) -> None:
        what, there = f"migrate {vm.id}", self._peer(target)
        here = await self._lanes.look(what, lambda: self.here.look(vm.id), LOOK_SECONDS)
        media = here.record.vm.media if here is not None else vm.media
        copy = migration.Copy(self._settings.peers(target), await self._where(media, target, stamp.epoch + 1))

        def send() -> None:
            with self.here.locked(vm.id):
                migration.migrate(self.here, there, vm, copy, stamp)

        sent = self._lanes.begin(what, send, Lane.COPY)
        try:
            async with self._runtime.timeout(self._settings.migrate_seconds):
                await asyncio.shield(sent)
                return
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            sent.add_done_callback(unheard)
            cancel = partial(migration.cancel, self.here, vm.id, stamp, what)
            with suppress(Unavailable):  # its Job is over: whoever comes next finds it leaving, and aborts it
                self._lanes.begin(what, cancel, Lane.ACT).add_done_callback(unheard)
            raise
        await self._act(what, partial(migration.cancel, self.here, vm.id, stamp, what), ACT_SECONDS)
        try:
            async with self._runtime.timeout(ACT_SECONDS):
                await asyncio.shield(sent)
        except TimeoutError:
            sent.add_done_callback(unheard)
            raise UnknownOutcome(
                f"{what} to {target}: it was cancelled, and libvirt does not say that it is over"
            ) from None

    async def finish_migration(self, vm: str, target: str, stamp: Stamp) -> None:
        def finish() -> None:
            with self.here.locked(vm):
                migration.finish(self.here, self._peer(target), vm, stamp)

        await self._act(f"finish the migration of {vm}", finish, FINISH_SECONDS)

    async def abort_migration(self, vm: str, target: str, stamp: Stamp) -> None:
        what = f"abort the migration of {vm}"
        await self._act(what, partial(migration.cancel, self.here, vm, stamp, "abort migration"), ACT_SECONDS)
        here = await self._lanes.look(what, lambda: self.here.look(vm), LOOK_SECONDS)
        record = here.record if here is not None else None
        luns = await self._where(record.vm.media, self._name, record.epoch) if record else {}
        back = migration.Copy(self._settings.reach, luns)
        there = self._peer(record.target if record and record.target else target)

        def abort() -> None:
            with self.here.locked(vm):
                migration.abort(self.here, there, vm, stamp, back, self._unheard)

        await self._act(what, abort, BACK_SECONDS, Lane.COPY)

    def _welcome_for_ever(self) -> None:
        """Let those run here that another host has sent and that were given the right to run: as soon as that is seen."""
        while not self._closing.is_set():
            self._changed.wait(WELCOME_SECONDS)
            self._changed.clear()
            with suppress(Unavailable, UnknownOutcome, Refused), session():
                self.here.link.listen(self._tell)
                for found in self.here.known():
                    if found.phase is Phase.ARRIVING and found.active and not self._closing.is_set():
                        self._welcome(found.vm)

    def _welcome(self, vm: str) -> None:
        with self.here.locked(vm):
            here = self.here.look(vm)
            if here is not None and here.phase is Phase.ARRIVING and here.active:
                self.here.let_run(here)

    # Where things are

    def _peer(self, host: str) -> Domains:
        if host == self._name:
            return self.here
        if host not in self._peers:
            self._peers[host] = Domains(Link(self._settings.peers(host).uri, host), None)
        return self._peers[host]

    async def _owned(self, vm: VM, volumes: Iterable[str], stamp: Stamp) -> dict[str, Lun]:
        """Where these are, which this host owns; Refused if it does not."""
        wanted = list(volumes)
        for volume in wanted:
            cannot = f"{vm.id} cannot open volume {volume}"
            try:
                owner = await self._disks.owner(volume)
            except Refused as refusal:
                raise Refused(f"{cannot}: {refusal}") from refusal
            if owner != (self._name, stamp.epoch):
                raise Refused(f"{cannot}: {self._name} is not its owner at epoch {stamp.epoch}")
        return await self._where(wanted, self._name, stamp.epoch)

    async def _where(self, volumes: Iterable[str], host: str, epoch: int) -> dict[str, Lun]:
        return {volume: await self._disks.where(volume, host, epoch) for volume in volumes}

    async def _act(self, what: str, function: Callable[[], T], seconds: float, lane: Lane = Lane.ACT) -> T:
        return await self._lanes.act(what, function, seconds, lane)
