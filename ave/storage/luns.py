"""Which LUN of which target a volume is, where several volumes share a target.

It is reserved before the LUN is made, and let go with the document that is deleted once the storage has said that the LUN is
gone. So no two volumes ever have one, whoever dies in between, and what was let go is free to be given away. A storage that
keeps a target for each volume declares one LUN per target; then there is nothing to reserve, and nothing is read or written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from ave.errors import Refused, Unavailable
from ave.model.target import Target
from ave.model.volume import StoragePolicy
from ave.ports.block import Slot
from ave.ports.store import Check, Conflict, Insert, Replace, Store, Write
from ave.ports.together import Ports

KIND = "target"  # as a conflict calls it


class Limits(NamedTuple):
    """What the storage can do."""

    luns: int  # per target
    targets: int  # 0: as many as are wanted


class Allocation(NamedTuple):
    slots: dict[str, Slot]  # volume -> what it has now, had it one before or not
    changed: tuple[Target, ...]  # to be written, all or none


def allocate(targets: Sequence[Target], wanted: Mapping[str, StoragePolicy], limits: Limits) -> Allocation:
    """The first target of the volume's policy with a free LUN, and its lowest one; else a new target.

    Refused, with none of them given anything, if all are full and there can be no more.
    """
    now = {target.id: target for target in targets}
    slots: dict[str, Slot] = {}
    for volume, policy in wanted.items():
        if (known := slot_of(now.values(), volume)) is not None:
            slots[volume] = known
            continue
        alike = [target for target in now.values() if target.policy == policy]
        target = next((each for each in alike if len(each.luns) < limits.luns), None)
        if target is None:
            if limits.targets and len(now) >= limits.targets:
                raise Refused(_full(volume, len(alike), limits))
            target = Target(id=str(len(now) + 1), policy=policy)
        lun = _lowest(target.luns)
        now[target.id] = replace(target, luns={**target.luns, str(lun): volume})
        slots[volume] = Slot(target.id, lun)
    before = {target.id: target for target in targets}
    return Allocation(slots, tuple(target for id, target in now.items() if target is not before.get(id)))


def _lowest(taken: Mapping[str, str]) -> int:
    """The LUN id that is free, from 1: servers keep 0 for themselves."""
    return next(lun for lun in range(1, len(taken) + 2) if str(lun) not in taken)


def _full(volume: str, alike: int, limits: Limits) -> str:
    there = f"its storage policy has {alike} target{'s' * (alike != 1)}, each full with {limits.luns} LUNs"
    return (
        f"volume {volume} gets no LUN: {there if alike else 'its storage policy has no target'}, and the storage has "
        f"{limits.targets} targets, its limit: delete volumes of this policy, or choose another one"
    )


def slot_of(targets: Iterable[Target], volume: str) -> Slot | None:
    found = (Slot(target.id, int(lun)) for target in targets for lun, whose in target.luns.items() if whose == volume)
    return next(found, None)


def without(targets: Iterable[Target], volumes: Iterable[str]) -> tuple[Target, ...]:
    """The targets that change when these volumes are no more."""
    gone = frozenset(volumes)
    return tuple(
        replace(target, luns={lun: volume for lun, volume in target.luns.items() if volume not in gone})
        for target in targets
        if not gone.isdisjoint(target.luns.values())
    )


# Procedures


async def reserve(ports: Ports, wanted: Mapping[str, StoragePolicy], *conditions: Write) -> dict[str, Slot]:
    """Of each volume its slot, from now on. Conflict when a condition does not hold: whoever is to undo this may have been
    here already, and would not come again. Empty where there is nothing to reserve. Refused as ``allocate`` refuses."""
    if not _shared(ports):
        return {}
    limits = Limits(ports.block.luns_per_target, ports.block.targets_max)
    while True:
        targets = await _targets(ports.store)
        slots, changed = allocate(targets, wanted, limits)
        if not changed:
            return slots
        try:
            await ports.store.commit(*conditions, *_as_read(targets, changed), *map(_write, changed))
            return slots
        except Conflict as lost:
            if lost.kind != KIND:
                raise  # else somebody else was given something meanwhile


async def commit_with(ports: Ports, slots: Mapping[str, Slot], *writes: Write) -> list[Any]:
    """The writes by which volumes are there whose slots were reserved before their documents were. Unavailable if one has been
    let go meanwhile: with the document of another volume of that name, which has come and gone, and so has the LUN."""
    while True:
        checks: dict[str, Check] = {}
        targets = await _targets(ports.store) if slots else []
        for volume, slot in slots.items():
            if slot_of(targets, volume) != slot:
                raise Unavailable(f"volume {volume} lost its LUN to another of that name, which has come and gone")
            version = next(target.version for target in targets if target.id == slot.target)
            checks[slot.target] = Check(Target, slot.target, {"version": version})
        try:
            return await ports.store.commit(*writes, *checks.values())
        except Conflict as lost:
            if lost.kind != KIND:
                raise


async def commit_without(ports: Ports, volumes: Sequence[str], *writes: Write) -> list[Any]:
    """The writes by which these volumes are no more, and with them their slots. Only when the storage has said that their LUNs
    are gone."""
    while True:
        freed = without(await _targets(ports.store), volumes) if _shared(ports) else ()
        try:
            return await ports.store.commit(*writes, *map(_write, freed))
        except Conflict as lost:
            if lost.kind != KIND:
                raise


def _shared(ports: Ports) -> bool:
    return ports.block.luns_per_target > 1


async def _targets(store: Store) -> list[Target]:
    """All, as they are: what is only found may be behind, and would be given away twice."""
    known: list[Target] = []
    while (target := await store.get(Target, str(len(known) + 1))) is not None:
        known.append(target)
    return known


def _as_read(targets: Sequence[Target], changed: Sequence[Target]) -> Iterator[Check]:
    """All that is not written is as it was: targets are read one by one, and another attempt for the same volume may have been
    given a LUN of one that was read before that."""
    written = [target.id for target in changed]
    for target in targets:
        if target.id not in written:
            yield Check(Target, target.id, {"version": target.version})
    if (following := str(len(targets) + 1)) not in written:
        yield Check(Target, following, None)


def _write(target: Target) -> Write:
    return Replace(target) if target.version else Insert(target)
