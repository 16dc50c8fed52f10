"""A world that is served, and all that it has been: another moment can be sought, while it stands still as it is.

What is played forward from there comes to the present, and goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ave.api.view import View
from ave.errors import Refused
from ave.runtime import Task
from drivers.sim.runtime import SimRuntime
from sim.record import Mark
from sim.recording import Recording
from sim.replay import Replay
from sim.served import Served

NO_WAY_BACK = "what is shown has happened: nothing can be done to it. Let it show the present first"


class Showing:
    """``recorded`` says what a recording has by now: up to that very moment."""

    extensions: tuple[str, ...] = ("clock", "clock.seek", "faults")
    begin, partial, damage = 0.0, True, ""

    def __init__(self, live: Served, recorded: Callable[[], Recording]) -> None:
        self._live, self._recorded = live, recorded
        self._replay: Replay | None = None
        self._paused = False
        self.jumps = 0

    @property
    def _shown(self) -> Served | Replay:
        return self._replay if self._replay is not None else self._live

    # Time

    @property
    def past(self) -> bool:
        return self._replay is not None

    @property
    def now(self) -> float:
        return self._shown.now

    @property
    def end(self) -> float:
        return self._live.now

    @property
    def broken(self) -> str:
        return self._shown.broken

    def peek(self) -> float:
        if self._replay is not None:
            return min(self._replay.peek(), self.end)
        return self._live.peek()

    def advance(self, until: float) -> None:
        if self._replay is None:
            self._live.advance(until)
        elif until < self.end:
            self._replay.advance(until)
        else:
            self._return()

    def pause(self, paused: bool) -> None:
        self._paused = paused
        if self._replay is None:
            self._live.pause(paused)

    def seek(self, at: float | str) -> None:
        """The present is sought by "live", or by a moment that is still to come."""
        if isinstance(at, str) or at >= self.end:
            self._return()
            return
        self.jumps += 1
        if self._replay is None:
            self._live.pause(True)
            self._replay = Replay(self._recorded())
        self._replay.seek(at)

    def _return(self) -> None:
        if self._replay is not None:
            self._replay = None
            self.jumps += 1
            self._live.pause(self._paused)

    # The API

    @property
    def host(self) -> str:
        return self._live.host

    @property
    def desk(self) -> Served | Replay:
        return self._shown.desk

    @property
    def view(self) -> View:
        return self._shown.view

    def runtime(self) -> SimRuntime:
        return self._shown.runtime()

    def drop(self, task: Task[Any]) -> None:
        self._live.drop(task)

    def marks(self) -> Sequence[Mark]:
        return self._live.marks()

    def faults(self) -> Any:
        return self._live.faults()

    def begin_fault(self, said: Any) -> Any:
        self._require_present()
        return self._live.begin_fault(said)

    def end_fault(self, id: str) -> Any:
        self._require_present()
        return self._live.end_fault(id)

    def _require_present(self) -> None:
        if self._replay is not None:
            raise Refused(NO_WAY_BACK)
