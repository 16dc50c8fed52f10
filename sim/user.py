"""The user of a simulated cluster: submits operations to whichever host answers, and remembers what was acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.jobs.submit import job_id, submit
from ave.model.vm import VM, Priority, VMState
from ave.operations import CreateVMs, MigrateVMs, NameVMs, NewVM, ShutdownVMs, StartVMs
from drivers.sim.runtime import SimRuntime
from sim.cluster import GIB, SimCluster
from sim.scenario.catalogue import ActionKind, Parameter, Value
from sim.scenario.model import Fleet

RETRY_SECONDS = 5.0
PATIENCE_SECONDS = 600.0  # then the user gives up

Given = Mapping[str, Value]


class Action(msgspec.Struct, frozen=True):
    """A verb of a timeline: its row in the catalogue, the VMs it may be aimed at, and the request it becomes."""

    kind: ActionKind
    states: tuple[VMState, ...]
    request: Callable[[tuple[str, ...], Given], Any]


_HOST = Parameter("host", "text", "", phrase="the target host; chosen by the scheduler if absent")

ACTIONS: dict[str, Action] = {
    action.kind.name: action
    for action in (
        Action(
            ActionKind(
                "vm.create",
                "create more VMs like those of a fleet",
                "none",
                (Parameter("fleet", "text"), Parameter("count", "count", 1, 1, 10_000)),
            ),
            (),
            lambda names, given: None,
        ),
        Action(
            ActionKind("vm.start", "start stopped VMs", "vm", (_HOST,)),
            (VMState.STOPPED,),
            lambda names, given: StartVMs(vms=names, host=str(given.get("host", ""))),
        ),
        Action(
            ActionKind(
                "vm.shutdown", "ask guests to shut down", "vm", (Parameter("seconds", "seconds", 180.0, 1, 3600),)
            ),
            (VMState.RUNNING,),
            lambda names, given: ShutdownVMs(vms=names, seconds=float(given.get("seconds", 180.0))),
        ),
        Action(
            ActionKind("vm.poweroff", "force VMs off", "vm"),
            (VMState.RUNNING,),
            lambda names, given: NameVMs(vms=names),
        ),
        Action(
            ActionKind("vm.migrate", "move running VMs", "vm", (_HOST,)),
            (VMState.RUNNING,),
            lambda names, given: MigrateVMs(vms=names, host=str(given.get("host", ""))),
        ),
        Action(
            ActionKind("vm.delete", "delete VMs and their volumes", "vm"),
            tuple(VMState),
            lambda names, given: NameVMs(vms=names),
        ),
    )
}


class User:
    def __init__(self, cluster: SimCluster, acknowledged: dict[str, None]) -> None:
        self._cluster = cluster
        self._runtime = SimRuntime(cluster.world, "user")
        self._doors = {host: cluster.client(host, self._runtime) for host in cluster.machines}
        self._acknowledged = acknowledged
        self._made: dict[str, int] = {}
        self.asked = 0
        self.given_up = 0

    def spawn(self, name: str, request: Any) -> None:
        """Submit in the background."""
        self.asked += 1
        self._runtime.spawn(self.submit(name, request), name=f"{name}-{self.asked}")

    async def submit(self, operation: str, request: Any) -> str:
        """Ask one host after the other until one takes it; "" when patience is over. What is refused is given up."""
        runtime = self._runtime
        id = job_id(operation, runtime.random)  # drawn once: asking again is not asking twice
        deadline = runtime.now() + PATIENCE_SECONDS
        hosts = tuple(self._doors)
        while runtime.now() < deadline:
            ports, crew = self._doors[hosts[int(runtime.random.random() * len(hosts))]]
            try:
                job = await submit(ports, crew, operation, request, id=id)
            except (Unavailable, UnknownOutcome):
                await runtime.sleep(RETRY_SECONDS)
                continue
            except Refused:
                break
            self._acknowledged[job] = None
            return job
        self.given_up += 1
        return ""

    def create(self, fleet: Fleet, count: int) -> tuple[str, ...]:
        """Ask for more VMs of a fleet; returns their names."""
        first = self._made.get(fleet.fleet, fleet.count if fleet.arrive is None else 0) + 1
        self._made[fleet.fleet] = first + count - 1
        names = tuple(f"{fleet.fleet}-{number}" for number in range(first, first + count))
        self.spawn("vm.create", CreateVMs(vms=tuple(self.new_vm(fleet, name) for name in names)))
        return names

    def new_vm(self, fleet: Fleet, name: str) -> NewVM:
        return NewVM(
            id=name,
            vcpus=fleet.vcpu,
            memory_mib=fleet.memory_mib,
            disks_gib=(max(1, fleet.disk_bytes // GIB),),
            networks=self._cluster.topology.networks[:1],
            ha=fleet.ha,
            priority=Priority(fleet.priority),
            labels={"fleet": fleet.fleet},
        )

    def candidates(self, action: str, fleet: str | None) -> tuple[str, ...]:
        """VMs at which the action can be aimed now, by what the store says."""
        states = ACTIONS[action].states
        vms = self._cluster.store.ledger.find(VM, {}, (), 0, None)
        return tuple(vm.id for vm in vms if vm.state in states and fleet in (None, vm.labels.get("fleet")))
