"""A simulated cluster: the control plane's own nodes, put together on simulated drivers. The other composition root."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import msgspec

from ave.guard import run_guard
from ave.ha.lease import new_host
from ave.ha.timing import PROFILES, Timing
from ave.jobs.crew import Crew
from ave.kinds import KINDS
from ave.model.group import Group as PlacementGroup
from ave.model.group import GroupState
from ave.model.host import HostState, Zone
from ave.model.settings import DEFAULTS, Settings
from ave.model.states import move
from ave.model.vm import VM, Priority, VMState
from ave.model.volume import Volume, VolumeState
from ave.node import run_node
from ave.placement.batch import place_batch
from ave.placement.purpose import Purpose
from ave.placement.view import View
from ave.ports.machine import Facts
from ave.ports.store import Insert, Write
from ave.ports.together import Ports
from drivers.sim.block import SimBlock
from drivers.sim.guest import Instances
from drivers.sim.hypervisor import SimHypervisor
from drivers.sim.machine import Machine
from drivers.sim.network import Network
from drivers.sim.physics import HARDWARE
from drivers.sim.runtime import SimRuntime, World
from drivers.sim.storage import Storage
from drivers.sim.store import ReplicaSet, SimStore
from drivers.sim.vigil import SimMachine
from sim.scenario.model import Fleet, Group, Topology
from sim.scenario.model import Host as HostShape

GIB = 2**30


class SimCluster:
    """Close it, or use it as a context manager: see ``World.close``."""

    def __init__(self, topology: Topology, *, seed: int, timing: Timing = PROFILES["seed"], lazy: bool = True) -> None:
        self.world = World(seed)
        self.topology = topology
        self.timing = timing
        self.listeners: list[Callable[[Any], None]] = []
        self.impaired: dict[
            tuple[str, Hashable], list[Any]
        ] = {}  # what of whom -> how, by each fault that is under way
        shapes = topology.hosts()
        names = [shape.name for shape in shapes]
        preferred = [
            shape.name for shape in shapes if shape.master and topology.primary and shape.zone == topology.primary
        ]
        masters = [*preferred, *(shape.name for shape in shapes if shape.master and shape.name not in preferred)]
        self.network = Network(names)
        hardware = HARDWARE[topology.hardware]
        self.storage = Storage(self.world, self.network, masters, self.witness, preferred, lazy=lazy, hardware=hardware)
        self.store = ReplicaSet(self.world, self.network, masters, KINDS, preferred)
        instances = Instances()
        #: What each host runs; one who adds to it does so before they are powered on.
        self.processes: dict[str, Callable[[Machine, SimRuntime], None]] = {"guard": self._guard, "node": self._node}
        self.machines: dict[str, Machine] = {}
        for shape in shapes:
            facts = _facts(shape, topology)
            self.machines[shape.name] = Machine(
                self.world, self.network, self.storage, self.witness, instances, facts, self.processes, hardware
            )

    def __enter__(self) -> SimCluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the world. Nobody judges or records what its coroutines do on their way out."""
        self.listeners.clear()
        self.store.ledger.listeners.clear()
        self.world.close()

    def witness(self, fact: Any) -> None:
        for listener in self.listeners:
            listener(fact)

    def power_on(
        self, fleets: Sequence[Fleet] = (), groups: Sequence[Group] = (), settings: Settings = DEFAULTS
    ) -> None:
        """Begin at time 0 with every host online and joined, and these fleets running on them by the rules of the groups."""
        view = View()
        if settings != DEFAULTS:
            self.store.ledger.commit([Insert(settings)], 0.0)
        for machine in self.machines.values():
            boot = f"{machine.name}/boot-1"
            self.storage.grant(machine.name, boot)
            host = new_host(msgspec.structs.replace(machine.facts, boot=boot))
            host = move(host, HostState.ONLINE, "there from the start")
            self.store.ledger.commit([Insert(host)], 0.0)
            view.put_host(msgspec.structs.replace(host, version=1))
        for name in self.topology.zones:
            zone = Zone(id=name, primary=name == self.topology.primary)
            self.store.ledger.commit([Insert(zone)], 0.0)
            view.put_zone(zone)
        for each in groups:
            group = _group(each, fleets)
            self.store.ledger.commit([Insert(group)], 0.0)
            view.bonds.put(group)
        running = [vm for fleet in fleets for vm in self._seed(view, fleet)]
        for machine in self.machines.values():
            machine.power_on()
            machine.held_until, machine.held_for = machine.clock.now() + self.timing.give_up, 1
        for vm in running:
            self.machines[vm.host].add(vm, vm.epoch, incoming=False)

    def ports(self, host: str, runtime: SimRuntime) -> Ports:
        machine = self.machines[host]
        return Ports(
            host,
            runtime,
            SimStore(self.store, runtime, host),
            SimHypervisor(machine, runtime, self.machines),
            SimBlock(self.storage, runtime, host),
            SimMachine(machine, runtime),
        )

    def client(self, host: str, runtime: SimRuntime) -> tuple[Ports, Crew]:
        """What a user's request meets on that host."""
        store = SimStore(self.store, runtime, host)
        ports = Ports(host, runtime, store, None, None, None)  # type: ignore[arg-type]
        return ports, Crew(ports)

    def _node(self, machine: Machine, runtime: SimRuntime) -> None:
        ports = self.ports(machine.name, runtime)
        runtime.spawn(run_node(ports, master=machine.facts.master, timing=self.timing), name="main")

    def _guard(self, machine: Machine, runtime: SimRuntime) -> None:
        runtime.spawn(run_guard(runtime, SimMachine(machine, runtime)), name="main")

    def _seed(self, view: View, fleet: Fleet) -> list[VM]:
        """VMs that exist before the story begins: placed by the same rules, recorded as a finished start would be."""
        running = []
        vms = [new_vm(fleet, name, self.topology.networks) for name in names_of(fleet)]
        batch = place_batch(view, vms, Purpose.START)
        for refusal in batch.refused.values():
            raise refusal
        for vm in vms:
            host = batch.placed[vm.id].host
            vm = msgspec.structs.replace(vm, host=host, host_epoch=1, epoch=1)
            for state in (VMState.STOPPED, VMState.STARTING, VMState.RUNNING):
                vm = move(vm, state, "there from the start")
            volume = Volume(id=vm.volumes[0], size_gib=max(1, fleet.disk_bytes // GIB), vm=vm.id)
            volume = move(volume, VolumeState.READY, "there from the start")
            writes: list[Write] = [Insert(vm), Insert(volume)]
            self.store.ledger.commit(writes, 0.0)
            self.storage.place(volume.id, volume.size_gib, host, epoch=1)
            view.put_vm(vm)
            running.append(vm)
        return running


def names_of(fleet: Fleet) -> list[str]:
    """Its VMs of time 0."""
    return [f"{fleet.fleet}-{number}" for number in range(1, fleet.count + 1)]


def _group(group: Group, fleets: Sequence[Fleet]) -> PlacementGroup:
    return PlacementGroup(
        id=group.name,
        state=GroupState.ENABLED if group.enabled else GroupState.DISABLED,
        story=("there from the start",),
        rule=group.rule,
        vms=tuple(name for fleet in fleets if group.name in fleet.groups for name in names_of(fleet)),
        hosts=group.hosts,
        zone=group.zone,
    )


def new_vm(fleet: Fleet, id: str, networks: tuple[str, ...]) -> VM:
    return VM(
        id=id,
        vcpus=fleet.vcpu,
        memory_mib=fleet.memory_mib,
        volumes=(f"{id}-disk-1",),
        networks=fleet.networks or networks[:1],
        cpu_model=fleet.cpu_model,
        pinned=fleet.pinned,
        ha=fleet.ha,
        priority=Priority(fleet.priority),
        labels={"fleet": fleet.fleet},
    )


def _facts(shape: HostShape, topology: Topology) -> Facts:
    return Facts(
        host=shape.name,
        boot="",
        cpus=shape.cpu,
        memory_mib=shape.memory_mib,
        reserve_mib=shape.reserve_mib,
        zone=shape.zone or "",
        primary=shape.zone is not None and shape.zone == topology.primary,
        master=shape.master,
        cpu_model=shape.cpu_model,
        networks=shape.networks,
        exclusive_cpus=shape.exclusive_cpus,
        nics_max=shape.nics,
        volumes_max=shape.volumes,
    )
