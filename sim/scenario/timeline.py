"""Checks every entry of a timeline against the rest of the file: its moment, its targets, the things it names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from sim.scenario.catalogue import REFERENCES, ActionKind, Catalogue, FaultKind
from sim.scenario.model import host_name
from sim.scenario.problem import quote
from sim.scenario.reader import WRONG
from sim.scenario.units import show_seconds

if TYPE_CHECKING:
    from collections.abc import Collection

    from sim.scenario.reader import Reader

_HOST = re.compile(r"host-0*([1-9][0-9]{0,5})")
_NUMBERED = re.compile(r"(.+)-([1-9][0-9]{0,8})")

Kinds: TypeAlias = dict[tuple[str, str], FaultKind | ActionKind]


class Scope(msgspec.Struct, frozen=True):
    """What a timeline may name; None where the file leaves it unclear, which is then another problem's business."""

    hosts: int | None
    zones: dict[str, int | None] | None
    networks: tuple[str, ...] | None
    fleets: dict[str, int | None] | None  # how many VMs; None for as many as a trace has
    traces: tuple[str, ...] = ()  # those among the fleets
    groups: tuple[str, ...] | None = None
    masters: int | None = None
    shapes: tuple[str, ...] | None = None  # those whose VMs are all alike, so that more of them can be made


def host_number(name: str) -> int | None:
    """``host-3`` and ``host-03`` are the same host, so that a file still fits when the cluster grows to 10."""
    found = _HOST.fullmatch(name)
    return int(found[1]) if found else None


def kinds_of(catalogue: Catalogue) -> Kinds:
    kinds: Kinds = {("fault", kind.name): kind for kind in catalogue.faults}
    return kinds | {("action", kind.name): kind for kind in catalogue.actions}


def check_timeline(reader: Reader, timeline: list[Any], duration: Any, catalogue: Catalogue, scope: Scope) -> None:
    kinds = kinds_of(catalogue)
    made = made_by([entry for entry in timeline if entry is not WRONG], kinds)
    for index, entry in enumerate(timeline):
        if entry is WRONG:
            continue
        path = f"spec.timeline[{index}]"
        at = entry.get("at", WRONG)
        if at is not WRONG and duration is not WRONG and at >= duration:
            end = f"the end of the run (duration {show_seconds(duration)})"
            reader.report(f"{path}.at", f"{show_seconds(at)} is not before {end}")
        kind = _kind_of(entry, kinds)
        if kind is None:
            continue
        if isinstance(kind, FaultKind):
            _possible(reader, path, entry, kind, scope)
        target = entry.get("target", WRONG)
        if target is not WRONG and kind.target == "vm":
            _vms(reader, f"{path}.target", target, scope, made)
        elif target is not WRONG:
            _hosts(reader, f"{path}.target", target, scope)
        for parameter in kind.parameters:
            value = entry.get(parameter.name, WRONG)
            if parameter.unit == "text" and parameter.name in REFERENCES and value is not WRONG:
                among = scope.shapes if parameter.name == "fleet" else None
                report_reference(reader, f"{path}.{parameter.name}", parameter.name, value, scope, among)


def _possible(reader: Reader, path: str, entry: dict[str, Any], kind: FaultKind, scope: Scope) -> None:
    """Can it befall this cluster at all?"""
    if scope.masters is not None and scope.masters < kind.masters:
        what = f"{quote(kind.name)} takes {kind.masters} masters, but there are {scope.masters}"
        reader.report(f"{path}.fault", what if scope.masters > 1 else what.replace("there are", "there is"))
    if scope.zones is not None and len(scope.zones) < kind.zones:
        reader.report(f"{path}.fault", f"{quote(kind.name)} takes {kind.zones} zones, but there are {len(scope.zones)}")
    target, other = entry.get("target", WRONG), entry.get("host", WRONG)
    if target is WRONG or other is WRONG or kind.target not in ("host", "hosts"):
        return
    if host_number(other) in [host_number(name) for name in target.get("names", ()) if name is not WRONG]:
        reader.report(f"{path}.host", f"{quote(other)} is among the targets, and nothing is between a host and itself")


