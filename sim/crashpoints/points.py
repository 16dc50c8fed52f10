"""Where the coroutines that work for a Job stand still, counted as they do so.

Coroutines are wrapped, not the runtime that drives them: a world in which nobody counts does not know of it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping
from types import CodeType, FrameType
from typing import Any, TypeVar

import msgspec

from ave.model.work import Work
from drivers.sim.runtime import SimRuntime, SimTask

T = TypeVar("T")

# Services that also work for Jobs, and the function in which each waits for some; there it stands still for nobody.
SERVICES: Mapping[str, str] = {
    "claim": "Worker._claim_for_ever",
    "hand over": "HandOvers.run",
    "recovery": "Recovery.run",
    "timetable": "Timetable.run",
    "act": "Monitor._act_for_ever",
}


class Place(msgspec.Struct, frozen=True, order=True):
    """One ``await`` in the source."""

    file: str
    line: int
    column: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.function}"


class Point(msgspec.Struct, frozen=True):
    """One suspension: the ``nth`` of its run, counted from 1, and the innermost await of the control plane."""

    nth: int
    process: str
    task: str
    place: Place

    @property
    def host(self) -> str:
        return self.process.partition("/")[0]


class Counter:
    """Counts from ``begin`` to ``end`` what works for Jobs whose id the predicate accepts. ``on_point`` may strike there."""

    def __init__(self, ours: Callable[[str], bool], on_point: Callable[[Point], None] = lambda point: None) -> None:
        self.points: list[Point] = []
        self.passed: dict[Place, None] = {}  # every await that was under way at some point, not the innermost alone
        self._ours, self._on_point = ours, on_point
        self._counting = False

    def begin(self) -> None:
        self._counting = True

    def end(self) -> None:
        self._counting = False

    def stands(self, process: str, task: str, coro: Any) -> None:
        """This task has just awaited something."""
        if not self._counting:
            return
        service = task in SERVICES
        if not service and not self._ours(task):
            return
        frames = list(_frames(coro))
        if not frames or (service and not self._serves(task, frames)):
            return
        places = [_place(frame) for frame in frames]
        self.passed.update(dict.fromkeys(places))
        point = Point(len(self.points) + 1, process, task, places[-1])
        self.points.append(point)
        self._on_point(point)

    def _serves(self, task: str, frames: list[FrameType]) -> bool:
        """A claim is for whoever is ready; other services are at work on what one of their variables names."""
        if frames[-1].f_code.co_qualname == SERVICES[task]:
            return False
        return task == "claim" or any(self._names(value) for frame in frames for value in frame.f_locals.values())

    def _names(self, value: Any) -> bool:
        return (isinstance(value, str) and self._ours(value)) or (isinstance(value, Work) and self._ours(value.job))


class Counted(Coroutine[Any, Any, T]):
    """A coroutine that says when it stands still."""

    def __init__(self, coro: Coroutine[Any, Any, T], process: str, task: str, counter: Counter) -> None:
        self._coro, self._process, self._task, self._counter = coro, process, task, counter

    def send(self, value: Any) -> Any:
        awaited = self._coro.send(value)
        self._counter.stands(self._process, self._task, self._coro)
        return awaited

    def throw(self, *error: Any) -> Any:
        awaited = self._coro.throw(*error)
        self._counter.stands(self._process, self._task, self._coro)
        return awaited

    def close(self) -> None:
        self._coro.close()

    def __await__(self) -> Iterator[Any]:  # type: ignore[override]
        raise TypeError("it is driven, not awaited")


class CountedRuntime:
    """A simulated process's Runtime, whose tasks are counted."""

    def __init__(self, runtime: SimRuntime, counter: Counter) -> None:
        self._runtime, self._counter = runtime, counter
        self.random = runtime.random
        self.now, self.sleep, self.timeout = runtime.now, runtime.sleep, runtime.timeout
        self.signal, self.secret, self.log = runtime.signal, runtime.secret, runtime.log

    def spawn(self, coro: Coroutine[Any, Any, Any], *, name: str) -> SimTask:
        return self._runtime.spawn(Counted(coro, self._runtime.name, name, self._counter), name=name)


def _frames(coro: Any) -> Iterator[FrameType]:
    """The control plane's frames of a coroutine that stands still, from the outside in."""
    while coro is not None:
        frame: FrameType | None = getattr(coro, "cr_frame", None)
        if frame is None:
            return
        if str(frame.f_globals.get("__name__", "")).startswith("ave."):
            yield frame
        coro = coro.cr_await


_places: dict[tuple[CodeType, int], Place] = {}


def _place(frame: FrameType) -> Place:
    code, at = frame.f_code, frame.f_lasti
    known = _places.get((code, at))
    if known is None:
        line, _, column, _ = list(code.co_positions())[at // 2]
        file = str(frame.f_globals["__name__"]).replace(".", "/") + ".py"
        known = _places[code, at] = Place(file, line or 0, column or 0, code.co_qualname)
    return known
