from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from ave.model.work import ENDED, LEAD, Work, WorkState
from ave.operations import OPERATIONS
from drivers.sim.facts import Disturbed
from sim.invariants.shape import Stage, Violation

WINDOW_SECONDS = 300.0  # of Jobs that are counted before the trigger, and as long after it has been over for as long
JOBS = 25  # ended in the window before: with fewer, chance decides
SHARE = 0.9
NOT_BEGUN = (WorkState.QUEUED, WorkState.READY)


class RecoversItsPace:
    """Armed by every trigger after whose end the Job Center, before it well at work, is left in peace for ten minutes.

    Users may ask for less than before, so what must be done is nine tenths of what was asked for; and what is still to
    begin may be much only if it grows no older.
    """

    id = "H8"
    phrase = "five minutes after trouble ends Jobs are done as fast as before, or those that wait grow no older"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._asked: deque[float] = deque()  # when Jobs of users were submitted …
        self._ended: deque[float] = deque()  # … and when they ended
        self._waiting: dict[str, float] = {}  # Jobs that nobody has begun, the oldest first
        self._before: tuple[int, float] | None = (
            None  # Jobs ended in the window before the trouble, and the oldest's age
        )
        self._age = -1.0  # of the oldest, five minutes after the trouble
        self._judged = True

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {Disturbed: self.disturbed, "work": self.work, "tick": self.tick}

    def disturbed(self, _: Disturbed) -> None:
        if self._judged:  # else it is the same trouble still
            now = self._stage.now()
            self._before = (_since(self._ended, now - WINDOW_SECONDS), self._oldest(now))
        self._judged, self._age = False, -1.0

    def work(self, change: tuple[str, Work | None]) -> None:
        id, work = change
        if work is None or work.function != LEAD or not OPERATIONS[work.operation].by_user:
            return
        now = self._stage.now()
        if work.version == 1:
            self._asked.append(now)
        if work.state in NOT_BEGUN and not work.waits:
            self._waiting.setdefault(id, now)
        else:
            self._waiting.pop(id, None)
        if work.state in ENDED:
            self._ended.append(now)
        for moments in (self._asked, self._ended):
            while moments and moments[0] < now - 2 * WINDOW_SECONDS:
                moments.popleft()

    def tick(self, now: float) -> None:
        if self._judged or self._before is None:
            return
        peace = self._stage.calm.peace(0.0)
        if peace < WINDOW_SECONDS:
            self._age = -1.0
        elif self._age < 0.0:
            self._age = self._oldest(now)
        elif peace >= 2 * WINDOW_SECONDS:
            self._judged = True
            self._judge(now, *self._before)

    def _judge(self, now: float, ended_before: int, age_before: float) -> None:
        if ended_before < JOBS:
            return
        self.armed += 1
        asked, ended = (_since(moments, now - WINDOW_SECONDS) for moments in (self._asked, self._ended))
        age = self._oldest(now)
        if ended < SHARE * min(ended_before, asked) and age > age_before and age >= self._age:
            what = f"{ended} Jobs ended within 5 min, of {asked} asked for, and {ended_before} before the trouble"
            raise Violation(self.id, f"{what}; the oldest that waits has waited for {age:.0f} s", self._first())

    def _oldest(self, now: float) -> float:
        return now - next(iter(self._waiting.values()), now)

    def _first(self) -> tuple[str, ...]:
        return tuple(list(self._waiting)[:1])


def _since(moments: deque[float], moment: float) -> int:
    return sum(at > moment for at in moments)
