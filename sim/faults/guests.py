"""VMs and the hypervisor under them."""

from __future__ import annotations

from drivers.sim.machine import Machine
from sim.cluster import SimCluster
from sim.faults.fault import Fault, Given, each, each_guest
from sim.scenario.catalogue import FaultKind, Parameter


def _hang(machine: Machine, vm: str, given: Given) -> None:
    machine.mute[vm] = bool(given["unkillable"])


def _answer(cluster: SimCluster, vms: tuple[str, ...], given: Given) -> None:
    for machine in cluster.machines.values():
        for vm in vms:
            machine.mute.pop(vm, None)


def _hide(machine: Machine, given: Given) -> None:
    machine.listable = False


def _show(machine: Machine, given: Given) -> None:
    machine.listable = True


def _cut_networks(machine: Machine, given: Given) -> None:
    machine.networks_down = (str(given["network"]),) if given.get("network") else machine.facts.networks


def _join_networks(machine: Machine, given: Given) -> None:
    machine.networks_down = ()


ROWS = (
    Fault(
        kind=FaultKind("vm-crash", "kill -9 of the VM's process", "vm"),
        covers=("F04",),
        begin=each_guest(lambda machine, vm, given: machine.kill_guest(vm)),
        harms=True,
    ),
    Fault(
        kind=FaultKind("guest-shutdown", "somebody who uses the VM shuts it down from the inside", "vm"),
        covers=("F04",),
        begin=each_guest(lambda machine, vm, given: machine.shut_down_guest(vm)),
        harms=True,
    ),
    Fault(
        kind=FaultKind(
            "guest-hang",
            "the VM's operating system does nothing any more, until the VM is reset; its process is well",
            "vm",
        ),
        covers=(),
        begin=each_guest(lambda machine, vm, given: machine.hang_guest(vm)),
        harms=True,
    ),
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
        kind=FaultKind(
            "vm-network-loss",
            "a network of VMs carries nothing on the host, or all of them do",
            "host",
            (Parameter("network", "text", ""),),
            True,
        ),
        covers=(),
        begin=each(_cut_networks),
        end=each(_join_networks),
        harms=True,
    ),
    Fault(
        kind=FaultKind("listing-fails", "the host's hypervisor does not say what runs there", "host", (), True),
        covers=("F54",),
        begin=each(_hide),
        end=each(_show),
    ),
)
