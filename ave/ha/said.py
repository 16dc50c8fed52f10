"""What a host says of itself in the store: which turns of its lease it has given up, what is broken of it, and which guests
it has not heard of for too long.

Said whenever it is another. The store may be out of reach, and then it is said late: nothing that is read here is believed
for being new (``ave.ha.verdict``).
"""

from __future__ import annotations

import msgspec

from ave.errors import Unavailable, UnknownOutcome
from ave.ha.timing import Timing
from ave.jobs.alarms import raising
from ave.model.alarm import Alarm
from ave.model.host import Report
from ave.ports.machine import Health
from ave.ports.store import Conflict, Delete, Insert, Replace, Write
from ave.ports.together import Ports
from ave.sync import together

RETRY_SECONDS = 1.0
LISTEN_AGAIN_SECONDS = 10.0


class Said:
    def __init__(self, ports: Ports, timing: Timing) -> None:
        self._ports, self._timing = ports, timing
        self._given_up = 0
        self._health = Health()
        self._silent: dict[str, int] = {}
        self._news = ports.runtime.signal()

    def giving_up(self, turn: int) -> None:
        self._given_up = turn
        self._news.set()

    async def run(self) -> None:
        loops = {"look": self._look_for_ever(), "listen": self._listen_for_ever(), "say": self._say_for_ever()}
        await together(self._ports.runtime, loops)

    async def _look_for_ever(self) -> None:
        known: Health | None = None
        while True:
            try:
                known = self._health = await self._ports.machine.health(known)
                self._news.set()
            except (Unavailable, UnknownOutcome) as trouble:
                self._ports.runtime.log("health unknown", why=str(trouble))
                await self._ports.runtime.sleep(RETRY_SECONDS)

    async def _listen_for_ever(self) -> None:
        known: dict[str, int] | None = None
        while True:
            try:
                known = self._silent = await self._ports.hypervisor.silent(self._timing.guest, known)
                self._news.set()
            except Unavailable as trouble:
                self._ports.runtime.log("guests not heard", why=str(trouble))
                await self._ports.runtime.sleep(LISTEN_AGAIN_SECONDS)

    async def _say_for_ever(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while not await self._say():
                await self._ports.runtime.sleep(RETRY_SECONDS)

    async def _say(self) -> bool:
        store = self._ports.store
        try:
            known = await store.get(Report, self._ports.host)
            now = self._now(known or Report(id=self._ports.host))
            if now != known:
                write = Insert(now) if known is None else Replace(now)
                was_full = known is not None and known.full
                await store.commit(write, *(await self._alarm(full=now.full) if now.full != was_full else ()))
            return True
        except (Unavailable, UnknownOutcome, Conflict):
            return False  # read back, and say what is so by then

    async def _alarm(self, *, full: bool) -> list[Write]:
        """It is there for as long as the host is full."""
        store, host = self._ports.store, self._ports.host
        if full:
            what = (
                f"the file system of {host} is full: its VMs run on, and nothing can be done to them; make room there"
            )
            return [await raising(store, f"full/{host}", what)]
        known = await store.get(Alarm, f"full/{host}")
        return [] if known is None else [Delete(known)]

    def _now(self, known: Report) -> Report:
        """A turn that was given up stays given up, also by an earlier process."""
        given_up = max(known.given_up, self._given_up)
        health = self._health
        broken = {"read_only": health.read_only, "full": health.full, "down": health.down, "silent": self._silent}
        return msgspec.structs.replace(known, given_up=given_up, **broken)
