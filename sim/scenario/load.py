"""From a file to a Scenario, or to every problem it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from sim.scenario import nodes, schema
from sim.scenario.check import check, shapes_of
from sim.scenario.matrix import Given, check_matrix, put
from sim.scenario.model import Event, Scenario, Target, Threshold, Topology, host_name
from sim.scenario.problem import Invalid
from sim.scenario.reader import WRONG, Reader
from sim.scenario.thresholds import split, value_in
from sim.scenario.timeline import host_number

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sim.scenario.catalogue import Catalogue, Parameter, Value


def load(path: Path, catalogue: Catalogue, given: Given = ()) -> Scenario:
    """Raises Invalid, with all problems at once. ``given``: values that stand in other places of its spec than the file has."""
    return _scenario(nodes.read(path), path, catalogue, given)


def loads(text: str, catalogue: Catalogue, path: Path, given: Given = ()) -> Scenario:
    """A scenario that is in no file yet; ``path`` names it in messages, and relative paths begin in its folder."""
    return _scenario(nodes.parse(text.encode(errors="surrogatepass"), str(path)), path, catalogue, given)


def _scenario(document: nodes.Document, path: Path, catalogue: Catalogue, given: Given) -> Scenario:
    reader = Reader(str(path), document.repeated)
    root = document.root
    for place, text in given:
        root = put(reader, root, place, nodes.scalar(text))
    raw = _read(reader, root, path, catalogue)
    if not reader.problems and not given:
        check_matrix(reader, root, raw["spec"], lambda other, varied: _read(other, varied, path, catalogue))
    if reader.problems:
        raise Invalid(reader.problems)
    spec = raw["spec"]
    topology = msgspec.convert(_topology(spec["topology"]), Topology)
    built = {
        "topology": topology,
        "metadata": raw["metadata"],
        "workload": [_workload(entry, path.parent) for entry in spec["workload"]],
        "timeline": _timeline(spec["timeline"], topology.size, catalogue),
        "groups": [_with_hosts(entry, topology.size) for entry in spec["groups"]],
        "expect": [_with_hosts(entry, topology.size) for entry in spec["expect"]],
        "thresholds": [_threshold(entry, catalogue.metrics[spec["mode"]]) for entry in spec["thresholds"]],
    }
    return msgspec.convert(spec | built, Scenario)


def _read(reader: Reader, root: nodes.Node, path: Path, catalogue: Catalogue) -> Any:
    raw = reader.read(schema.document(catalogue), root)
    if raw is not WRONG and raw["spec"] is not WRONG:
        check(reader, raw["spec"], catalogue, path.parent)
    return raw


def _topology(raw: dict[str, Any]) -> dict[str, Any]:
    shapes = shapes_of(raw)
    assert shapes is not None, "the check let it through"
    masters = 3 if sum(shape["hosts"] for shape in shapes) + raw["witness"] >= 3 else 1
    return {"masters": masters, **raw, "shapes": shapes}


def _workload(entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    return entry | {"trace": str(folder / entry["trace"])} if "trace" in entry else entry


def _timeline(entries: list[dict[str, Any]], hosts: int, catalogue: Catalogue) -> list[Event]:
    """In time order; those of one moment as the file has them."""
    kinds = {("fault", kind.name): kind.parameters for kind in catalogue.faults}
    kinds |= {("action", kind.name): kind.parameters for kind in catalogue.actions}
    events = [event(entry, kinds[entry["kind"], entry[entry["kind"]]], hosts) for entry in entries]
    return sorted(events, key=lambda event: event.at)


def event(entry: dict[str, Any], parameters: tuple[Parameter, ...], hosts: int) -> Event:
    target = entry.get("target")
    if target is not None:
        names = tuple(_host_or_vm(name, hosts) for name in target.get("names", ()))
        target = msgspec.convert(target | {"names": names}, Target)
    return Event(
        at=entry["at"],
        kind=entry["kind"],
        name=entry[entry["kind"]],
        target=target,
        lasts=entry.get("lasts"),
        parameters={each.name: _given(entry, each) for each in parameters},
    )


def _given(entry: dict[str, Any], parameter: Parameter) -> Value:
    given: object = entry.get(parameter.name, parameter.default)
    assert isinstance(given, float | int | str), "without a default it is required"
    return given


def _host_or_vm(name: str, hosts: int) -> str:
    number = host_number(name)
    return name if number is None else host_name(number, hosts)


def _with_hosts(entry: dict[str, Any], hosts: int) -> dict[str, Any]:
    """Its hosts by their own names; the only one is one of a list."""
    named = entry.get("hosts", [entry["host"]] if "host" in entry else [])
    return entry | {"hosts": [_host_or_vm(name, hosts) for name in named]}


def _threshold(entry: dict[str, Any], metrics: Mapping[str, str]) -> Threshold:
    metric, op, value = split(entry["expr"])
    written = {"metric": metric, "op": op, "value": value_in(metrics[metric], value)}
    return msgspec.convert(entry | written, Threshold)
