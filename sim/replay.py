"""A recorded run as a world that can be asked: the same lists, streams and explanations as of a live cluster, at any moment.

What happened then cannot be changed. Nothing here knows real time or who asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import groupby
from math import inf
from random import Random
from typing import Any, NoReturn

from ave.api.desk import Answer, Desk, Manner, open_desk
from ave.api.history import History
from ave.api.problems import Taken
from ave.api.questions import QUESTIONS
from ave.api.view import SHOWN
from ave.errors import Unavailable
from ave.model.access import Caller
from ave.ports.store import Commit, In
from ave.ports.together import Ports
from sim.collecting import uncollected
from sim.moment import LOG, Text, moment_of, read
from sim.record import Mark
from sim.recording import Recording

HOST = "recording"
LEAD_SECONDS = 20.0  # so far at least goes the log back from the moment that is sought
READS = ("list", "show", "explain-placement")

_TYPES = {kind.name: kind.type for kind in SHOWN}


class Replay:
    """``now`` is between ``begin`` and ``end``; what is damaged ends where ``damage`` says. ``jumps`` counts the seeks: across
    one, revisions mean nothing."""

    extensions: tuple[str, ...] = ("clock", "clock.seek")
    past, broken, host = True, "", HOST

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.jumps = 0
        self.now = self.begin = recording.start
        self.seek(self.begin)

    @property
    def end(self) -> float:
        return max(self._recording.end, self.begin)

    @property
    def damage(self) -> str:
        return self._recording.damage or ""

    @property
    def partial(self) -> bool:
        return self._recording.partial

    def marks(self) -> Sequence[Mark]:
        return self._recording.marks

    # Time

    def seek(self, at: float | str) -> None:
        """Be as it was then; before the begin as at the begin, and after the end, or "live", as at the end."""
        self.jumps += 1
        with uncollected(kept=True):
            self._show(self.end if isinstance(at, str) else min(max(at, self.begin), self.end))

    def _show(self, t: float) -> None:
        moment = moment_of(self._recording.text(t, LEAD_SECONDS))
        t = min(t, self.end)  # on the way there damage may have been found
        self.now = t
        ports = Ports(HOST, _Still(self), _Past(self), None, None, None)  # type: ignore[arg-type]
        self._desk, self.view = open_desk(ports, hurried=lambda: True)
        self.view.history = _Charts(self._recording.series)
        everything = tuple((kind, id, doc) for kind, docs in moment.docs.items() for id, doc in docs.items())
        self.view.show(Commit(moment.rev, t, everything))
        for line in moment.log:
            self.view.projection.log(*line)
        self._lines = map(read, self._recording.texts(t))
        self._next = next(self._lines, None)

    def peek(self) -> float:
        return inf if self._next is None else self._next.t

    def advance(self, until: float) -> None:
        """All that happened by then has happened."""
        for (rev, t, told), lines in groupby(self._due(until), key=lambda line: (line.rev, line.t, line.kind == LOG)):
            if told:
                for line in lines:
                    if (fault := line.fault) is not None:
                        self.view.projection.log(*fault)
            else:
                self.view.apply(Commit(rev, t, tuple(line.change for line in lines if line.kind in _TYPES)))
        self.now = max(self.now, min(until, self.end))

    def pause(self, paused: bool) -> None:
        """It waits for nobody anyway."""

    def _due(self, until: float) -> Iterator[Text]:
        while self._next is not None and self._next.t <= until:
            line = self._next
            self._next = next(self._lines, None)
            yield line

    # The API

    @property
    def desk(self) -> Replay:
        return self

    async def ask(self, caller: Caller, name: str, request: Any, manner: Manner) -> Answer:
        """As of a desk. Raises Taken: that would change something."""
        question = QUESTIONS.get(name)
        if not manner.dry_run if question is None else question.verb not in READS:
            refuse()
        desk: Desk = self._desk
        return await desk.ask(caller, name, request, manner)

    def runtime(self) -> NoReturn:
        refuse()

    def drop(self, task: Any) -> None:
        """Nothing goes on here that could be dropped."""

    def faults(self) -> Any:
        refuse()

    def begin_fault(self, said: Any) -> Any:
        refuse()

    def end_fault(self, id: str) -> Any:
        refuse()


def refuse() -> NoReturn:
    raise Taken("what is recorded has happened: it can be looked at, and not be changed")


class _Charts(History):
    """Those of the whole run, as they were recorded."""

    def __init__(self, columns: dict[str, list[float | None]]) -> None:
        super().__init__()
        self._columns = columns

    def begin(self, docs: Any) -> None:
        """There is nothing to count."""

    def change(self, at: float, changes: Any) -> None:
        """There is nothing to count."""

    def columns(self) -> dict[str, list[Any]]:
        return {"t": [], **self._columns}


class _Past:
    """A store that can be read as far as the recording has it."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay

    async def get(self, type: type[Any], id: str) -> Any:
        return self._docs(type).get(id)

    async def find(
        self, type: type[Any], where: Any = None, order: Any = (), limit: int = 0, after: Any = None
    ) -> list[Any]:
        docs = [doc for doc in self._docs(type).values() if all(_is(doc, *each) for each in (where or {}).items())]
        docs.sort(key=lambda doc: (*(getattr(doc, field) for field in order), doc.id))
        return docs[:limit] if limit else docs

    async def now(self) -> float:
        return self._replay.now

    async def commit(self, *writes: Any) -> Any:
        refuse()

    def _docs(self, type: type[Any]) -> dict[str, Any]:
        kind = next((name for name, known in _TYPES.items() if known is type), None)
        return self._replay.view.projection.docs[kind] if kind is not None else {}


def _is(doc: Any, field: str, wanted: Any) -> bool:
    value = getattr(doc, field)
    return value in wanted.values if isinstance(wanted, In) else bool(value == wanted)


class _Still:
    """A runtime in which nothing goes on."""

    def __init__(self, replay: Replay) -> None:
        self.random = Random(0)
        self._replay = replay

    def now(self) -> float:
        return self._replay.now

    def signal(self) -> _Flag:
        return _Flag()

    def timeout(self, seconds: float) -> Any:
        return nullcontext()


class _Flag:
    def __init__(self) -> None:
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True

    def clear(self) -> None:
        self._set = False

    async def wait(self) -> None:
        raise Unavailable("nobody can wait for anything in what has happened")
