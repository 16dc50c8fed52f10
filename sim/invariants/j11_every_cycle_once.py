from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ave.model.work import LEAD, Work
from sim.invariants.shape import Stage, Violation

# Written down here on purpose, and not taken from the control plane's timetable.
PERIODS = {"vm.synchronise": 30.0, "host.report": 300.0, "jobs.recover": 60.0, "jobs.clean-up": 600.0}
PER_HOST = ("vm.synchronise", "host.report")
HOSTS_PER_PERIOD = 50
LATE_SECONDS = 15.0


class EveryCycleOnce:
    """Armed by every cycle that is submitted. Several masters submit each, and one insert wins."""

    id = "J11"
    phrase = "a scheduled Job comes every period, once per cycle, and is not repeated within it"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._seen: dict[str, None] = {}
        self._last = dict.fromkeys(PERIODS, 0.0)  # operation -> when it last was submitted
        longer = -(-len(stage.machines) // HOSTS_PER_PERIOD)
        self._gaps = {o: LATE_SECONDS + s * (longer if o in PER_HOST else 1) for o, s in PERIODS.items()}

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {"work": self.work, "tick": self.tick}

    def work(self, change: tuple[str, Work | None]) -> None:
        id, work = change
        if work is None or work.operation not in PERIODS:
            return
        if work.function != LEAD:
            if work.attempt > 1:
                raise Violation(self.id, f"{id} was begun {work.attempt} times in its cycle", (id, work.job))
            return
        if work.version != 1:
            return
        operation, _, cycle = id.rpartition("@")
        if operation != work.operation or not cycle.isdigit():
            raise Violation(self.id, f"{id} belongs to no cycle of {work.operation}", (id,))
        if id in self._seen:
            raise Violation(self.id, f"{id} was submitted a second time", (id,))
        self._seen[id] = None
        self._last[operation] = self._stage.now()
        self.armed += 1

    def tick(self, now: float) -> None:
        for operation, last in self._last.items():
            if self._stage.calm.lasted(last) > self._gaps[operation]:
                what = f"{operation} comes every {PERIODS[operation]:g} s, and {now - last:.0f} s ago was the last time"
                raise Violation(self.id, what, (operation,))
