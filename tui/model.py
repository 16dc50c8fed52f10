"""What the screens show: a copy of what the API tells, kept by deltas. It knows no network, no screen and no real time.

What is told is gathered by ``feed`` and becomes visible by ``flush``, all at once: between two values of ``revision``
nothing moves. So an object that changes a thousand times between two flushes costs a screen one change.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from enum import StrEnum
from math import inf
from typing import Any, cast

import msgspec

from ave.api.nouns import NOUNS
from tui.held import Held, Holdings
from tui.telling import LogLine, told

LOG_MOST = 20_000
SERIES_MOST = 4_000  # points of a chart: 11 hours at one every 10 s
TASK = "task"

Doc = dict[str, Any]
Docs = dict[str, Doc]

#: What the stream is asked for; tasks come with their Jobs.
WATCHED: tuple[str, ...] = tuple(noun.name for noun in NOUNS.values() if noun.viewed)


class State(StrEnum):
    """Of the conversation with the API."""

    CONNECTING = "connecting"
    LIVE = "live"
    SLOW = "slow"  # connected, and nothing was heard for too long
    LOST = "lost"  # what is shown is old


class Mark(msgspec.Struct, frozen=True):
    """Something to find again on the line of time: a fault."""

    t: float
    text: str


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """As the API tells it (docs/api.md): of a simulation or a recording, whose time can be moved."""

    now: float
    speed: float | str = 1.0
    paused: bool = False
    step: float = 0.0
    pace: float = 0.0
    lost: float = 0.0
    host: str = ""
    broken: str = ""
    begin: float = 0.0  # from when on it can be sought
    end: float = 0.0  # and up to when
    past: bool = False  # it shows what was, while the world stands at ``end``
    marks: int = 0  # how many there are by now
    damage: str = ""  # of a recording, if it cannot be read to its end


class Model:
    """``docs`` and all else are for reading. A noun that nobody has heard of yet has an empty dict."""

    def __init__(self) -> None:
        self.revision = 0  # grows with whatever can be seen
        self.docs: dict[str, Docs] = {name: {} for name in (*WATCHED, TASK)}
        #: The revision since which a thing is as it is; what changed last stands last.
        self.stamp: dict[str, dict[str, int]] = {name: {} for name in self.docs}
        self.counts: dict[str, int] = dict.fromkeys(self.docs, 0)  # the revision of the last change of that noun
        self.members: dict[str, int] = dict.fromkeys(self.docs, 0)  # grows as things come and go
        self.states: dict[str, Counter[str]] = {name: Counter() for name in self.docs}
        self.log: deque[LogLine] = deque(maxlen=LOG_MOST)
        self.logged = 0  # lines so far, those that were skipped too
        self.series: dict[str, deque[tuple[float, float]]] = {}
        self.marks: list[Mark] = []
        self.clock: Clock | None = None
        self.state, self.why = State.CONNECTING, ""
        self.host = ""  # who answers
        self.fed = True  # does that host hear its store?
        self.resets = 0  # how often everything was told anew
        self._told_at = (0.0, 0.0)  # the store's time, and ours when it was told
        self._holdings = Holdings()
        self._parts: dict[str, dict[str, None]] = {}
        self._pending: dict[str, dict[str, Doc | None]] = {}
        self._pending_log: list[Doc] = []
        self._reset = self._dirty = False

    # For screens

    @property
    def held(self) -> Mapping[str, Held]:
        """What VMs hold of each host; a host that holds none has no entry."""
        return self._holdings.by_host

    def changed(self, noun: str, since: int) -> list[str]:
        """Ids of what has come or is another since that revision. It costs no more than there are of them."""
        found = []
        for id, stamp in reversed(self.stamp[noun].items()):
            if stamp <= since:
                break
            found.append(id)
        return found

    def parts(self, job: str) -> list[Doc]:
        """The tasks of a Job, in the order in which they were submitted."""
        tasks = self.docs[TASK]
        found = [tasks[id] for id in self._parts.get(job, ()) if id in tasks]
        return sorted(found, key=lambda task: (task["submitted"], task["id"]))

    def now(self, real: float) -> float:
        """The store's time in seconds, ``real`` being ours (monotonic): as it was told last, and gone on as it goes."""
        at, since = self._told_at
        if self.state in (State.CONNECTING, State.LOST):
            return at
        if self.clock is None:
            return at + (real - since)
        if (self.clock.paused and not self.clock.step) or self.clock.broken:
            return at
        pace = self.clock.pace if isinstance(self.clock.speed, str) else self.clock.speed
        return at + pace * min(real - since, 2.0)

    # For whoever keeps it

    @property
    def dirty(self) -> bool:
        """Is there anything that a flush would show?"""
        return self._dirty

    def feed(self, event: str, body: Mapping[str, Any], real: float) -> None:
        """One event of the stream; ``real``: when it came (monotonic seconds)."""
        self._dirty = True
        if event == "clock":
            self.set_clock(msgspec.convert(body, Clock), real)
            return
        if event == "time":
            self.fed = bool(body.get("fed", True))
            if self.clock is None:
                self._told_at = (float(body["now"]), real)
            return
        if event == "reset":
            self._reset = True
            self._pending.clear()
            self._pending_log.clear()
        for name, docs in body.items():
            if name in self.docs:
                self._pending.setdefault(name, {}).update({doc["id"]: doc for doc in docs})
        for name, id in body.get("gone", ()):
            if name == "job" and (id in self.docs[TASK] or id in self._pending.get(TASK, ())):
                name = TASK  # both are works to the store, and it is the store that tells what is gone
            if name in self.docs:
                self._pending.setdefault(name, {})[id] = None
        self._pending_log += body.get("log", ())
        self.logged += int(body.get("log_skipped", 0))
        for row in body.get("sample", ()):
            self.sample(row)

    def set_clock(self, clock: Clock, real: float) -> None:
        """Who asks for another moment is answered before the stream tells it."""
        self.clock, self._told_at = clock, (clock.now, real)

    def link(self, state: State, why: str = "") -> None:
        if (state, why) != (self.state, self.why):
            self.state, self.why = state, why
            self._dirty = True

    def sample(self, row: Mapping[str, float | None]) -> None:
        """One point of every chart; "t" is when. What is older than the last one begins a new past."""
        t = row["t"]
        assert t is not None, "a sample has a time"
        for name, value in row.items():
            if name == "t" or value is None:
                continue
            line = self.series.setdefault(name, deque(maxlen=SERIES_MOST))
            while line and line[-1][0] >= t:
                line.pop()
            line.append((t, value))
        self._dirty = True

    def history(self, columns: Mapping[str, list[float | None]], marks: Iterable[Mark]) -> None:
        """All points that whoever answers has: columns of equal length, "t" is when. What is older is kept: another host may
        know less of it than the one before."""
        times = columns.get("t", [])
        for name, values in columns.items():
            if name != "t":
                found = [
                    (t, value) for t, value in zip(times, values, strict=True) if t is not None and value is not None
                ]
                begin = found[0][0] if found else inf
                known = [point for point in self.series.get(name, ()) if point[0] < begin]
                self.series[name] = deque([*known, *found], maxlen=SERIES_MOST)
        self.marks = list(marks)
        self._dirty = True

    def flush(self) -> bool:
        """What was gathered is there. Was there anything?"""
        if not self._dirty:
            return False
        self._dirty = False
        self.revision += 1
        if self._reset:
            self._begin_anew()
        for name, docs in self._pending.items():
            self._apply(name, docs)
        self._pending = {}
        for line in self._pending_log:
            self.logged += 1
            self.log.append(told(self.logged, line))
        self._pending_log = []
        return True

    def _begin_anew(self) -> None:
        """Stamps only grow: what is drawn must not be taken for what was drawn before."""
        self._reset = False
        self.resets += 1
        for name, docs in self.docs.items():
            docs.clear()
            self.stamp[name].clear()
            self.states[name].clear()
            self.counts[name] = self.revision
            self.members[name] += 1
        self.log.clear()
        self._holdings = Holdings()
        self._parts.clear()

    def _apply(self, name: str, news: Mapping[str, Doc | None]) -> None:
        docs, stamps, states, stamp = self.docs[name], self.stamp[name], self.states[name], self.revision
        holding, tasks = name == "vm", name == TASK
        self.counts[name] = stamp
        if not docs and None not in news.values():
            self._fill(name, cast("Mapping[str, Doc]", news))
            return
        for id, doc in news.items():
            old = docs.get(id)
            if old is None and doc is None:
                continue
            stamps.pop(id, None)
            if doc is None:
                del docs[id]
            else:
                docs[id] = doc
                stamps[id] = stamp
            if old is None or doc is None:
                self.members[name] += 1
            before = None if old is None else old.get("state")
            after = None if doc is None else doc.get("state")
            if before != after:
                if before is not None:
                    states[before] -= 1
                if after is not None:
                    states[after] += 1
            if holding:
                self._holdings.change(id, old, doc)
            elif tasks:
                self._file(id, old, doc)

    def _fill(self, name: str, news: Mapping[str, Doc]) -> None:
        """All that there is of a kind, at once: there may be 50,000, and people wait."""
        self.docs[name].update(news)
        self.stamp[name].update(dict.fromkeys(news, self.revision))
        self.members[name] += bool(news)
        self.states[name].update([state for doc in news.values() if (state := doc.get("state")) is not None])
        if name == "vm":
            for id, doc in news.items():
                self._holdings.change(id, None, doc)
        elif name == TASK:
            for id, doc in news.items():
                self._file(id, None, doc)

    def _file(self, id: str, old: Doc | None, doc: Doc | None) -> None:
        if doc is not None:
            self._parts.setdefault(doc["job"], {})[id] = None
        elif old is not None and (parts := self._parts.get(old["job"])) is not None:
            parts.pop(id, None)
            if not parts:
                del self._parts[old["job"]]
