"""Checks what a file says of placement: its groups, who is in them, and where VMs are expected.

Like all checks it works on what the reader made of the file, and stays silent about any part that is ``WRONG``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ave.model.group import Aspect, Rule
from sim.scenario.problem import quote
from sim.scenario.reader import WRONG
from sim.scenario.timeline import (
    host_number,
    kinds_of,
    made_by,
    report_host,
    report_reference,
    report_vm,
)
from sim.scenario.units import show_seconds

if TYPE_CHECKING:
    from sim.scenario.catalogue import Catalogue
    from sim.scenario.reader import Reader
    from sim.scenario.timeline import Scope

_NEEDS: Final = {Aspect.HOSTS: "hosts", Aspect.NOT_HOSTS: "hosts", Aspect.ZONE: "zone"}
_SAYS: Final = {
    "vm": ("host", "hosts", "zone", "state", "starts", "unpinned", "refused"),
    "fleet": ("hosts", "zone", "apart", "together", "state", "starts", "unpinned"),
    "host": ("state", "vms"),
    "alarm": ("raised",),
}


def check_placement(reader: Reader, spec: dict[str, Any], scope: Scope, catalogue: Catalogue) -> None:
    for path, shape in _each(spec["topology"], "spec.topology", "shapes"):
        _names(reader, path, "networks", shape, "network", scope)
    for path, fleet in _each(spec, "spec", "workload"):
        _names(reader, path, "networks", fleet, "network", scope)
        _names(reader, path, "groups", fleet, "group", scope)
    _groups(reader, spec, scope)
    timeline = [] if spec["timeline"] is WRONG else [entry for entry in spec["timeline"] if entry is not WRONG]
    made = made_by(timeline, kinds_of(catalogue))
    for path, expectation in _each(spec, "spec", "expect"):
        _expectation(reader, path, expectation, scope, made)
        at, end = expectation.get("at", WRONG), spec["duration"]
        if at is not WRONG and end is not WRONG and at > end:
            reader.report(
                f"{path}.at", f"{show_seconds(at)} is after the end of the run (duration {show_seconds(end)})"
            )


def report_twice(reader: Reader, path: str, names: Any) -> None:
    if names is WRONG:
        return
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if name is not WRONG and first.setdefault(name, index) != index:
            reader.report(f"{path}[{index}]", f"{quote(name)} occurs twice")


def _each(of: Any, path: str, key: str) -> list[tuple[str, dict[str, Any]]]:
    """Every usable item of that list, with its path."""
    items = WRONG if of is WRONG else of.get(key, [])
    if items is WRONG:
        return []
    return [(f"{path}.{key}[{index}]", item) for index, item in enumerate(items) if item is not WRONG]


def _names(reader: Reader, path: str, key: str, item: dict[str, Any], noun: str, scope: Scope) -> None:
    names = item.get(key, WRONG)
    if names is WRONG:
        return
    for index, name in enumerate(names):
        if name is not WRONG:
            report_reference(reader, f"{path}.{key}[{index}]", noun, name, scope)
    if noun != "network" or "fleet" not in item:  # two NICs of a VM may be in one network
        report_twice(reader, f"{path}.{key}", names)


def _groups(reader: Reader, spec: dict[str, Any], scope: Scope) -> None:
    owners: dict[str, str] = {}
    for path, group in _each(spec, "spec", "groups"):
        name, rule = group["name"], group["rule"]
        if name is not WRONG and owners.setdefault(name, path) != path:
            reader.report(f"{path}.name", f"{quote(name)} is already the name of {owners[name]}")
        _places(reader, path, group, scope)
        if rule is WRONG:
            continue
        needed = _NEEDS.get(Rule(rule).aspect, "")
        for key in ("hosts", "zone"):
            if key == needed and key not in group:
                reader.report(f"{path}.{key}", f'is missing: the rule "{rule}" is about {key}')
            elif key != needed and key in group:
                reader.report(f"{path}.{key}", f'the rule "{rule}" names no {key}')


def _places(reader: Reader, path: str, item: dict[str, Any], scope: Scope) -> None:
    """Hosts and zones that it names."""
    if (hosts := item.get("hosts", WRONG)) is not WRONG:
        numbers: dict[int, str] = {}
        for index, name in enumerate(hosts):
            if name is WRONG:
                continue
            place = f"{path}.hosts[{index}]"
            report_host(reader, place, name, scope)
            number = host_number(name)
            if number is not None and numbers.setdefault(number, place) != place:
                reader.report(place, f"{quote(name)} occurs twice")
    if (host := item.get("host", WRONG)) is not WRONG:
        report_host(reader, f"{path}.host", host, scope)
    if (zone := item.get("zone", WRONG)) is not WRONG:
        report_reference(reader, f"{path}.zone", "zone", zone, scope)


def _expectation(reader: Reader, path: str, item: dict[str, Any], scope: Scope, made: dict[str, int]) -> None:
    _places(reader, path, item, scope)
    vm, fleet = item.get("vm", WRONG), item.get("fleet", WRONG)
    if vm is not WRONG:
        report_vm(reader, f"{path}.vm", vm, scope, made)
    if fleet is not WRONG:
        report_reference(reader, f"{path}.fleet", "fleet", fleet, scope, scope.shapes)
    if "host" in item and "hosts" in item:
        reader.report(f"{path}.hosts", 'belongs in place of "host", not beside it')
    says = () if item["kind"] is WRONG else _SAYS[item["kind"]]
    if says and not any(key in item for key in says):
        reader.report(path, f"expects nothing: say one of {', '.join(says)}")
    if item.get("state") == "off" and not {"host", "hosts", "zone"}.isdisjoint(item):
        reader.report(f"{path}.state", "a VM that is off is nowhere")
