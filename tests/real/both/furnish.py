"""Before the story begins: the hosts are online, its groups are there, and its VMs run where the simulator has them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import libvirt

from ave.model.host import HostState
from ave.model.settings import DEFAULTS
from ave.model.vm import VM
from ave.model.work import ENDED, Work, WorkState
from ave.operations import CreateVMs, DescribedGroup, DescribeGroups, EditCluster, StartVMs
from drivers.config import MachineConfig
from drivers.iscsi.pool import Pool
from drivers.libvirt.record import uuid_of
from sim.actions import wanted
from sim.cluster import SimCluster, names_of
from sim.scenario.model import Fleet, Scenario
from tests.real.bed import Bed
from tests.real.bed.guest_image import guest_image
from tests.real.both.stage import Stage
from tests.real.cluster import RealCluster, Told
from tests.real.guests import libvirt_of, wait_for_agent
from tests.real.operator import Operator

ONLINE_SECONDS = 120.0
SETTLED_SECONDS = 120.0


def told(scenario: Scenario, bed: Bed) -> dict[str, Told]:
    """What each host of the bed is told that it is."""
    return {
        real.name: Told(
            shape.name,
            MachineConfig(
                cpus=shape.cpu,
                memory_mib=shape.memory_mib,
                reserve_mib=shape.reserve_mib,
                zone=shape.zone or "",
                networks=shape.networks,
                nics_max=shape.nics,
                volumes_max=shape.volumes,
            ),
            shape.master,
        )
        for real, shape in zip(bed.hosts, scenario.topology.hosts(), strict=True)
    }


async def start_hosts(cluster: RealCluster, operator: Operator) -> None:
    """The first one first: it leads, as it does in the simulator."""
    first, *others = cluster.bed.hosts
    for hosts in ([first], others):
        for host in hosts:
            cluster.start(host)
        names = [cluster.told[host.name].name for host in hosts]

        async def online(names: list[str] = names) -> bool:
            known = await operator.hosts()
            return all(name in known and known[name].state is HostState.ONLINE for name in names)

        await operator.until(online, f"{', '.join(names)} are online", ONLINE_SECONDS)


async def furnish(stage: Stage, scenario: Scenario) -> None:
    if scenario.settings != DEFAULTS:
        settings = scenario.settings
        await done(
            stage,
            "cluster.edit",
            EditCluster(network_failure=settings.network_failure, guest_failure=settings.guest_failure),
        )
    groups = tuple(
        DescribedGroup(id=group.name, rule=group.rule, hosts=group.hosts, zone=group.zone, enabled=group.enabled)
        for group in scenario.groups
    )
    if groups:
        await done(stage, "group.create", DescribeGroups(groups=groups))
    fleets = [each for each in scenario.workload if isinstance(each, Fleet)]
    if fleets:
        await _vms(stage, scenario, fleets)
    await _settled(stage)


async def _vms(stage: Stage, scenario: Scenario, fleets: Sequence[Fleet]) -> None:
    networks = scenario.topology.networks
    vms = tuple(wanted(fleet, name, networks) for fleet in fleets for name in names_of(fleet))
    await done(stage, "vm.create", CreateVMs(vms=vms, start=False))
    image, pool = guest_image(), Pool(stage.bed.storage.pool)
    for vm in vms:
        await asyncio.to_thread(_let_it_boot, pool.path(f"{vm.id}-disk-1"), image.disk)
    places = _places(scenario, fleets)
    for vm in vms:
        await done(stage, "vm.start", StartVMs(vms=(vm.id,), host=places[vm.id]))
    for vm in vms:
        await asyncio.to_thread(_wait_for_guest, stage, vm.id, places[vm.id])


def _places(scenario: Scenario, fleets: Sequence[Fleet]) -> dict[str, str]:
    """Where the simulator has them at time 0."""
    with SimCluster(scenario.topology, seed=scenario.seed) as cluster:
        cluster.power_on(fleets, scenario.groups, scenario.settings)
        return {vm.id: vm.host for vm in cluster.store.ledger.all(VM)}


def _let_it_boot(volume: Path, disk: Path) -> None:
    with volume.open("r+b") as file:
        file.write(disk.read_bytes())


def _wait_for_guest(stage: Stage, vm: str, host: str) -> None:
    with libvirt_of(stage.host(host)) as connection:
        wait_for_agent(connection.lookupByUUIDString(uuid_of(vm)))


async def _settled(stage: Stage) -> None:
    async def nothing_left() -> bool:
        for state in [state for state in WorkState if state not in ENDED]:
            if await stage.operator.find(Work, {"state": state}):
                return False
        return True

    await stage.operator.until(nothing_left, "no Job is left", SETTLED_SECONDS)


async def done(stage: Stage, operation: str, request: object) -> None:
    job = await stage.operator.ask(operation, request)
    assert job.state is WorkState.DONE, f"{operation}: {job.results}\n{stage.cluster.said()}"


libvirt.registerErrorHandler(lambda *_: None, None)  # or each error is also printed
