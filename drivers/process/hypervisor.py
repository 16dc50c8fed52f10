"""The Hypervisor port with a small process per VM. It survives its worker, pauses by SIGSTOP, shuts down by SIGTERM."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.model.vm import VM
from ave.ports.hypervisor import Console, Domain, DomainState, Ended, Progress, Stamp, Usage
from ave.runtime import Runtime
from drivers import disk
from drivers.phases import Phase
from drivers.process import life, migration
from drivers.process.domains import Domains
from drivers.process.life import Life

T = TypeVar("T")

LOOK_AGAIN_SECONDS = 0.02  # at a guest that shuts down
LISTEN_SECONDS = 10.0  # from one look for silent guests to the next
HEAR_SECONDS = 1.0  # from one look for what has ended to the next


class ProcessHypervisor:
    def __init__(self, domains: Domains, peer: Callable[[str], Domains], runtime: Runtime) -> None:
        self._here, self._peer, self._runtime = domains, peer, runtime
        self._known: tuple[Ended, ...] = ()  # ends that were heard of

    async def list(self) -> tuple[Domain, ...]:
        try:
            return await self._aside("list", "domains", self._here.list)
        except UnknownOutcome as lost:
            raise Unavailable(*lost.args) from lost

    async def ended(self) -> tuple[Ended, ...]:
        try:
            return await self._aside("look for ends", "domains", self._here.ended)
        except UnknownOutcome as lost:
            raise Unavailable(*lost.args) from lost

    async def hear(self) -> None:
        while True:
            try:
                known, self._known = self._known, await self.ended()
                if any(one not in known for one in self._known):
                    return
            except Unavailable:
                pass  # the next look
            await self._runtime.sleep(HEAR_SECONDS)

    async def silent(self, seconds: float, unlike: Mapping[str, int] | None = None) -> dict[str, int]:
        while True:
            running = [domain for domain in await self.list() if domain.state is DomainState.RUNNING]
            silent = {domain.vm: domain.epoch for domain in running if domain.silent >= seconds}
            if silent != unlike:
                return silent
            await self._runtime.sleep(LISTEN_SECONDS)

    async def usage(self) -> tuple[Usage, ...]:
        try:
            return await self._aside("look at the usage of", "domains", self._here.usage)
        except UnknownOutcome as lost:
            raise Unavailable(*lost.args) from lost

    async def console(self, vm: str) -> Console:
        """A guest that is a process has none."""
        await self._aside("look for the console of", vm, lambda: self._here.present(vm))
        return Console()

    async def ask(self, vm: str, command: str, arguments: Mapping[str, object]) -> object:
        await self._aside("look for the agent of", vm, lambda: self._here.present(vm))
        raise Unavailable(f"{vm} is a process: there is no agent in it")

    async def start(self, vm: VM, stamp: Stamp) -> None:
        await self._aside("start", vm.id, lambda: self._start(vm, stamp))

    async def shutdown(self, vm: str, stamp: Stamp, seconds: float) -> None:
        asked = await self._aside("shutdown", vm, lambda: self._ask(vm, stamp))
        if asked is None:
            return
        ends = self._runtime.now() + seconds
        while life.is_there(asked):
            if self._runtime.now() >= ends:
                raise Refused(f"{vm} did not shut down within {seconds:g} s; force it off with poweroff")
            await self._runtime.sleep(LOOK_AGAIN_SECONDS)
        await self._aside("shutdown", vm, lambda: self._forget(vm, asked))

    async def destroy(self, vm: str, stamp: Stamp) -> None:
        await self._aside("destroy", vm, lambda: self._destroy(vm, stamp))

    async def suspend(self, vm: str, stamp: Stamp) -> None:
        await self._aside("suspend", vm, lambda: self._suspend(vm, stamp))

    async def pause(self, vm: str) -> None:
        await self._aside("pause", vm, lambda: self._pause(vm))

    async def resume(self, vm: str, stamp: Stamp) -> None:
        await self._aside("resume", vm, lambda: self._resume(vm, stamp))

    async def plug(self, vm: VM, stamp: Stamp) -> None:
        await self._aside("plug", vm.id, lambda: self._plug(vm, stamp))

    async def resize(self, vm: str, volume: str, size_gib: int, stamp: Stamp) -> None:
        await self._aside("resize", vm, lambda: self._resize(vm, volume, stamp))

    async def progress(self, vm: str) -> Progress | None:
        """It has no memory to be copied."""
        return None

    async def migrate(self, vm: VM, target: str, stamp: Stamp) -> None:
        await self._aside("migrate", vm.id, lambda: migration.migrate(self._here, self._peer(target), vm, stamp))

    async def finish_migration(self, vm: str, target: str, stamp: Stamp) -> None:
        await self._aside("finish migration", vm, lambda: migration.finish(self._here, self._peer(target), vm, stamp))

    async def abort_migration(self, vm: str, target: str, stamp: Stamp) -> None:
        await self._aside("abort migration", vm, lambda: migration.abort(self._here, self._peer(target), vm, stamp))

    async def _aside(self, what: str, whom: str, function: Callable[[], T]) -> T:
        return await disk.aside(f"{what} {whom} on {self._here.name}", function)

    # In a thread

    def _start(self, vm: VM, stamp: Stamp) -> None:
        with self._here.locked(vm.id):
            here = self._here.look(vm.id)
            self._here.accept(vm.id, stamp, "start", here)
            if here is not None:
                if here.epoch == stamp.epoch and here.state is DomainState.RUNNING:
                    return
                raise Refused(f"{vm.id} already has a {here.state} domain of epoch {here.epoch} on {self._here.name}")
            self._here.require_owner(vm.id, vm.media, stamp.epoch)
            self._here.require_held(vm)
            self._here.add(vm, stamp, Phase.SETTLED)

    def _ask(self, vm: str, stamp: Stamp) -> Life | None:
        """Whose end is to be waited for. A guest that stands still is not asked, or it would obey when it goes on."""
        with self._here.locked(vm):
            here = self._here.look(vm)
            self._here.accept(vm, stamp, "shutdown", here)
            if here is None:
                return None
            if here.state is not DomainState.RUNNING:
                raise Refused(f"{vm} did not shut down: it is {here.state}; resume it, or force it off with poweroff")
            life.send(here.life, signal.SIGTERM)
            return here.life

    def _forget(self, vm: str, gone: Life) -> None:
        with self._here.locked(vm):
            if self._here.look(vm) is None:
                self._here.remove(vm, gone)

    def _destroy(self, vm: str, stamp: Stamp) -> None:
        with self._here.locked(vm):
            here = self._here.look(vm)
            self._here.accept(vm, stamp, "destroy", here)
            self._here.remove(vm, here.life if here else None)

    def _suspend(self, vm: str, stamp: Stamp) -> None:
        with self._here.locked(vm):
            record = self._here.accepted(vm, stamp, "suspend")
            if record.phase not in (Phase.SETTLED, Phase.SUSPENDED):
                raise Refused(f"{vm} is being migrated: it can be suspended when it has arrived")
            self._here.write(msgspec.structs.replace(record, phase=Phase.SUSPENDED))
            life.stop(record.life)

    def _pause(self, vm: str) -> None:
        """Whoever holds locks, it does not wait for them."""
        if here := self._here.look(vm):
            life.stop(here.life)

    def _resume(self, vm: str, stamp: Stamp) -> None:
        with self._here.locked(vm):
            record = self._here.accepted(vm, stamp, "resume")
            if record.phase is Phase.LEAVING:
                raise Refused(f"{vm} is complete on another host: it goes on there, or when its migration is aborted")
            if record.phase is Phase.SUSPENDED and not stamp.job:
                raise Refused(f"{vm} is suspended by its user: only a Job resumes it")
            self._here.let_run(record)

    def _plug(self, vm: VM, stamp: Stamp) -> None:
        with self._here.locked(vm.id):
            record = self._here.accepted(vm.id, stamp, "plug")
            gained = [volume for volume in vm.media if volume not in record.vm.media]
            self._here.require_owner(vm.id, gained, stamp.epoch)
            self._here.plug(vm, record)

    def _resize(self, vm: str, volume: str, stamp: Stamp) -> None:
        """It sees how large a volume is whenever it looks."""
        with self._here.locked(vm):
            record = self._here.accepted(vm, stamp, "resize")
            if volume not in record.vm.volumes:
                raise Refused(f"{vm} has no disk {volume}")
            if record.phase is Phase.LEAVING:
                raise Unavailable(f"{vm} is on its way: its disks are resized when it has arrived")
