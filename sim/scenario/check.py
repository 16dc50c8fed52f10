"""What no table can say of a topology and a workload, because it takes two places of the file.

Works on what the reader made of it, of which any part may be ``WRONG``: a check that needs such a part stays silent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.scenario import schema
from sim.scenario.placement import check_placement, report_twice
from sim.scenario.problem import quote
from sim.scenario.reader import WRONG
from sim.scenario.thresholds import check_thresholds
from sim.scenario.timeline import Scope, check_timeline
from sim.scenario.units import show_mebibytes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sim.scenario.catalogue import Catalogue
    from sim.scenario.reader import Reader

DEFAULT_RESERVE_MIB = 8 << 10
_SAID_FOR_ALL = ("reserve_mib", "exclusive_cpus", "nics", "volumes", "cpu_model")
_SAID_BY_SHAPE = {"hosts": "hosts", "cpu": "cpu", "memory": "memory_mib"}


def check(reader: Reader, spec: dict[str, Any], catalogue: Catalogue, folder: Path) -> None:
    """Reports to the reader. ``folder`` is where the file's relative paths begin."""
    shapes = None
    if spec["topology"] is not WRONG:
        shapes = shapes_of(spec["topology"])
        _topology(reader, spec["topology"], shapes)
    if spec["workload"] is not WRONG:
        _workload(reader, spec["workload"], shapes, folder)
    scope = _scope(spec, shapes)
    if spec["timeline"] is not WRONG:
        check_timeline(reader, spec["timeline"], spec["duration"], catalogue, scope)
    check_placement(reader, spec, scope, catalogue)
    mode = spec["mode"]
    if spec["thresholds"] is not WRONG and mode is not WRONG:
        check_thresholds(reader, spec["thresholds"], catalogue.metrics.get(mode, {}))
    if mode == "capacity":
        _nothing_but_arrivals(reader, spec)
    elif mode == "cluster" and spec["batch"] == "compact":
        reader.report("spec.batch", 'is for mode "capacity": a cluster decides by itself when to pack')


def _nothing_but_arrivals(reader: Reader, spec: dict[str, Any]) -> None:
    """A capacity replay has no Jobs, no faults and nobody to break a promise: what it would ignore is a mistake."""
    for key in ("timeline", "arms", "groups", "expect"):
        if spec[key] is not WRONG and spec[key]:
            reader.report(f"spec.{key}", 'is ignored by mode "capacity": leave it out, or use mode "cluster"')
    for index, entry in enumerate([] if spec["workload"] is WRONG else spec["workload"]):
        if entry is not WRONG and "count" in entry:
            reader.report(
                f"spec.workload[{index}]",
                'mode "capacity" takes a generator or a trace, no fleets',
            )


def clear(values: Iterable[Any]) -> bool:
    return all(value is not WRONG for value in values)


def shapes_of(topology: dict[str, Any]) -> list[dict[str, Any]] | None:
    """One dict per shape, however they are written; None if one of them is unclear."""
    written = topology.get("shapes", [topology])
    if written is WRONG or not clear(written):
        return None
    default: dict[str, Any] = dict.fromkeys(_SAID_BY_SHAPE.values(), WRONG) | {"reserve_mib": DEFAULT_RESERVE_MIB}
    default |= {key: topology[key] for key in _SAID_FOR_ALL if key in topology}
    keys = (*_SAID_BY_SHAPE.values(), *_SAID_FOR_ALL, *(("networks",) if "shapes" in topology else ()))
    wholes = [default | shape for shape in written]
    shapes = [{key: whole[key] for key in keys if key in whole} for whole in wholes]
    return shapes if all(clear(shape.values()) for shape in shapes) else None


