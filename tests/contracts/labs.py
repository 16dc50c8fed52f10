"""A few hosts with their hypervisors and their storage, simulated or of real processes: what contracts are tested on."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ave.ports.hypervisor import DomainState, Stamp
from ave.ports.machine import Facts
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.disk import file_name
from drivers.process import guest, life
from drivers.process.birth import PROGRAM
from drivers.process.home import Home
from drivers.process.ports import domains, ports
from drivers.process.power import power_off, power_on
from drivers.process.volumes import Run, Volumes
from drivers.sim.block import SimBlock
from drivers.sim.facts import Started, Wrote
from drivers.sim.guest import Instances
from drivers.sim.hypervisor import SimHypervisor
from drivers.sim.machine import Machine
from drivers.sim.network import Network
from drivers.sim.runtime import SimRuntime, World
from drivers.sim.storage import Storage

WAIT_SECONDS = 20.0
EXCLUSIVE_CPUS = 4  # of each host
MEMBERS = ("a", "b", "c")  # of the storage's meta service; "a" leads it
HOSTS = (*MEMBERS, "d")


def facts(host: str, exclusive_cpus: int = EXCLUSIVE_CPUS) -> Facts:
    return Facts(
        host=host,
        boot="",
        cpus=8,
        memory_mib=65536,
        reserve_mib=0,
        zone="",
        primary=False,
        master=host in MEMBERS,
        cpu_model="any",
        networks=(),
        exclusive_cpus=exclusive_cpus,
    )


LATER = 1000  # than every epoch of these tests


class SimLab:
    def __init__(self, _: Path, finish: Callable[..., Any]) -> None:
        self.finish = finish
        self.world = World(seed=1)
        self.network = Network(HOSTS)
        self.facts: list[Any] = []
        self.storage = Storage(self.world, self.network, MEMBERS, self.facts.append)
        instances = Instances()
        self.machines = {
            host: Machine(self.world, self.network, self.storage, self.facts.append, instances, facts(host), {})
            for host in HOSTS
        }
        self.runtimes = {host: SimRuntime(self.world, host) for host in HOSTS}
        self._ports: dict[str, tuple[Any, Any]] = {}
        for host, machine in self.machines.items():
            runtime = self.runtimes[host]
            self._ports[host] = (
                SimHypervisor(machine, runtime, self.machines),
                SimBlock(self.storage, runtime, host),
            )
            self.power_on(host)

    def close(self) -> None:
        self.world.close()

    def call(self, host: str, port: int, verb: str, *given: Any, **named: Any) -> Any:
        call = getattr(self._ports[host][port], verb)(*given, **named)
        return self.finish(self.world, self.runtimes[host].spawn(call, name=verb))

    def dedicate(self) -> int:
        """CPUs of each host to pinned VMs; how many."""
        return EXCLUSIVE_CPUS

    def idle(self, seconds: float) -> None:
        async def idle() -> None:
            await self.runtimes["a"].sleep(seconds)

        self.finish(self.world, self.runtimes["a"].spawn(idle(), name="idle"))

    def grow(self, volume: str, size_gib: int) -> None:
        self.storage.volumes[volume].size_gib = size_gib

    def seen_gib(self, host: str, vm: str, volume: str) -> int:
        """As its guest sees it."""
        return self.machines[host].guests[vm].sizes[volume]

    def place(self, volume: str, owner: str, epoch: int) -> None:
        self.storage.place(volume, 1, owner, epoch)

    def write(self, volume: str, host: str, epoch: int) -> bool:
        before = len(self.facts)
        self.storage.accept(host, [(volume, "vm", epoch, epoch, 0)])
        return any(isinstance(fact, Wrote) for fact in self.facts[before:])

    def volumes(self) -> list[str]:
        return list(self.storage.volumes)

    def started(self) -> int:
        return sum(isinstance(fact, Started) for fact in self.facts)

    def power_off(self, host: str) -> None:
        self.machines[host].power_off()

    def kill_guest(self, host: str, vm: str) -> None:
        """Its process dies."""
        self.machines[host].kill_guest(vm)

    def shut_down_guest(self, host: str, vm: str) -> None:
        """From the inside."""
        self.machines[host].shut_down_guest(vm)

    def power_on(self, host: str) -> None:
        self.machines[host].power_on()
        self.begin_lease(host)

    def begin_lease(self, host: str) -> None:
        self.machines[host].held_until = float("inf")  # it does not end by itself

    def end_lease(self, host: str) -> None:
        self.machines[host].held_until = self.machines[host].clock.now()


class ProcessLab:
    """Everything in one folder and one process; but VMs are processes of their own."""

    def __init__(self, root: Path, _: Callable[..., Any] | None = None) -> None:
        self.root = root
        self.runner = asyncio.Runner()
        self.runtime = self.runner.run(self._runtime_here())
        for host in HOSTS:
            self.power_on(host)
        self._ports = {host: ports(root, host, self.runtime, None) for host in HOSTS}  # type: ignore[arg-type]
        self.call("a", 1, "join", "a", "boot")
        self.call("a", 1, "renew", "a", "boot")

    async def _runtime_here(self) -> AsyncioRuntime:
        return AsyncioRuntime("lab")

    def close(self) -> None:
        self.runner.close()
        for host in HOSTS:
            power_off(self.root, host)
        assert self.guests() == [], "a VM has outlived its host"

    def call(self, host: str, port: int, verb: str, *given: Any, **named: Any) -> Any:
        there = self._ports[host]
        return self.run(getattr((there.hypervisor, there.block)[port], verb)(*given, **named))

    def run(self, call: Any, limit: float = 30.0) -> Any:
        return self.runner.run(asyncio.wait_for(call, limit))

    def dedicate(self) -> int:
        return EXCLUSIVE_CPUS

    def idle(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    def grow(self, volume: str, size_gib: int) -> None:
        Volumes(self.root).grow(volume, size_gib, Stamp(epoch=LATER))

    def seen_gib(self, host: str, vm: str, volume: str) -> int:
        return Volumes(self.root)._known(volume).size_gib

    def place(self, volume: str, owner: str, epoch: int) -> None:
        volumes, stamp = Volumes(self.root), Stamp(epoch=epoch)
        volumes.detach(volume, Stamp(epoch=LATER))
        volumes.delete(volume, stamp)
        volumes.create(volume, 1, stamp)
        volumes.attach(volume, owner or "nobody", stamp)
        if not owner:
            volumes.detach(volume, stamp)

    def write(self, volume: str, host: str, epoch: int) -> bool:
        return guest.write(Volumes(self.root).path(volume), file_name(host), epoch, instance=epoch)

    def volumes(self) -> list[str]:
        return list(Volumes(self.root).names())

    def started(self) -> int:
        numbers = self.root / "instances"
        return int(numbers.read_text()) if numbers.exists() else 0

    def power_off(self, host: str) -> None:
        power_off(self.root, host)

    def kill_guest(self, host: str, vm: str) -> None:
        self._end_guest(host, vm, signal.SIGKILL)

    def shut_down_guest(self, host: str, vm: str) -> None:
        self._end_guest(host, vm, signal.SIGTERM)

    def _end_guest(self, host: str, vm: str, how: signal.Signals) -> None:
        here = domains(self.root, host).look(vm)
        assert here is not None
        life.send(here.life, how)
        wait_for(lambda: not life.is_there(here.life), f"{vm} ends")

    def power_on(self, host: str) -> None:
        power_on(self.root, facts(host))
        self.begin_lease(host)

    def begin_lease(self, host: str) -> None:
        Home(self.root, host).hold_until(float("inf"), 0)

    def end_lease(self, host: str) -> None:
        Home(self.root, host).hold_until(self.runtime.now(), 0)

    def runs(self, volume: str) -> tuple[Run, ...]:
        """Who wrote to the volume, one after the other."""
        return Volumes(self.root).runs(volume)

    def guests(self) -> list[life.Life]:
        """Every VM's process under this folder, known to anybody or not."""
        return [
            found
            for found, words in life.running([PROGRAM])
            if words and words[0].startswith(str(self.root.absolute()))
        ]


def wait_for(come: Callable[[], Any], what: str, seconds: float = WAIT_SECONDS) -> None:
    """For what another process does in its own time."""
    ends = time.monotonic() + seconds
    while not come():
        assert time.monotonic() < ends, f"not within {seconds} s: {what}"
        time.sleep(0.01)


LABS: dict[str, Any] = {"sim": SimLab, "process": ProcessLab}
RUNNING, PAUSED = DomainState.RUNNING, DomainState.PAUSED
SUSPENDED, INCOMING = DomainState.SUSPENDED, DomainState.INCOMING
