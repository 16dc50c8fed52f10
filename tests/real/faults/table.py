"""The faults that are played on the bed: what is done, how it heals, what must be true after it. One row each.

After all of them: every VM runs once, where the store says, and writes; no acknowledged record is lost, none is stale.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from tests.real.faults import store_strikes, strikes
from tests.real.faults.strikes import Strike

SUPERVISED = "its supervisor starts it again after 1 s"
CALM = "no VM boots anew"
UNTOUCHED = "no VM is touched: none boots, moves, is fenced or stands still"


@dataclass(frozen=True)
class Fault:
    name: str
    does: str
    heals: str
    after: str
    strike: Strike
    returns: bool = False  # a host goes, and comes back: at most once in five minutes for each


FAULTS = (
    Fault("qemu-killed", "kill -9 of a QEMU", "the control plane", "its VM boots anew", strikes.kill_qemu),
    Fault("libvirtd-killed", "kill -9 of a libvirtd", SUPERVISED, CALM, partial(strikes.kill_service, "libvirtd")),
    Fault("node-killed", "kill -9 of a node", SUPERVISED, CALM, partial(strikes.kill_service, "node")),
    Fault("guard-killed", "kill -9 of a guard", SUPERVISED, CALM, partial(strikes.kill_service, "guard")),
    Fault(
        "all-of-ave-killed",
        "kill -9 of a host's node, guard and libvirtd",
        SUPERVISED,
        CALM,
        strikes.kill_everything_of_ave,
    ),
    Fault("every-node-killed", "kill -9 of all nodes at once", SUPERVISED, CALM, strikes.kill_nodes),
    Fault(
        "tgtd-killed", "kill -9 of tgtd, with all targets", SUPERVISED, CALM, partial(strikes.kill_storage, ("tgtd",))
    ),
    Fault("box-killed", "kill -9 of `ave storage`", SUPERVISED, CALM, partial(strikes.kill_storage, ("ave storage",))),
    Fault(
        "storage-killed",
        "kill -9 of tgtd and `ave storage`",
        SUPERVISED,
        CALM,
        partial(strikes.kill_storage, ("tgtd", "ave storage")),
    ),
    Fault("primary-killed", "kill -9 of the mongod that is primary", SUPERVISED, UNTOUCHED, store_strikes.kill_primary),
    Fault(
        "primary-stopped",
        "SIGSTOP of the mongod that is primary, for 16 to 39 s",
        "SIGCONT",
        UNTOUCHED,
        store_strikes.stop_primary,
    ),
    Fault(
        "majority-stopped",
        "SIGSTOP of two of three mongods, longer than the verdict",
        "SIGCONT",
        UNTOUCHED,
        store_strikes.stop_majority,
    ),
    Fault("qemu-stopped", "SIGSTOP of a QEMU for 4 to 11 s", "SIGCONT", CALM, strikes.stop_qemu),
    Fault("tgtd-stopped", "SIGSTOP of tgtd for 4 to 11 s", "SIGCONT", CALM, strikes.stop_tgtd),
    Fault("node-stopped", "SIGSTOP of a node", f"its guard ends it, {SUPERVISED}", CALM, strikes.stop_node),
    Fault(
        "owner-stopped",
        "SIGSTOP of a host's QEMUs, node and guard, over the verdict",
        "SIGCONT once its VMs run elsewhere, the QEMUs first",
        "its VMs boot elsewhere; what the old QEMUs still write is refused",
        partial(strikes.stop_owner, False),
        returns=True,
    ),
    Fault(
        "host-stopped",
        "SIGSTOP of every process of a host, over the verdict",
        "SIGCONT once its VMs run elsewhere, the QEMUs first",
        "its VMs boot elsewhere; what the old QEMUs still write is refused",
        partial(strikes.stop_owner, True),
        returns=True,
    ),
    Fault(
        "storage-cut-short",
        "storage cable pulled, 4 to 11 s",
        "plugged in",
        CALM,
        partial(strikes.cut_short, "storage"),
    ),
    Fault(
        "storage-cut-between",
        "storage cable pulled, longer than a host takes to give up, not until the verdict",
        "plugged in",
        "its VMs go on, or boot elsewhere; no other does",
        strikes.cut_storage_between,
        returns=True,
    ),
    Fault(
        "storage-cut-long",
        "storage cable pulled over the verdict",
        "plugged in once its VMs run elsewhere",
        "its VMs boot elsewhere",
        strikes.cut_storage_long,
        returns=True,
    ),
    Fault(
        "management-cut-short",
        "management cable pulled, 4 to 11 s",
        "plugged in",
        CALM,
        partial(strikes.cut_short, "management"),
    ),
    Fault(
        "management-cut-long",
        "management cable pulled, longer than the verdict",
        "plugged in",
        CALM,
        strikes.cut_management_long,
    ),
    Fault(
        "packets-lost",
        "2, 10 or 25 % of what the storage sends a host is dropped, 4 to 11 s",
        "rule removed",
        CALM,
        strikes.lose_packets,
    ),
    Fault(
        "power-lost",
        "a host loses its power",
        "on again once its VMs run elsewhere",
        "its VMs boot elsewhere",
        strikes.lose_power,
        returns=True,
    ),
    Fault(
        "reboot", "a host loses its power for 1 to 8 s", "on again", "its VMs boot anew", strikes.reboot, returns=True
    ),
    Fault("migration", "a VM is migrated, and nothing else happens", "nothing to heal", CALM, strikes.migrate),
    *(
        Fault(
            f"migration-{phase}: {deed}",
            f"{deed} when a migration is in phase {phase}",
            "a supervisor, the cable plugged in, the power on again after 1 to 8 s",
            "its VM goes on where it is or where it goes to, or boots anew",
            partial(strikes.migrate_cut, phase, deed),
            returns=deed == "the target loses power",
        )
        for phase, deed in (
            ("begin", "the source's node is killed"),
            ("begin", "the target's libvirtd is killed"),
            ("copy", "the source's node is killed"),
            ("copy", "the source's libvirtd is killed"),
            ("copy", "the target's libvirtd is killed"),
            ("copy", "the source's QEMU is killed"),
            ("copy", "the target's QEMU is killed"),
            ("copy", "the source's management cable is pulled"),
            ("copy", "the source's storage cable is pulled"),
            ("copy", "the target loses power"),
            ("finish", "the source's node is killed"),
            ("finish", "the target's node is killed"),
            ("finish", "the source's libvirtd is killed"),
            ("finish", "the target's libvirtd is killed"),
            ("finish", "the target's QEMU is killed"),
            ("finish", "the source's management cable is pulled"),
            ("finish", "the target loses power"),
        )
    ),
)