def _topology(reader: Reader, topology: dict[str, Any], shapes: list[dict[str, Any]] | None) -> None:
    path = "spec.topology"
    for key, name in _SAID_BY_SHAPE.items():
        if "shapes" in topology and name in topology:
            reader.report(f"{path}.{key}", 'belongs to each of the "shapes", if there are any')
        elif "shapes" not in topology and name not in topology:
            reader.report(f"{path}.{key}", "is missing")
    report_twice(reader, f"{path}.networks", topology["networks"])
    masters = topology.get("masters", 1)
    if masters is not WRONG and masters % 2 == 0:
        reader.report(f"{path}.masters", f"must be 1, 3 or 5, not {masters}")
    if shapes is None:
        return
    for index, shape in enumerate(shapes):
        if shape["reserve_mib"] >= shape["memory_mib"]:
            where = f"{path}.shapes[{index}].memory" if "shapes" in topology else f"{path}.memory"
            memory, reserve = show_mebibytes(shape["memory_mib"]), show_mebibytes(shape["reserve_mib"])
            reader.report(where, f"{memory} leaves nothing for VMs: {reserve} are reserved for the host")
    hosts = sum(shape["hosts"] for shape in shapes)
    if hosts > schema.MOST_HOSTS:
        reader.report(f"{path}.shapes", f"{hosts} hosts in all, more than {schema.MOST_HOSTS}")
    if masters is not WRONG and masters > hosts:
        reader.report(f"{path}.masters", f"{masters} masters need as many hosts, but there are {hosts}")
    zones = topology["zones"]
    primary = topology.get("primary", WRONG)
    if zones is not WRONG and primary is not WRONG and primary not in zones:
        reader.unknown(f"{path}.primary", "zone", primary, tuple(zones))
    if zones is not WRONG and zones and clear(zones.values()) and sum(zones.values()) != hosts:
        reader.report(f"{path}.zones", f"the zones have {sum(zones.values())} hosts, the topology has {hosts}")


def _workload(reader: Reader, workload: list[Any], shapes: list[dict[str, Any]] | None, folder: Path) -> None:
    owners: dict[str, int] = {}
    total = needed = 0
    rooms = [max(shape["memory_mib"] - shape["reserve_mib"], 0) for shape in shapes or ()]
    for index, entry in enumerate(workload):
        if entry is WRONG:
            continue
        path = f"spec.workload[{index}]"
        fleet = entry.get("fleet", WRONG)
        if fleet is not WRONG and owners.setdefault(fleet, index) != index:
            reader.report(f"{path}.fleet", f"{quote(fleet)} is already the name of spec.workload[{owners[fleet]}]")
        trace = entry.get("trace", WRONG)
        if trace is not WRONG and not (folder / trace).is_file():
            reader.report(f"{path}.trace", f"there is no file {quote(str(folder / trace))}")
        vms = entry.get("count", entry.get("vms", WRONG))
        total += 0 if vms is WRONG else vms
        memory = entry.get("memory_mib", WRONG)
        if "arrive" in entry or vms is WRONG or memory is WRONG:
            continue
        needed += vms * memory
        if rooms and 0 < max(rooms) < memory:
            largest = f"the largest has {show_mebibytes(max(rooms))} for VMs"
            reader.report(f"{path}.memory", f"{show_mebibytes(memory)} fit on no host: {largest}")
    if total > schema.MOST_VMS:
        reader.report("spec.workload", f"{total} VMs in all, more than {schema.MOST_VMS}")
    if shapes:
        free = sum(shape["hosts"] * room for shape, room in zip(shapes, rooms, strict=True))
        if needed > free:
            have = f"the hosts have {show_mebibytes(free)} for VMs"
            reader.report("spec.workload", f"the VMs of time 0 need {show_mebibytes(needed)} of memory, {have}")


def _group_names(groups: Any) -> tuple[str, ...] | None:
    if groups is WRONG or not clear(groups):
        return None
    names = [group["name"] for group in groups]
    return tuple(names) if clear(names) else None


def _scope(spec: dict[str, Any], shapes: list[dict[str, Any]] | None) -> Scope:
    topology = {"zones": WRONG, "networks": WRONG} if spec["topology"] is WRONG else spec["topology"]
    zones, networks, workload = topology["zones"], topology["networks"], spec["workload"]
    hosts = sum(shape["hosts"] for shape in shapes) if shapes else None
    masters = topology.get("masters", WRONG)
    if masters is WRONG and hosts is not None and "masters" not in topology:
        masters = 3 if hosts >= 3 else 1
    fleets: dict[str, int | None] | None = None
    if workload is not WRONG and clear(workload) and clear(entry.get("fleet", WRONG) for entry in workload):
        counts = {entry["fleet"]: entry.get("count", entry.get("vms")) for entry in workload}
        fleets = {fleet: None if count is WRONG else count for fleet, count in counts.items()}
    return Scope(
        hosts=hosts,
        zones=None if zones is WRONG else {zone: None if n is WRONG else n for zone, n in zones.items()},
        networks=None if networks is WRONG or not clear(networks) else tuple(networks),
        groups=_group_names(spec["groups"]),
        fleets=fleets,
        masters=None if masters is WRONG else masters,
        traces=tuple(fleet for fleet, count in (fleets or {}).items() if count is None),
        shapes=None if fleets is None else tuple(entry["fleet"] for entry in workload if "count" in entry),
    )
