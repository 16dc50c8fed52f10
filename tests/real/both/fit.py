"""Whether a scenario can be played on the bed: everything that stands against it, before anything is started."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ave.errors import Refused
from sim.scenario.model import Event, Fleet, Forever, Scenario
from tests.real.bed.guest_image import MEMORY_MIB
from tests.real.both.faults import ROWS

HOSTS, VMS, VM_MIB = 3, 8, 512  # guests are emulated: few, and small
LONGEST_SECONDS = 600.0
DISK_GIB = 4


class Unfit(Refused):
    """Why not, a line for each reason."""


def require_fit(scenario: Scenario, file: Path) -> None:
    if reasons := list(against(scenario)):
        lines = "".join(f"\n  {reason}" for reason in reasons)
        raise Unfit(f"{file}: the bed cannot play {scenario.metadata.name}; ave sim run can:{lines}")


def against(scenario: Scenario) -> Iterator[str]:
    if scenario.mode != "cluster":
        yield f"mode {scenario.mode}: nothing runs there"
    if scenario.duration > LONGEST_SECONDS:
        yield f"it takes {scenario.duration:g} s, and the bed plays {LONGEST_SECONDS:g} s at most"
    yield from _against_hosts(scenario)
    yield from _against_vms(scenario)
    for number, event in enumerate(scenario.timeline):
        yield from (f"timeline[{number}]: {reason}" for reason in _against_event(event))
    if scenario.thresholds or scenario.arms:
        yield "it has thresholds or arms, which are about the simulated world: expect is judged in both"


def _against_hosts(scenario: Scenario) -> Iterator[str]:
    topology = scenario.topology
    if topology.size > HOSTS:
        yield f"it has {topology.size} hosts, and the bed has {HOSTS}"
    if topology.witness:
        yield "a witness: the bed's storage box is the storage's only member"
    if topology.primary:
        yield "a primary zone: the hosts of the bed stand in one place"
    if any(shape.cpu_model != "any" for shape in topology.shapes):
        yield "a CPU model: all hosts of the bed are one machine"
    if any(shape.exclusive_cpus for shape in topology.shapes):
        yield "CPUs for pinned VMs: the hosts of the bed share the machine's"


def _against_vms(scenario: Scenario) -> Iterator[str]:
    fleets = [each for each in scenario.workload if isinstance(each, Fleet)]
    if len(fleets) < len(scenario.workload):
        yield "a generator or a trace: the bed plays fleets"
    if any(fleet.arrive is not None for fleet in fleets):
        yield "a fleet that arrives by chance: let the timeline create VMs"
    if any(not isinstance(fleet.life, Forever) for fleet in fleets):
        yield "a fleet whose VMs are deleted by chance: let the timeline delete them"
    standing = sum(fleet.count for fleet in fleets)
    if standing > VMS:
        yield f"it has {standing} VMs, and the bed takes {VMS}"
    for fleet in fleets:
        if not MEMORY_MIB <= fleet.memory_mib <= VM_MIB:
            yield f"fleet {fleet.fleet}: {fleet.memory_mib} MiB of memory; a guest of the bed has {MEMORY_MIB} to {VM_MIB}"
        if fleet.disk_bytes > DISK_GIB << 30:
            yield f"fleet {fleet.fleet}: a disk of more than {DISK_GIB} GiB"


def _against_event(event: Event) -> Iterator[str]:
    if event.kind == "action":
        if event.name == "job.cancel":
            yield "job.cancel: which Job is the newest is a matter of chance on the bed"
        for key in [key for key in ("flag", "key") if event.parameters.get(key)]:
            yield f"{event.name} with {key}: the bed's user asks once, and enters no queue"
        return
    row = ROWS.get(event.name)
    if row is None:
        yield f"{event.name} has no row in tests/real/both/faults.py: the bed cannot do it"
        return
    for key, value in row.only:
        if event.parameters.get(key) != value:
            yield f"{event.name} on the bed needs {key}: {value}"
