"""VMs and the hypervisor under them."""

from __future__ import annotations

from drivers.sim.machine import Machine
from sim.cluster import SimCluster
from sim.faults.fault import Fault, Given, each, each_guest
from sim.scenario.catalogue import FaultKind, Parameter


def _hang(machine: Machine, vm: str, given: Given) -> None:
    machine.silent[vm] = bool(given["unkillable"])


def _answer(cluster: SimCluster, vms: tuple[str, ...], given: Given) -> None:
    for machine in cluster.machines.values():
        for vm in vms:
            machine.silent.pop(vm, None)


def _hide(machine: Machine, given: Given) -> None:
    machine.listable = False


def _show(machine: Machine, given: Given) -> None:
    machine.listable = True


ROWS = (
    Fault(
        kind=FaultKind(
            "vm-hang",
            "the VM's process answers nobody who would pause, resume, migrate or change it; the guard can freeze it",
            "vm",
            (Parameter("unkillable", "flag", False, phrase="cannot even be killed"),),
            True,
        ),
        covers=("F05",),
        begin=each_guest(_hang),
        end=_answer,
    ),
    Fault(
        kind=FaultKind("listing-fails", "the host's hypervisor does not say what runs there", "host", (), True),
        covers=("F54",),
        begin=each(_hide),
        end=each(_show),
    ),
)
