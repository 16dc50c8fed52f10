"""Cuts a failing scenario down: fewest faults, then fewest requests, hosts, VMs and seconds, while the same promise breaks.

Works on the file's own data, so that what is left is a file again. Whatever makes it invalid is no candidate. A smaller
scenario is another story by the same seed, so each is tried by a few seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec

from ave.errors import Refused
from sim.outcome import Outcome
from sim.scenario import nodes
from sim.scenario.load import load, loads
from sim.scenario.model import Scenario
from sim.scenario.problem import Invalid
from sim.scenario.timeline import host_number
from sim.scenario.units import seconds as seconds_of
from sim.scenario.write import write
from sim.tables import CATALOGUE

Document = dict[str, Any]
Run = Callable[[Scenario, int], Outcome]

MOST_TRIES = 400
SEEDS = 3
AFTER_SECONDS = 1.0  # of the violation, the run may end


def read(path: Path) -> Document:
    """The data of a scenario file. Raises Invalid."""
    load(path, CATALOGUE)
    document: Document = nodes.plain(nodes.read(path).root)
    return document


def of_run(folder: Path) -> Document:
    """Of what was played into that directory, with its seed. Raises Invalid, or Refused if nothing was."""
    summary = folder / "summary.json"
    if not summary.is_file():
        raise Refused(f"{folder} is not the directory of a run: it has no summary.json")
    played = msgspec.json.decode(summary.read_bytes(), type=_Played)
    document = read(folder / "scenario.yaml")
    return _with(document, "seed", played.seed)


class _Played(msgspec.Struct):
    seed: int


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """What is left: the file's data, and what its run breaks."""

    document: Document
    broken: str
    what: str
    at: float
    tries: int

    @property
    def faults(self) -> int:
        return _count(self.document, "fault")

    @property
    def text(self) -> str:
        return write(self.document, f"{self.broken}: {self.what}")


class Sound(Refused):
    """Nothing breaks in this scenario, so there is nothing to cut down."""


class _Enough(Exception):
    """No more tries."""


def broken_by(outcome: Outcome) -> str:
    """What must stay broken: the invariant, or the first threshold or expectation that was missed."""
    if outcome.violation is not None:
        return outcome.violation.invariant
    missed = [judged.expr for judged in outcome.thresholds if not judged.passed and judged.severity == "fail"]
    missed += [met.what for met in outcome.expected if not met.passed]
    return missed[0] if missed else ""


def shrink(
    document: Document,
    run: Run,
    *,
    folder: Path = Path(),
    most_tries: int = MOST_TRIES,
    seeds: int = SEEDS,
    progress: Callable[[Left], None] = lambda left: None,
    stop: Callable[[], bool] = lambda: False,
) -> Left:
    """Raises Sound if the scenario breaks nothing, and Invalid if it is none."""
    return _Shrinker(run, folder, most_tries, seeds, progress, stop).shrink(document)


