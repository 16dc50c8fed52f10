"""What a host's libvirt is asked and changes nothing: every call in a thread, with a limit of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

import msgspec

from ave.errors import Unavailable
from ave.ports.hypervisor import Console, Domain, Ended, Progress, Usage
from ave.runtime import Runtime
from drivers.libvirt import counters
from drivers.libvirt.agents import ANSWER_SECONDS, Agents
from drivers.libvirt.domains import Domains
from drivers.libvirt.host import HostFiles, Settings
from drivers.libvirt.lanes import Lanes
from drivers.libvirt.link import Link

LOOK_SECONDS, ACT_SECONDS = 10.0, 30.0
LISTEN_SECONDS = 5.0  # from one question to all agents to the next
HEAR_SECONDS = 5.0  # from one look for what has ended to the next, should no event say so


class Looks:
    def __init__(self, settings: Settings, runtime: Runtime) -> None:
        self._settings, self._runtime = settings, runtime
        self._name = settings.facts.host
        self._lanes = Lanes(self._name)
        self.files = HostFiles(settings)
        self.here = Domains(Link(settings.reach.uri, self._name), self.files)
        self.agents = Agents(self.here)
        self._known: tuple[Ended, ...] = ()  # ends that were heard of
        self._hearing: set[Callable[[], None]] = set()
        self._changed = threading.Event()

    async def size(self) -> tuple[int, int]:
        """CPUs and MiB of memory of this host."""

        def ask() -> tuple[int, int]:
            with self.here.link.doing("what it is made of", mutates=False) as connection:
                _model, memory_mib, cpus, *_ = connection.getInfo()
                return cpus, memory_mib

        return await self._lanes.look("what it is made of", ask, LOOK_SECONDS)

    async def list(self) -> tuple[Domain, ...]:
        found = await self._lanes.look("list domains", self.here.list, LOOK_SECONDS)
        return tuple(msgspec.structs.replace(one, silent=self.agents.silence(one.vm, one.epoch)) for one in found)

    async def ended(self) -> tuple[Ended, ...]:
        return await self._lanes.look("look for ends", self.here.ended, LOOK_SECONDS)

    async def hear(self) -> None:
        loop, told = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(told.set)

        self._hearing.add(tell)
        try:
            while True:
                told.clear()
                try:
                    known, self._known = self._known, await self.ended()
                    if any(one not in known for one in self._known):
                        return
                except Unavailable:
                    pass  # the next look
                with suppress(TimeoutError):
                    async with self._runtime.timeout(HEAR_SECONDS):
                        await told.wait()
        finally:
            self._hearing.discard(tell)

    async def silent(self, seconds: float, unlike: Mapping[str, int] | None = None) -> dict[str, int]:
        while True:
            await self._lanes.look("ask the guests", self.agents.ask, ACT_SECONDS)
            silent = self.agents.silent(seconds)
            if silent != unlike:
                return silent
            await self._runtime.sleep(LISTEN_SECONDS)

    async def usage(self) -> tuple[Usage, ...]:
        return await self._lanes.look("count what domains use", partial(counters.usage, self.here), LOOK_SECONDS)

    async def console(self, vm: str) -> Console:
        what = f"look for the console of {vm}"
        return await self._lanes.look(what, partial(counters.console, self.here, vm), LOOK_SECONDS)

    async def ask(self, vm: str, command: str, arguments: Mapping[str, object]) -> object:
        ask = partial(self.agents.asked, vm, command, arguments)
        return await self._lanes.look(f"ask the agent of {vm}", ask, ANSWER_SECONDS + LOOK_SECONDS)

    async def progress(self, vm: str) -> Progress | None:
        what = f"look how far {vm} is"
        return await self._lanes.look(what, partial(counters.progress, self.here, vm), LOOK_SECONDS)

    def _tell(self) -> None:
        """In the events' thread."""
        self._changed.set()
        for tell in tuple(self._hearing):
            tell()
