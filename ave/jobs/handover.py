"""Hand-overs that nobody completed: a task's end that was recorded, and whose recorder died before it was folded.

Each worker minds the Jobs and groups in its own lane. It hears of them by the watch it has anyway, so a quiet one costs
nothing; only a plan that has not moved for a while is looked at. Job Recovery is the net for those whose worker is gone.
"""

from __future__ import annotations

from ave.errors import Unavailable, UnknownOutcome
from ave.jobs.crew import Crew
from ave.jobs.folding import fold
from ave.model.work import Work, WorkState
from ave.ports.store import Conflict
from ave.ports.together import Ports

STILL_SECONDS = 5.0  # a plan that has not moved for so long is looked at, every time it has not


class HandOvers:
    def __init__(self, ports: Ports, crew: Crew) -> None:
        self._ports, self._crew = ports, crew
        self._waiting: dict[str, float] = {}  # carrier -> since when its plan stands still; the stillest first
        self._some = ports.runtime.signal()

    def hear(self, work: Work) -> None:
        """A commit in our lane."""
        self._waiting.pop(work.id, None)
        if work.state is WorkState.WAITING:
            self._waiting[work.id] = self._ports.runtime.now()
            self._some.set()

    async def look(self) -> None:
        """Those that were there before we listened. Raises Unavailable."""
        lane = {"lane": self._ports.host, "state": WorkState.WAITING}
        for work in await self._ports.store.find(Work, lane, ("rank",)):
            self.hear(work)

    async def run(self) -> None:
        runtime = self._ports.runtime
        while True:
            await self._some.wait()
            self._some.clear()
            while self._waiting:
                oldest, since = next(iter(self._waiting.items()))
                if (left := since + STILL_SECONDS - runtime.now()) > 0:
                    await runtime.sleep(left)
                    continue
                del self._waiting[oldest]
                self._waiting[oldest] = runtime.now()  # to the end of the line
                try:
                    if not await self._fold(oldest):
                        self._waiting.pop(oldest, None)
                except (Unavailable, UnknownOutcome, Conflict):
                    pass  # the next look is the retry
                except Exception as bug:  # in one Job: no reason to leave the others
                    runtime.log("work is beyond mending", work=oldest, why=f"{type(bug).__name__}: {bug}")

    async def _fold(self, carrier: str) -> bool:
        """Fold what has ended; does it still wait?"""
        await fold(self._ports, self._crew, carrier)
        now = await self._ports.store.get(Work, carrier)
        return now is not None and now.state is WorkState.WAITING
