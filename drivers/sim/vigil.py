"""The Machine port of one process on a simulated server."""

from __future__ import annotations

from ave.ports.hypervisor import DomainState
from ave.ports.machine import Facts, Health
from drivers.sim import physics
from drivers.sim.machine import NODE, Machine
from drivers.sim.runtime import SimRuntime


class SimMachine:
    def __init__(self, machine: Machine, runtime: SimRuntime) -> None:
        self._machine, self._runtime = machine, runtime
        self._since = machine.world.now
        self._changed = runtime.signal()
        self._lifeless = runtime.signal()
        machine.health_hearers[runtime.name] = self._changed.set
        machine.life_hearers[runtime.name] = self._lifeless.set

    async def facts(self) -> Facts:
        await self._runtime.sleep(physics.DISK_SECONDS)
        return self._machine.facts

    async def health(self, unlike: Health | None = None) -> Health:
        while self._machine.health == unlike:
            self._changed.clear()
            await self._changed.wait()
        await self._runtime.sleep(physics.DISK_SECONDS)
        return self._machine.health

    def hold_until(self, moment: float, epoch: int) -> None:
        self._machine.held_until, self._machine.held_for = moment, epoch

    def held_until(self) -> float:
        return self._machine.held(self._since)[0]

    def held_for(self) -> int:
        return self._machine.held()[1]

    async def lapse(self, grace: float = 0.0) -> None:
        machine, runtime = self._machine, self._runtime

        def left() -> float:
            return self.held_until() + grace - runtime.now()

        while (seconds := left()) > 0:
            lull = machine.storage.lull_of(machine.name)
            await (runtime.sleep(seconds) if lull is None else lull.lapse(left))

    async def freeze(self) -> int:
        await self._runtime.sleep(self._machine.hardware.pause)
        running = [g for g in self._machine.guests.values() if g.state is DomainState.RUNNING]
        for guest in running:
            self._machine.pause(guest)
        return len(running)

    async def live(self) -> None:
        """It does for as long as it is not seen to hang."""
        await self._runtime.signal().wait()

    async def hung(self, seconds: float) -> None:
        while True:
            self._lifeless.clear()
            since = self._machine.lifeless_since
            if since is None:
                await self._lifeless.wait()
            elif (left := since + seconds - self._runtime.now()) > 0:
                await self._runtime.sleep(left)
            else:
                return

    async def end_node(self) -> None:
        await self._runtime.sleep(physics.DISK_SECONDS)
        if self._machine.lifeless_since is not None and NODE in self._machine.running:
            self._machine.kill(NODE)