def made_by(entries: list[dict[str, Any]], kinds: Kinds) -> dict[str, int]:
    """VMs by fleet that the timeline may add: a target may be one of them."""
    made: dict[str, int] = {}
    for entry in entries:
        kind = _kind_of(entry, kinds)
        defaults = {each.name: each.default for each in kind.parameters} if kind else {}
        fleet, count, jobs = (entry.get(name, defaults.get(name)) for name in ("fleet", "count", "jobs"))
        if isinstance(fleet, str) and isinstance(count, int):
            made[fleet] = made.get(fleet, 0) + count * (jobs if isinstance(jobs, int) else 1)
    return made


def _kind_of(entry: dict[str, Any], kinds: Kinds) -> FaultKind | ActionKind | None:
    if entry["kind"] is WRONG or entry[entry["kind"]] is WRONG:
        return None
    return kinds[entry["kind"], entry[entry["kind"]]]


def report_reference(
    reader: Reader, path: str, noun: str, name: str, scope: Scope, among: tuple[str, ...] | None = None
) -> None:
    if noun == "host":
        report_host(reader, path, name, scope)
        return
    known: Collection[str] | None = among
    if among is None:
        known = {"zone": scope.zones, "network": scope.networks, "fleet": scope.fleets, "group": scope.groups}[noun]
    if known is not None and name not in known:
        reader.unknown(path, noun, name, tuple(known))


def report_host(reader: Reader, path: str, name: str, scope: Scope) -> None:
    number = host_number(name)
    if scope.hosts is not None and (number is None or number > scope.hosts):
        first, last = host_name(1, scope.hosts), host_name(scope.hosts, scope.hosts)
        known = f"the hosts are {first} … {last}" if scope.hosts > 1 else f"the only one is {first}"
        reader.report(path, f"unknown host {quote(name)}; {known}")


def _hosts(reader: Reader, path: str, target: dict[str, Any], scope: Scope) -> None:
    for place, name in _names(reader, path, target, host_number):
        report_host(reader, place, name, scope)
    candidates, group = scope.hosts, "the cluster"
    zone = target.get("zone")
    if zone is WRONG:
        return
    if zone is not None:
        report_reference(reader, f"{path}.zone", "zone", zone, scope)
        candidates, group = (scope.zones or {}).get(zone), f"zone {quote(zone)}"
    _enough(reader, path, target, candidates, f"{group} has {candidates} hosts")


def _vms(reader: Reader, path: str, target: dict[str, Any], scope: Scope, made: dict[str, int]) -> None:
    for place, name in _names(reader, path, target, str):
        report_vm(reader, place, name, scope, made)
    fleet = target.get("fleet")
    if fleet is None or fleet is WRONG or scope.fleets is None:
        return
    report_reference(reader, f"{path}.fleet", "fleet", fleet, scope)
    count = scope.fleets.get(fleet)
    candidates = None if count is None else count + made.get(fleet, 0)
    _enough(reader, path, target, candidates, f"fleet {quote(fleet)} never has more than {candidates} VMs")


def report_vm(reader: Reader, path: str, name: str, scope: Scope, made: dict[str, int]) -> None:
    if scope.fleets is None or any(name.startswith(f"{trace}-") for trace in scope.traces):
        return
    found = _NUMBERED.fullmatch(name)
    if found is None:
        reader.report(path, f"{quote(name)} is no VM; those of a fleet are named after it and numbered from 1")
    elif (count := scope.fleets.get(found[1])) is None:
        reader.unknown(path, "fleet", found[1], tuple(scope.fleets))
    elif int(found[2]) > (most := count + made.get(found[1], 0)):
        reader.report(path, f"unknown VM {quote(name)}; fleet {quote(found[1])} has {found[1]}-1 … {found[1]}-{most}")


def _names(reader: Reader, path: str, target: dict[str, Any], same: Any) -> list[tuple[str, str]]:
    """Every usable name with its path; reports those that mean one and the same thing."""
    names = target.get("names", [])
    inside = reader.has(f"{path}[0]")
    usable = [(f"{path}[{i}]" if inside else path, name) for i, name in enumerate(names) if name is not WRONG]
    first: dict[Any, str] = {}
    for place, name in usable:
        if (key := same(name) or name) in first:
            reader.report(place, f"{quote(name)} occurs twice")
        first.setdefault(key, name)
    return usable


def _enough(reader: Reader, path: str, target: dict[str, Any], candidates: int | None, have: str) -> None:
    value = target.get("value", WRONG)
    if target["mode"] == "fixed" and value is not WRONG and candidates is not None and value > candidates:
        reader.report(f"{path}.value", f"{value} are wanted, but {have}")
