"""A fault that somebody wants now: an entry of a timeline without its moment, as plain data instead of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from sim.scenario import nodes, schema
from sim.scenario.load import event
from sim.scenario.problem import Invalid, Problem
from sim.scenario.reader import WRONG, Reader
from sim.scenario.timeline import Scope, check_timeline

if TYPE_CHECKING:
    from sim.scenario.catalogue import Catalogue
    from sim.scenario.model import Event, Topology

NAME = "the request"
PLACE = "spec.timeline[0]"  # as paths begin; of no use to whoever asked


def read_fault(said: Any, catalogue: Catalogue, topology: Topology, networks: tuple[str, ...]) -> Event:
    """Raises Invalid, with all problems at once; a path is "" or begins with a key of what was said."""
    if not isinstance(said, dict):
        raise Invalid([Problem(NAME, 1, 1, "", "must be an object, such as {fault: host-crash, target: host-1}")])
    if "at" in said:
        raise Invalid([Problem(NAME, 1, 1, "at", "it begins now: leave it out")])
    text = msgspec.json.encode({**said, "at": "0s"})  # JSON is YAML
    document = nodes.parse(text, NAME)
    reader = Reader(NAME, document.repeated)
    raw = reader.read(schema.faults_of(catalogue), document.root, PLACE)
    scope = Scope(topology.size, dict(topology.zones), networks, fleets=None, masters=topology.masters)
    if raw is not WRONG:
        raw["kind"] = "fault"
        check_timeline(reader, [raw], WRONG, catalogue, scope)
    if reader.problems:
        raise Invalid([_from_here(problem) for problem in reader.problems])
    kind = next(kind for kind in catalogue.faults if kind.name == raw["fault"])
    return event(raw, kind.parameters, topology.size)


def _from_here(problem: Problem) -> Problem:
    return msgspec.structs.replace(problem, path=problem.path.removeprefix(PLACE).lstrip("."))
