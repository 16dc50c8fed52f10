"""What the verbs of volumes share: reading one, the stamp of an effect, and the condition of a write."""

from __future__ import annotations

import re

from ave.errors import Refused
from ave.model.cluster import Lock, lock_name
from ave.model.volume import REPLICAS_MAX, SIZE_GIB_MAX, STRIPE_KIB, STRIPES_MAX, StoragePolicy, Volume
from ave.model.work import Work
from ave.ports.hypervisor import Stamp
from ave.ports.store import Check
from ave.ports.together import Ports

OF_A_VM = re.compile(r"-disk-[0-9]+$")
NAME_MAX = 128
TRIES_THROUGH_AN_OUTAGE = 18  # about ten minutes without storage


def stamp(task: Work) -> Stamp:
    lock = lock_name(Volume, task.resource)
    return Stamp(job=task.job, task=task.id, attempt=task.attempt, lock=lock, token=task.tokens[lock])


def locked(task: Work) -> Check:
    """The condition of every write for the task's volume: its Job still holds the lock it began with."""
    return Check(Lock, lock_name(Volume, task.resource), {"job": task.job})


async def read(ports: Ports, task: Work) -> Volume:
    volume = await ports.store.get(Volume, task.resource)
    if volume is None:
        raise Refused(f"there is no volume {task.resource} any more")
    return volume


def require_name(volume: str) -> None:
    if not volume or len(volume) > NAME_MAX or "/" in volume or not volume.isprintable():
        raise Refused(f"volume name {volume[:40]!r}: 1 to {NAME_MAX} printable characters without '/' are needed")
    if OF_A_VM.search(volume):
        # A Job that creates a VM locks the VM, and not the volumes that come with it: nobody else may want their names.
        raise Refused(
            f"volume name {volume!r}: names that end in -disk- and a number are for the disks of VMs; choose another"
        )


def require_size(volume: str, size_gib: int) -> None:
    if not 1 <= size_gib <= SIZE_GIB_MAX:
        raise Refused(f"volume {volume}: size_gib is {size_gib}, it must be 1 to {SIZE_GIB_MAX}")


def require_policy(volume: str, policy: StoragePolicy) -> None:
    for what, value, low, high, power in (
        ("replicas", policy.replicas, 1, REPLICAS_MAX, False),
        ("stripes", policy.stripes, 1, STRIPES_MAX, True),
        ("stripe_kib", policy.stripe_kib, *STRIPE_KIB, True),
    ):
        if not low <= value <= high or (power and value & (value - 1)):
            of_two = "a power of two, " if power else ""
            raise Refused(f"volume {volume}: {what} is {value}, it must be {of_two}{low} to {high}")
