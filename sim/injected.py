"""Faults that somebody outside asks for: checked like those of a scenario file, begun now, ended when that is asked for."""

from __future__ import annotations

import math
import re
from difflib import get_close_matches
from typing import Any

import msgspec

from ave.api.problems import FieldError, Invalid, NotFound, Taken
from ave.model.network import Network
from ave.model.vm import VM
from drivers.sim.runtime import SimRuntime
from sim import faults
from sim.scenario import problem
from sim.scenario.catalogue import Value
from sim.scenario.model import Event
from sim.scenario.moment import read_fault
from sim.story import Story
from sim.tables import CATALOGUE

ACTIVE_MOST = 200
SHOWN = 12  # names in a message


class Injected(msgspec.Struct, frozen=True, kw_only=True):
    """``until``: the moment at which it ends by itself, if it does. Seconds are simulated ones."""

    id: str
    fault: str
    target: tuple[str, ...]  # whom it has hit
    parameters: dict[str, Value]
    at: float
    until: float | None = None
    under_way: bool = False  # it lasts, and can be ended


class Injections:
    def __init__(self, story: Story) -> None:
        self._story = story
        self._runtime = SimRuntime(story.cluster.world, "injections")
        self._count = 0
        self.under_way: dict[str, Injected] = {}
        self._ends: dict[str, faults.Undo] = {}  # of those that are under way

    def read(self, said: Any) -> tuple[Event, tuple[str, ...]]:
        """The fault, and whom it would hit now. Raises Invalid, Taken."""
        ledger = self._story.cluster.store.ledger
        topology = self._story.scenario.topology
        networks = dict.fromkeys((*topology.networks, *(net.id for net in ledger.find(Network, {}, (), 0, None))))
        try:
            event = read_fault(said, CATALOGUE, topology, tuple(networks))
        except problem.Invalid as wrong:
            raise _invalid(wrong) from None
        if faults.FAULTS[event.name].kind.target == "vm" and event.target is not None:
            _require_known(event.target.names, [vm.id for vm in ledger.find(VM, {}, (), 0, None)])
        names = self._story.hit(event, f"injected/{self._count + 1}")
        if event.target is not None and not names:
            raise Taken("nobody is hit: of those named, or of that fleet or zone, none is there and runs")
        if len(self.under_way) >= ACTIVE_MOST:
            raise Taken(f"{ACTIVE_MOST} faults are under way: end some, DELETE /v1/faults/{{id}}")
        return event, names

    def begin(self, event: Event, names: tuple[str, ...]) -> Injected:
        self._count += 1
        now = self._story.cluster.world.now
        lasts = faults.FAULTS[event.name].kind.lasting
        injected = Injected(
            id=f"fault-{self._count}",
            fault=event.name,
            target=names,
            parameters=event.parameters,
            at=now,
            until=None if event.lasts is None else now + event.lasts,
            under_way=lasts,
        )
        if lasts:
            self.under_way[injected.id] = injected
        end = self._story.strike(event, names, lasting=lasts)
        if lasts:
            self._ends[injected.id] = end
        if event.lasts is not None:
            self._runtime.spawn(self._end_after(event.lasts, injected.id), name=injected.id)
        return injected

    def require_under_way(self, id: str) -> None:
        """Raises NotFound."""
        if id not in self.under_way:
            known = ", ".join(list(self.under_way)[:SHOWN]) or "none"
            raise NotFound(f"no fault {id} is under way; those that are: {known}")

    def end(self, id: str) -> Injected:
        injected = self.under_way.pop(id)
        self._ends.pop(id)()
        return msgspec.structs.replace(injected, under_way=False, until=self._story.cluster.world.now)

    async def _end_after(self, seconds: float, id: str) -> None:
        await self._runtime.sleep(seconds)
        if id in self.under_way:
            self.end(id)


def table() -> list[dict[str, Any]]:
    """All that can be done to a simulated cluster."""
    return [
        {
            "fault": fault.kind.name,
            "phrase": fault.kind.phrase,
            "theme": faults.THEME_OF[fault.kind.name],
            "target": fault.kind.target,
            "lasting": fault.kind.lasting,
            "covers": list(fault.covers),
            "parameters": [
                {
                    "name": each.name,
                    "unit": each.unit,
                    "required": each.default is None,
                    "default": each.default,
                    "low": each.low,
                    "high": None if math.isinf(each.high) else each.high,
                    "phrase": each.phrase,
                    "choices": [str(choice) for choice in each.choices],
                }
                for each in fault.kind.parameters
            ],
        }
        for fault in faults.FAULTS.values()
    ]


def _invalid(wrong: problem.Invalid) -> Invalid:
    errors = tuple(FieldError(_pointer(each.path), each.what) for each in wrong.problems)
    said = "; ".join(f"{each.path}: {each.what}".removeprefix(": ") for each in wrong.problems[:SHOWN])
    return Invalid(said, errors)


def _pointer(path: str) -> str:
    return "".join(f"/{step}" for step in re.split(r"[.\[\]]+", path) if step)


def _require_known(names: tuple[str, ...], known: list[str]) -> None:
    errors = []
    for place, name in enumerate(names):
        if name not in known:
            close = get_close_matches(name, known, n=1, cutoff=0.6)
            hint = f", did you mean {problem.quote(close[0])}?" if close else ""
            errors.append(FieldError(f"/target/{place}", f"unknown VM {problem.quote(name)}{hint}"))
    if errors:
        raise Invalid("; ".join(error.detail for error in errors[:SHOWN]), tuple(errors))
