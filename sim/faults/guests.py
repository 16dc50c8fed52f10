"""VMs and the hypervisor under them."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.sim.guest import Guest
from drivers.sim.machine import Machine
from sim.cluster import SimCluster
from sim.faults.fault import Fault, each_guest, lasting, places
from sim.scenario.catalogue import FaultKind, Parameter

ALL = ("",)  # networks


def _guests(cluster: SimCluster, vms: tuple[str, ...]) -> list[tuple[Machine, Guest]]:
    return [(machine, machine.guests[vm]) for machine, vm in places(cluster, vms)]


def _hang(cluster: SimCluster, process: tuple[Machine, Guest], unkillable: bool | None) -> None:
    machine, guest = process
    if machine.guests.get(guest.vm) is not guest:
        return  # it was killed meanwhile
    if unkillable is None:
        del machine.mute[guest.vm]
    else:
        machine.mute[guest.vm] = unkillable


def _list(cluster: SimCluster, host: str, hides: bool | None) -> None:
    cluster.machines[host].listable = not hides


def _set_down(cluster: SimCluster, host: str, networks: tuple[str, ...] | None) -> None:
    machine = cluster.machines[host]
    machine.networks_down = machine.facts.networks if networks == ALL else networks or ()


def _together(downs: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    return ALL if ALL in downs else tuple(dict.fromkeys(network for down in downs for network in down))


ROWS = (
    Fault(
        kind=FaultKind("vm-crash", "kill -9 of the VM's process", "vm"),
        covers=("F04",),
        begin=each_guest(lambda machine, vm: machine.kill_guest(vm)),
        harms=True,
    ),
    Fault(
        kind=FaultKind("guest-shutdown", "somebody who uses the VM shuts it down from the inside", "vm"),
        covers=("F04",),
        begin=each_guest(lambda machine, vm: machine.shut_down_guest(vm)),
        harms=True,
    ),
    Fault(
        kind=FaultKind(
            "guest-hang",
            "the VM's operating system does nothing any more, until the VM is reset; its process is well",
            "vm",
        ),
        covers=(),
        begin=each_guest(lambda machine, vm: machine.hang_guest(vm)),
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
        begin=lasting("mute", lambda given: bool(given["unkillable"]), _hang, of=_guests),
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
        begin=lasting("networks", lambda given: (str(given.get("network", "")),), _set_down, worst=_together),
        harms=True,
    ),
    Fault(
        kind=FaultKind("listing-fails", "the host's hypervisor does not say what runs there", "host", (), True),
        covers=("F54",),
        begin=lasting("listing", lambda given: True, _list),
    ),
)
