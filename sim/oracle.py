"""The oracle: hands every fact and every commit to the invariants, and remembers enough to tell what led to a violation."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ave.operations import OPERATIONS
from ave.ports.store import Commit
from drivers.sim.facts import Disturbed, Joined, Powered, Revoked
from sim.cluster import SimCluster
from sim.invariants import TABLE, Invariant, Stage
from sim.violation import Violation

MEMORY = 20_000  # events kept for the causal slice
SLICE = 50  # events of a causal slice
ROUTINE = ("Wrote",)
TICK_SECONDS = 1.0  # of the world's time; promises that end by the clock are looked at so often
OPERATIONS_OF_JOBS = tuple(f"{operation}{mark}" for operation in OPERATIONS for mark in "-@")
ABOUT_HOSTS = (Disturbed, Powered, Joined, Revoked)


class Event(msgspec.Struct, frozen=True):
    at: float
    text: str
    keys: tuple[str, ...]


class Oracle:
    def __init__(self, cluster: SimCluster) -> None:
        world = cluster.world
        self._now: Callable[[], float] = lambda: world.now
        self.stage = Stage(cluster.machines, cluster.storage, cluster.store, cluster.timing, self._now)
        self.invariants: list[Invariant] = [invariant(self.stage) for invariant in TABLE]
        self._handlers: dict[Any, list[Callable[[Any], None]]] = {}
        self._due = 0.0
        for told in (self.stage.calm.handlers(), *(invariant.handlers() for invariant in self.invariants)):
            for key, handler in told.items():
                self._handlers.setdefault(key, []).append(handler)
        self._events: deque[Event | tuple[float, Any]] = deque(maxlen=MEMORY)
        cluster.listeners.append(self.saw)
        cluster.store.ledger.listeners.append(self.committed)

    def saw(self, fact: Any) -> None:
        kind = type(fact)
        now = self._now()
        if kind.__name__ not in ROUTINE:
            self._events.append((now, fact))
        for handler in self._handlers.get(kind, ()):
            handler(fact)
        if now >= self._due:
            self._tick()

    def committed(self, commit: Commit) -> None:
        handlers = self._handlers
        for kind, id, doc in commit.changes:
            if kind in handlers:
                change = (id, doc)
                for handler in handlers[kind]:
                    handler(change)
        self._events.append((commit.at, commit))
        if self._now() >= self._due:
            self._tick()

    def _tick(self) -> None:
        """Once a commit or a fact has been told whole: what it changes together is then seen together."""
        now = self._now()
        self._due = now + TICK_SECONDS
        self.stage.calm.look()
        for handler in self._handlers.get("tick", ()):
            handler(now)

    def told(self, process: str, event: str, fields: dict[str, Any]) -> None:
        self._events.append((self._now(), (process, event, fields)))
        if event == "work stumbles" and fields["work"] not in self.stage.poisoned:
            raise Violation("crash", f"a bug in {fields['work']}: {fields['why']}", tuple(_names([fields["work"]])))

    def end(self) -> None:
        self._tick()
        for handler in self._handlers.get("end", ()):
            handler(None)

    def armed(self) -> dict[str, int]:
        return {invariant.id: invariant.armed for invariant in self.invariants}

    def slice(self, violation: Violation) -> list[Event]:
        """The last events about what the violation names and the Jobs that acted on it, and what befell its hosts."""
        things = dict.fromkeys(violation.keys)
        hosts: dict[str, None] = {}
        found: list[Event] = []
        for at, what in reversed(self._events):
            event = _event(at, what)
            about_host = isinstance(what, ABOUT_HOSTS) and any(key in hosts for key in event.keys)
            if not about_host and not any(key in things for key in event.keys):
                continue
            for key in event.keys:
                if key in self.stage.machines:
                    hosts[key] = None
                elif key.startswith(OPERATIONS_OF_JOBS) and "/" not in key:
                    things[key] = None  # a Job that acted on it; not the other resources of that Job
            found.append(event)
            if len(found) == SLICE:
                break
        return found[::-1]


def _event(at: float, what: Any) -> Event:
    if isinstance(what, Commit):
        changed = [(kind, id, doc) for kind, id, doc in what.changes if kind != "handler"]
        text = "commit " + ", ".join(f"{kind} {id}{_last_move(doc)}" for kind, id, doc in changed)
        return Event(at, text, tuple(_names(id for _, id, _ in changed)))
    if isinstance(what, tuple):
        process, event, fields = what
        text = f"{process} {event} " + " ".join(f"{k}={v}" for k, v in fields.items())
        return Event(at, text, tuple(_names(str(v) for v in fields.values())))
    fields = msgspec.structs.asdict(what)
    text = f"world {type(what).__name__.lower()} " + " ".join(f"{k}={v}" for k, v in fields.items())
    words = [word for v in fields.values() for word in (v if isinstance(v, tuple) else (v,)) if isinstance(word, str)]
    return Event(at, text, tuple(_names(words)))


def _names(texts: Iterable[str]) -> Iterable[str]:
    """What may be looked for: the thing itself, and what stands behind a kind ("vm/web-1") or before a step."""
    for text in texts:
        if text:
            yield text
            yield from (part for part in text.split("/") if part != text)


def _last_move(doc: Any) -> str:
    story = getattr(doc, "story", ())
    return f" ({story[-1]})" if story else " (deleted)" if doc is None else ""
