"""What is durably known of a volume, and the rules by which it changes, for every storage that keeps it in a file.

Each function takes what is known and answers what is to be known instead. Refused, by name and reason, if that may not be.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from ave.errors import Refused
from ave.ports.hypervisor import Stamp
from drivers.rights import Rights, accepting, outdating


class VolumeRecord(msgspec.Struct, frozen=True, kw_only=True):
    volume: str
    size_gib: int
    owner: str = ""
    epoch: int = 0
    lock: str = ""  # under which it was attached
    incoming: str = ""  # the host that may open it for a migration, and owns nothing
    rights: Rights = ()

    def attached_for_another(self, stamp: Stamp) -> bool:
        return bool(self.owner and self.lock and stamp.lock) and self.lock != stamp.lock


R = TypeVar("R", bound=VolumeRecord)


def created(known: R, size_gib: int, stamp: Stamp) -> R:
    """It is there already, or has just been made up."""
    if known.size_gib != size_gib:
        raise Refused(f"volume {known.volume} exists and has {known.size_gib} GiB, not {size_gib}")
    return _accepted(known, stamp, "create")


def grown(known: R, size_gib: int, stamp: Stamp) -> R:
    if size_gib < known.size_gib:
        raise Refused(f"volume {known.volume} has {known.size_gib} GiB and cannot shrink to {size_gib}")
    return msgspec.structs.replace(_accepted(known, stamp, "grow"), size_gib=size_gib)


def deleted(known: R, stamp: Stamp) -> R:
    """As it is known until it is gone."""
    if known.owner:
        raise Refused(f"volume {known.volume} is attached to {known.owner}: detach it first")
    return _accepted(known, stamp, "delete")


def attached(known: R, owner: str, stamp: Stamp) -> R:
    if stamp.epoch < known.epoch or (stamp.epoch == known.epoch and known.owner not in ("", owner)):
        raise Refused(f"volume {known.volume} belongs to {known.owner or 'nobody'} at epoch {known.epoch}")
    _require_same_lock(known, stamp)
    after, lock = _accepted(known, stamp, "attach"), stamp.lock or known.lock
    return msgspec.structs.replace(after, owner=owner, epoch=stamp.epoch, lock=lock, incoming="")


def admitted(known: R, host: str, stamp: Stamp) -> R:
    if not known.owner or stamp.epoch != known.epoch:
        raise Refused(f"volume {known.volume} belongs to {known.owner or 'nobody'} at epoch {known.epoch}")
    _require_same_lock(known, stamp)
    return msgspec.structs.replace(_accepted(known, stamp, "admit"), incoming=host if host != known.owner else "")


def detached(known: R, stamp: Stamp) -> R:
    """As it was if another owner has it: nothing of the stamp's is attached."""
    if stamp.epoch < known.epoch or known.attached_for_another(stamp):
        return known
    return msgspec.structs.replace(_accepted(known, stamp, "detach"), owner="", epoch=stamp.epoch, incoming="")


def _require_same_lock(known: VolumeRecord, stamp: Stamp) -> None:
    if known.attached_for_another(stamp):
        raise Refused(f"volume {known.volume} belongs to {known.lock}, for which it is attached to {known.owner}")


def _accepted(known: R, stamp: Stamp, what: str) -> R:
    """With this right remembered; Refused if a newer one came before. Without a Job nothing is remembered."""
    if not stamp.job:
        return known
    if newest := outdating(known.rights, stamp):
        raise Refused(f"volume {known.volume}: {what} by {stamp.job} is outdated; {newest.job} came after it")
    return msgspec.structs.replace(known, rights=accepting(known.rights, stamp))