class _Shrinker:
    def __init__(
        self,
        run: Run,
        folder: Path,
        most_tries: int,
        seeds: int,
        progress: Callable[[Left], None],
        stop: Callable[[], bool],
    ) -> None:
        self._run, self._folder, self._seeds = run, folder, seeds
        self._most, self._progress, self._stop = most_tries, progress, stop
        self._tries = 0
        self._left: Left

    def shrink(self, document: Document) -> Left:
        scenario = loads(write(document), CATALOGUE, self._folder / "shrunk.yaml")
        outcome = self._run(scenario, scenario.seed)
        if not (broken := broken_by(outcome)):
            raise Sound("nothing breaks in this scenario: there is nothing to cut down")
        self._tries = 1
        self._left = _left(document, broken, outcome, 1)
        self._progress(self._left)
        try:
            while self._round():
                pass
        except _Enough:
            pass
        return msgspec.structs.replace(self._left, tries=self._tries)

    def _round(self) -> bool:
        """Everything once; did it help?"""
        before = self._left.document
        self._accept(_until(before, self._left.at))
        self._fewest("timeline", lambda entry: "fault" in entry)
        self._fewest("timeline", lambda entry: "action" in entry)
        for smaller in (_fewer_hosts, _fewer_parts, _fewer_vms, _shorter):
            self._while_it_helps(smaller)
        return self._left.document != before

    def _fewest(self, key: str, which: Callable[[dict[str, Any]], bool]) -> None:
        """Delta debugging: leave out a half of these entries, then a quarter …, then each one."""
        size = len(self._chosen(key, which))
        while size >= 1:
            size = -(-size // 2) if size > 1 else 1
            start, helped = 0, False
            while start < len(chosen := self._chosen(key, which)):
                gone = dict.fromkeys(chosen[start : start + size])
                entries = self._left.document["spec"][key]
                kept = [entry for place, entry in enumerate(entries) if place not in gone]
                if self._accept(_with(self._left.document, key, kept)):
                    helped = True
                else:
                    start += size
            if size == 1 and not helped:
                return

    def _chosen(self, key: str, which: Callable[[dict[str, Any]], bool]) -> list[int]:
        return [place for place, entry in enumerate(self._left.document["spec"].get(key, [])) if which(entry)]

    def _while_it_helps(self, smaller: Callable[[Document], Iterator[Document]]) -> None:
        while any(self._accept(candidate) for candidate in smaller(self._left.document)):
            pass

    def _accept(self, candidate: Document) -> bool:
        """Take it if the same still breaks."""
        if candidate == self._left.document:
            return False
        try:
            scenario = loads(write(candidate), CATALOGUE, self._folder / "shrunk.yaml")
        except Invalid:
            return False
        for seed in range(scenario.seed, scenario.seed + self._seeds):
            if self._tries >= self._most or self._stop():
                raise _Enough
            self._tries += 1
            outcome = self._run(scenario, seed)
            if broken_by(outcome) == self._left.broken:
                self._left = _left(_with(candidate, "seed", seed), self._left.broken, outcome, self._tries)
                self._progress(self._left)
                return True
            self._progress(msgspec.structs.replace(self._left, tries=self._tries))
        return False


def _left(document: Document, broken: str, outcome: Outcome, tries: int) -> Left:
    if outcome.violation is not None:
        what, at = outcome.violation.what, outcome.violation.at
    else:
        what, at = "is missed", outcome.simulated_seconds
    return Left(document=document, broken=broken, what=what, at=at, tries=tries)


def _count(document: Document, key: str) -> int:
    return sum(key in entry for entry in document["spec"].get("timeline", []))


def _with(document: Document, key: str, value: Any) -> Document:
    return document | {"spec": document["spec"] | {key: value}}


def _until(document: Document, at: float) -> Document:
    """Without what comes after the violation: whatever is tried from now on costs less."""
    timeline = [entry for entry in document["spec"].get("timeline", []) if seconds_of(str(entry["at"])) <= at]
    end = min(seconds_of(str(document["spec"]["duration"])), at + AFTER_SECONDS)
    return _with(_with(document, "timeline", timeline), "duration", _written(end))


def _fewer_hosts(document: Document) -> Iterator[Document]:
    """Half of them, then one less. Whatever was aimed at one that is gone is aimed at one that is left."""
    topology = document["spec"]["topology"]
    size = topology.get("hosts")
    if not isinstance(size, int):
        return
    for fewer in dict.fromkeys((size // 2, size - 1)):
        if not 1 <= fewer < size:
            continue
        smaller = deepcopy(document)
        spec = smaller["spec"]
        spec["topology"] |= {"hosts": fewer}
        if topology.get("masters", 1) > fewer:
            spec["topology"]["masters"] = 3 if fewer >= 3 else 1
        if "zones" in topology:
            spec["topology"]["zones"] = _scaled(topology["zones"], fewer)
        for entry in (*spec.get("timeline", []), *spec.get("groups", []), *spec.get("expect", [])):
            for key in ("target", "host", "hosts"):
                if key in entry:
                    entry[key] = _renamed(entry[key], fewer)
        yield smaller


def _scaled(zones: dict[str, int], hosts: int) -> dict[str, int]:
    total, left = sum(zones.values()), hosts
    scaled: dict[str, int] = {}
    for place, (zone, count) in enumerate(zones.items()):
        others = len(zones) - place - 1
        scaled[zone] = left if not others else max(1, min(round(count * hosts / total), left - others))
        left -= scaled[zone]
    return scaled


def _renamed(value: Any, hosts: int) -> Any:
    if isinstance(value, list):
        return list(dict.fromkeys(_renamed(item, hosts) for item in value))
    if not isinstance(value, str):
        return value
    if "," in value:
        return ",".join(dict.fromkeys(_renamed(part, hosts) for part in value.split(",")))
    number = host_number(value)
    return value if number is None else f"host-{(number - 1) % hosts + 1}"


def _fewer_parts(document: Document) -> Iterator[Document]:
    """Without zones, groups, further masters, a profile; without one fleet; without one parameter or target of an event."""
    spec = document["spec"]
    for key in ("zones", "primary", "exclusiveCpus", "masters"):
        if key in spec["topology"]:
            yield _with(document, "topology", _without(spec["topology"], key))
    for key in ("profile", "arms", "groups", "expect"):
        if key in spec:
            fleets = [_without(fleet, "groups") if key == "groups" else fleet for fleet in spec.get("workload", [])]
            yield document | {"spec": _without(spec, key) | {"workload": fleets}}
    for key in ("groups", "workload"):
        yield from (_with(document, key, items) for items in _each_left_out(spec.get(key, [])))
    for place, fleet in enumerate(spec.get("workload", [])):
        for key in ("groups", "pinned", "arrive", "life", "priority", "ha"):
            if key in fleet:
                yield _replaced(document, "workload", place, _without(fleet, key))
    for place, entry in enumerate(spec.get("timeline", [])):
        for key in entry:
            if key not in ("at", "fault", "action", "target", "for"):
                yield _replaced(document, "timeline", place, _without(entry, key))
        if isinstance(entry.get("target"), list):
            for names in _each_left_out(entry["target"]):
                yield _replaced(document, "timeline", place, entry | {"target": names[0] if len(names) == 1 else names})


def _fewer_vms(document: Document) -> Iterator[Document]:
    for place, fleet in enumerate(document["spec"].get("workload", [])):
        count = fleet.get("count", 1)
        for fewer in dict.fromkeys((count // 2, count - 1)):
            if 1 <= fewer < count:
                yield _replaced(document, "workload", place, fleet | {"count": fewer})


def _shorter(document: Document) -> Iterator[Document]:
    """Half the time before the first event, and between any two; then half the time after the last."""
    spec = document["spec"]
    timeline, duration = spec.get("timeline", []), seconds_of(str(spec["duration"]))
    moments = [seconds_of(str(entry["at"])) for entry in timeline]
    for place, at in enumerate(moments):
        gap = at - (moments[place - 1] if place else 0.0)
        for cut in (gap - 1.0, gap / 2):
            if cut >= 1.0:
                later = [
                    entry if moment < at else entry | {"at": _written(moment - cut)}
                    for entry, moment in zip(timeline, moments, strict=True)
                ]
                yield _with(_with(document, "timeline", later), "duration", _written(duration - cut))
    last = max(moments, default=0.0)
    for cut in ((duration - last) / 2, 60.0):
        if duration - cut > last + AFTER_SECONDS:
            yield _with(document, "duration", _written(duration - cut))


def _written(seconds: float) -> str:
    return f"{max(0.0, seconds):.3f}".rstrip("0").rstrip(".") + "s"


def _without(mapping: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name != key}


def _replaced(document: Document, key: str, place: int, item: Any) -> Document:
    items = list(document["spec"][key])
    items[place] = item
    return _with(document, key, items)


def _each_left_out(items: Sequence[Any]) -> Iterator[list[Any]]:
    if len(items) > 1:
        for place in range(len(items)):
            yield [item for at, item in enumerate(items) if at != place]
