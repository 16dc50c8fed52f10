"""What can be done to a simulated world: one table, by theme. A fault is a row, with how it begins and how it may end."""

from __future__ import annotations

from drivers.sim.facts import Disturbed
from sim.cluster import SimCluster
from sim.faults import clocks, guests, migration, network, power, processes, rescue, storage, store
from sim.faults.fault import Fault, Given, Undo

__all__ = ["FAULTS", "THEME_OF", "Fault", "Given", "Undo", "begin"]

THEMES = (power, processes, network, storage, store, clocks, guests, migration, rescue)
FAULTS: dict[str, Fault] = {fault.kind.name: fault for theme in THEMES for fault in theme.ROWS}
THEME_OF = {fault.kind.name: theme.__name__.rpartition(".")[2] for theme in THEMES for fault in theme.ROWS}


def begin(cluster: SimCluster, name: str, names: tuple[str, ...], given: Given, *, lasting: bool) -> Undo:
    """``names``: hosts or VMs, as the fault's target says; of one that finds out itself whom it hits: nobody. Returns what
    ends it, if it is one that lasts."""
    fault = FAULTS[name]
    if fault.who is not None:
        names = fault.who(cluster, given)
    cluster.world.tell("fault", name, {**_told(fault, names), **given})
    cluster.witness(_disturbed(cluster, fault, names, lasting=lasting))
    undo = fault.begin(cluster, names, given)

    def end() -> None:
        assert undo is not None, f"{name} does not last"
        cluster.world.tell("fault", f"{name} ends", _told(fault, names))
        cluster.witness(_disturbed(cluster, fault, names, lasting=True, over=True))
        undo()

    return end


def _told(fault: Fault, names: tuple[str, ...]) -> dict[str, str]:
    return {"vms" if fault.kind.target == "vm" else "hosts": ",".join(names)}


def _disturbed(
    cluster: SimCluster, fault: Fault, names: tuple[str, ...], *, lasting: bool, over: bool = False
) -> Disturbed:
    hosts: tuple[str, ...] = ()
    vms: tuple[str, ...] = ()
    if fault.harms:
        if fault.kind.target == "vm":
            vms = names
        elif fault.kind.target in ("host", "hosts") or fault.who is not None:
            hosts = names
        else:
            hosts = tuple(cluster.machines)
    return Disturbed(fault.kind.name, hosts, vms, over=over, lasting=lasting)
