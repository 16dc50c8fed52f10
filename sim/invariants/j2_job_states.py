from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ave.model.work import LEAD, Work
from sim.invariants.shape import Stage, Violation

# Written down here on purpose, and not taken from the control plane's own table: an oracle that shares it shares its bugs.
LEGAL = {
    "": ("queued", "ready"),
    "queued": ("ready", "cancelled"),
    "ready": ("running", "cancelled"),
    "running": ("queued", "ready", "waiting", "done", "failed", "cancelled"),
    "waiting": ("ready",),
    "done": (),
    "failed": (),
    "cancelled": (),
}


class JobStates:
    """Armed by every Job that reaches an end."""

    id = "J2"
    phrase = "Jobs move along their state machine, end once, and are done only if every task was"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._state: dict[str, str] = {}
        self._failed: dict[str, str] = {}  # Job -> a task of it that failed

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {"work": self.work}

    def work(self, change: tuple[str, Work | None]) -> None:
        id, work = change
        if work is None:
            return
        if work.function != LEAD:
            if work.state == "failed":
                self._failed[work.job] = id
            return
        before, now = self._state.get(id, ""), str(work.state)
        if now == before and LEGAL[now]:
            return
        if now not in LEGAL[before]:
            raise Violation(self.id, f"Job {id} went {before or 'from nothing'} -> {now}", (id,))
        if now == "done" and id in self._failed:
            raise Violation(self.id, f"Job {id} is done although its task {self._failed[id]} failed", (id,))
        self._state[id] = now
        self.armed += not LEGAL[now]
