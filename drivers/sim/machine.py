"""A simulated server: its power, clock, processes, domains, initiator and local disk."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from enum import StrEnum

import msgspec

from ave.model.vm import VM
from ave.ports.hypervisor import DomainState, End, Ended
from ave.ports.machine import Facts, Health
from drivers import pinning
from drivers.rights import Rights
from drivers.sim.facts import Gone, Paused, Powered, Resumed, Started, Thawed, Witness
from drivers.sim.guest import Guest, Instances
from drivers.sim.initiator import Initiator
from drivers.sim.network import Network
from drivers.sim.physics import SERVERS, Hardware
from drivers.sim.runtime import HostClock, SimRuntime, World
from drivers.sim.storage import Storage

NODE = "node"


class Phase(StrEnum):
    """Of a migration, as its source goes through them."""

    BEGIN = "begin"  # the target has a domain, and no memory
    COPY = "copy"  # half of the memory is there
    SWITCH_OVER = "switch-over"  # the source is paused, and the rest is on its way
    FINISH = "finish"  # all is there, and the target is told to go on


class Machine:
    def __init__(
        self,
        world: World,
        network: Network,
        storage: Storage,
        witness: Witness,
        instances: Instances,
        facts: Facts,
        processes: dict[str, Callable[[Machine, SimRuntime], None]],
        hardware: Hardware = SERVERS,
    ) -> None:
        self.hardware = hardware
        self.world, self.network, self.storage = world, network, storage
        self.witness, self.instances = witness, instances
        self.name = facts.host
        self.facts = facts
        self.clock = HostClock(world, self.name)
        self.guests: dict[str, Guest] = {}
        self.rights: dict[str, Rights] = {}  # on the local disk: those accepted per VM
        self._held_until = 0.0
        self.held_for = 0  # the epoch of this host for which it is held
        self._torn_at: float | None = None  # when the file of the hold was damaged, until it is written anew
        self.disk_factor = 1.0
        self.probed = True  # does anybody judge what its guests write?
        self.dirty_factor = 1.0  # how many times faster its guests rewrite their memory
        self.mute: dict[str, bool] = {}  # VMs whose process answers nobody -> can it not even be killed?
        self.listable = True  # does the hypervisor say what is here?
        self.at_phase: Callable[[Phase, str], None] | None = None  # told of each migration's phases, and its target
        self.ended: dict[str, Ended] = {}  # VM -> how its domain here ended by itself
        self.hearers: dict[str, Callable[[], None]] = {}  # process -> what tells it that one did
        self._health = Health()
        self.health_hearers: dict[str, Callable[[], None]] = {}  # process -> what tells it that it is another
        self.hush_hearers: dict[str, Callable[[], None]] = {}  # process -> what tells it of a silent guest
        self.lifeless_since: float | None = None  # on its clock: since when its node shows no sign of life
        self.life_hearers: dict[str, Callable[[], None]] = {}  # process -> what tells it that it shows none
        self.sending: list[SimRuntime] = []  # whose migrations share the line: one entry for each
        self.powered = False
        self.running: dict[str, SimRuntime] = {}
        self._processes = processes
        self._boots = self._losses = 0
        self._launches = 0
        self._still: list[Guest] = []  # ran when the host was stalled
        self._stands = False  # is the host stalled?
        self._stalled: dict[str, None] = {}  # processes that are stalled by themselves
        self._physical = SimRuntime(world, f"{self.name}/machine", self.clock)
        self.initiator = Initiator(self)

    # Power and processes

    def power_on(self) -> None:
        """The machine has booted: a new boot id, no guests, fresh processes."""
        if self.powered:
            return
        self._boots += 1
        self.powered = True
        self.held_until, self.held_for = self.clock.now(), 0
        self.ended.clear()
        self.facts = msgspec.structs.replace(self.facts, boot=f"{self.name}/boot-{self._boots}")
        self._physical = SimRuntime(self.world, f"{self.name}/machine-{self._boots}", self.clock)
        self.network.set_power(self.name, on=True)
        self.witness(Powered(self.name, True))
        if self.probed:
            self._physical.spawn(self.initiator.write_for_ever(self._physical), name="guest writes")
        for process in self._processes:
            self._launch(process)

    def power_off(self) -> None:
        """Nothing of it runs any more; what its initiator had queued is gone, what was on its wires may arrive."""
        self._losses += 1
        if not self.powered:
            return
        self.powered = self._stands = False
        self.witness(Powered(self.name, False))
        for runtime in self.running.values():
            runtime.kill()
        self._physical.kill()
        self.running.clear()
        self._stalled.clear()
        self.lifeless_since = None
        self.initiator.lose_power()
        self.sending.clear()
        for guest in list(self.guests.values()):
            self.remove(guest)
        self.network.set_power(self.name, on=False)

    def restart(self, seconds: float, *, boots: bool = True) -> None:
        """Power on again after this long, plus the time a machine takes to boot, unless that is in it, or it loses power."""
        low, high = self.hardware.machine_boot if boots else (0.0, 0.0)
        losses = self._losses
        wait = SimRuntime(self.world, f"{self.name}/power-{self._boots}")

        async def boot() -> None:
            await wait.sleep(seconds + low + (high - low) * wait.random.random())
            if self._losses == losses:
                self.power_on()

        wait.spawn(boot(), name="boot")

    def kill(self, process: str) -> None:
        """``kill -9``; its supervisor starts it again within seconds."""
        self._stalled.pop(process, None)
        self._revive(process)
        self.running.pop(process).kill()
        low, high = self.hardware.process_restart

        async def supervise() -> None:
            await self._physical.sleep(low + (high - low) * self._physical.random.random())
            self._launch(process)

        self._physical.spawn(supervise(), name=f"restart {process}")

    @property
    def migrations(self) -> int:
        """How many are sent from here. Those of a process that was killed are not: it cannot even say that they ended."""
        return sum(not runtime.dead for runtime in self.sending)

    def stall(self) -> None:
        """The whole host stands still: its guests too, and whatever others would ask of it."""
        if not self.powered or self._stands:
            return
        self._stands = True
        self.network.set_power(self.name, on=False)
        self._still = [guest for guest in self.guests.values() if guest.state is DomainState.RUNNING]
        for guest in self._still:
            self.witness(Paused(guest.vm, self.name, guest.instance))
        for runtime in (*self.running.values(), self._physical):
            runtime.halt()

    def unstall(self) -> None:
        if not self._stands:
            return  # it lost power meanwhile, or never stood
        self._stands = False
        self.network.set_power(self.name, on=True)
        self.witness(Thawed(self.name))
        for guest in self._still:
            if self.guests.get(guest.vm) is guest:
                self.witness(Resumed(guest.vm, self.name, guest.instance, guest.epoch))
        self._still = []
        going_on = [runtime for process, runtime in self.running.items() if process not in self._stalled]
        for runtime in (*going_on, self._physical):
            runtime.resume()

    def works(self, process: str) -> bool:
        """Is there such a process, and does it not stand still?"""
        return process in self.running and process not in self._stalled and not self._stands

    def stall_process(self, process: str, *, seen: bool = False) -> None:
        """It hangs; everything else on the host goes on. Only if it is seen that a node does, it shows no sign of life."""
        if process in self.running:
            self._stalled[process] = None
            self.running[process].halt()
            if process == NODE:
                self.lifeless_since = self.clock.now() if seen else None
            if seen and process == NODE:
                for tell in self.life_hearers.values():
                    tell()

    def unstall_process(self, process: str) -> None:
        if process in self._stalled:
            del self._stalled[process]
            self._revive(process)
            if not self._stands:
                self.running[process].resume()

    def _revive(self, process: str) -> None:
        if process == NODE:
            self.lifeless_since = None

    def _launch(self, process: str) -> None:
        name = f"{self.name}/{process}"
        runtime = SimRuntime(self.world, name, self.clock)
        self._launches += 1  # each start draws from a stream of its own, or it would repeat the last one's ids
        runtime.random = self.world.random_for(f"{name}/{self._launches}")
        self.running[process] = runtime
        self._processes[process](self, runtime)

    @property
    def held_until(self) -> float:
        """Until when, on its clock, VMs may run."""
        if (lull := self.storage.lull_of(self.name)) is not None:
            lull.count()  # by which it is moved on
        return self._held_until

    @held_until.setter
    def held_until(self, moment: float) -> None:
        self._held_until, self._torn_at = moment, None

    def held(self, since: float = math.inf) -> tuple[float, int]:
        """The hold as it can be read, and was since then: what is damaged is over. Who has read it before knows it."""
        moment = self.held_until
        return (moment, self.held_for) if self._torn_at is None or since < self._torn_at else (0.0, 0)

    def tear_hold(self) -> None:
        """A bit of its file flips; the next renewal writes it anew."""
        if self.powered and self.held()[1]:
            self._torn_at = self.world.now

    # Guests

    def add(self, vm: VM, epoch: int, *, incoming: bool, job: str = "") -> Guest:
        state = DomainState.INCOMING if incoming else DomainState.RUNNING
        self.ended.pop(vm.id, None)
        guest = Guest(vm, self.instances.take(), epoch, state)
        guest.cpus = self.free_cpus(guest.exclusive_cpus)
        guest.since = self.clock.now()
        self.initiator.stir()
        self.guests[vm.id] = guest
        self.plug(guest, vm)
        self.witness(Started(vm.id, self.name, guest.instance, epoch, vm.memory_mib, incoming, job))
        return guest

    def free_cpus(self, many: int) -> tuple[int, ...]:
        """So many for a VM alone; none if there are not enough."""
        if not many:
            return ()
        exclusive, _ = pinning.divided(range(self.facts.cpus), self.facts.exclusive_cpus)
        return pinning.chosen(many, exclusive, {cpu for guest in self.guests.values() for cpu in guest.cpus})

    def plug(self, guest: Guest, vm: VM) -> None:
        """Its devices are those of the VM; on a volume that is new to it, it looks up where its records end."""
        guest.plug(vm)
        seen, guest.sizes = guest.sizes, {}
        for name in guest.volumes:
            if (volume := self.storage.volumes.get(name)) is not None:
                guest.sizes[name] = seen.get(name, volume.size_gib)
                if name not in guest.records:
                    guest.records[name] = volume.records.last(vm.id)

    def remove(self, guest: Guest, itself: End | None = None) -> None:
        if self.guests.get(guest.vm) is guest:
            self.initiator.stir()
            del self.guests[guest.vm]
            self.mute.pop(guest.vm, None)
            self._hush(guest)
            self.witness(Gone(guest.vm, self.name, guest.instance, itself or ""))

    def kill_guest(self, vm: str) -> None:
        """``kill -9`` of its process."""
        self._end(vm, End.CRASHED)

    def shut_down_guest(self, vm: str) -> None:
        """Whoever uses it shuts it down from the inside."""
        if (guest := self.guests.get(vm)) is not None and guest.state is DomainState.RUNNING:
            self._end(vm, End.SHUTDOWN)

    def hang_guest(self, vm: str) -> None:
        """Its operating system does nothing any more. It cannot be asked to shut down, and is well after a reset."""
        if (guest := self.guests.get(vm)) is not None and guest.hung_at is None:
            guest.hung_at = self.clock.now()
            self._hush(guest)

    def _hush(self, guest: Guest) -> None:
        """Of a guest that says nothing something has changed: who listens looks again."""
        if guest.hung_at is not None:
            for tell in self.hush_hearers.values():
                tell()

    def _end(self, vm: str, how: End) -> None:
        if (guest := self.guests.get(vm)) is None:
            return
        self.ended[vm] = Ended(vm=vm, epoch=guest.epoch, end=how)
        self.remove(guest, how)
        for tell in self.hearers.values():
            tell()

    # Health

    @property
    def read_only(self) -> bool:
        """Does its file system take no writes? What runs runs on; nothing new can be started."""
        return self._health.read_only

    @read_only.setter
    def read_only(self, value: bool) -> None:
        self.health = msgspec.structs.replace(self._health, read_only=value)

    @property
    def full(self) -> bool:
        """Is there no room on its file system? What must be written down before it is done cannot be done; the hold and the
        signs of life are on one of their own."""
        return self._health.full

    @full.setter
    def full(self, value: bool) -> None:
        self.health = msgspec.structs.replace(self._health, full=value)

    @property
    def networks_down(self) -> tuple[str, ...]:
        """Networks of VMs that carry nothing here."""
        return self._health.down

    @networks_down.setter
    def networks_down(self, names: Iterable[str]) -> None:
        self.health = msgspec.structs.replace(self._health, down=tuple(names))

    @property
    def health(self) -> Health:
        return self._health

    @health.setter
    def health(self, health: Health) -> None:
        self._health = health
        for tell in self.health_hearers.values():
            tell()

    def pause(self, guest: Guest) -> None:
        if guest.state is DomainState.RUNNING and self.guests.get(guest.vm) is guest:
            guest.state = DomainState.PAUSED
            guest.ran += self.clock.now() - guest.since
            self._hush(guest)
            self.witness(Paused(guest.vm, self.name, guest.instance))

    def suspend(self, guest: Guest) -> None:
        if self.guests.get(guest.vm) is guest:
            self.pause(guest)
            guest.state = DomainState.SUSPENDED

    def resume(self, guest: Guest, epoch: int) -> None:
        if self.guests.get(guest.vm) is not guest:
            return  # destroyed meanwhile
        moment, epoch_held = self.held()
        if self.clock.now() >= moment or guest.host_epoch != epoch_held:  # the guard holds everything here
            if guest.state is DomainState.SUSPENDED:
                guest.state = DomainState.PAUSED
            return
        guest.epoch = epoch
        if guest.state is not DomainState.RUNNING:
            guest.state = DomainState.RUNNING
            guest.since = self.clock.now()
            self._hush(guest)
            self.witness(Resumed(guest.vm, self.name, guest.instance, epoch))
