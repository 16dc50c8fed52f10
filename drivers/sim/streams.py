"""Change streams: who watches what, and one client's watch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from ave.errors import Unavailable
from ave.ports.store import Commit, In, Where
from drivers.sim import physics
from drivers.sim.ledger import Ledger
from drivers.sim.runtime import SimRuntime, Wakeup

Key = tuple[str, str, Any]  # kind, field ("" is all of it), value


class Streams:
    """The watches that are told of each commit, by what they watch."""

    def __init__(self) -> None:
        self.watches: dict[SimWatch, None] = {}
        self._interest: dict[Key, dict[SimWatch, None]] = {}
        self._fields: dict[str, tuple[str, ...]] = {}  # kind -> fields by which it is watched

    def enrol(self, watch: SimWatch) -> None:
        self.watches[watch] = None
        for key in watch.keys:
            kind, field, _ = key
            if field not in self._fields.get(kind, ()):
                self._fields[kind] = (*self._fields.get(kind, ()), field)
            self._interest.setdefault(key, {})[watch] = None

    def forget(self, watch: SimWatch) -> None:
        self.watches.pop(watch, None)
        for key in watch.keys:
            self._interest.get(key, {}).pop(watch, None)

    def publish(self, commit: Commit) -> None:
        """Hand the commit to those whom it concerns; one commit may concern many, a quiet watch costs nothing."""
        concerned: dict[SimWatch, list[tuple[str, str, Any]]] = {}
        for change in commit.changes:
            kind, _, doc = change
            for field in self._fields.get(kind, ()):
                if field and doc is None:
                    keys = [key for key in self._interest if key[:2] == (kind, field)]  # deletions always pass
                else:
                    keys = [(kind, field, getattr(doc, field) if field else None)]
                for key in keys:
                    for watch in self._interest.get(key, ()):
                        seen = concerned.setdefault(watch, [])
                        if not seen or seen[-1] is not change:
                            seen.append(change)
        for watch, changes in concerned.items():
            watch.offer(Commit(commit.revision, commit.at, tuple(changes)))


class SimWatch:
    """One client's change stream. ``source`` is what its primary knows to be committed; ``saw`` tells the client."""

    def __init__(
        self,
        streams: Streams,
        runtime: SimRuntime,
        host: str,
        keys: tuple[Key, ...],
        source: Ledger,
        saw: Callable[[int], None],
    ) -> None:
        self.host, self.keys, self.source = host, keys, source
        self._seen = source.revision
        self._streams, self._runtime, self._saw = streams, runtime, saw
        self._pending: deque[Commit] = deque()
        self._waiter: Wakeup | None = None
        self.broken = False

    @property
    def revision(self) -> int:
        if not self._pending and not self.broken:
            self._seen = self.source.revision  # the stream says so even when nothing matches
        self._saw(self._seen)
        return self._seen

    def go_back(self, revision: int, commits: list[Commit]) -> None:
        """Begin after that revision, with what was committed since."""
        self._seen = revision
        for commit in commits:
            changes = tuple(change for change in commit.changes if _concerns(change, self.keys))
            if changes:
                self.offer(Commit(commit.revision, commit.at, changes))

    def offer(self, commit: Commit) -> None:
        if self._runtime.dead:
            self.close()
            return
        self._pending.append(commit)
        self._wake(physics.HOP_SECONDS)

    def break_off(self) -> None:
        if not self._pending and not self.broken:
            self._seen = self.source.revision
        self.broken = True
        self._streams.forget(self)
        self._wake(0.0)

    def fall_silent(self) -> None:
        """Nothing comes any more, and nobody says so: its reader finds out when no answer came for too long."""
        if not self._pending and not self.broken:
            self._seen = self.source.revision
        self._streams.forget(self)

        async def find_out() -> None:
            await self._runtime.sleep(physics.ANSWER_SECONDS)
            self.break_off()

        self._runtime.spawn(find_out(), name="silent stream")

    async def next(self) -> Commit:
        if not self._pending and not self.broken:
            self._waiter = Wakeup(self._runtime.world)
            try:
                await self._waiter
            finally:
                self._waiter = None
        if not self._pending:
            raise Unavailable("the change stream broke")
        commit = self._pending.popleft()
        self._seen = commit.revision
        self._saw(commit.revision)
        return commit

    def close(self) -> None:
        self.break_off()

    def _wake(self, delay: float) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.triggered:
            waiter._ok, waiter._value = True, None
            self._runtime.world.schedule(waiter, delay=delay)


def keys_of(kind: str, where: Where | None) -> tuple[Key, ...]:
    if not where:
        return ((kind, "", None),)
    ((field, value),) = where.items()
    return tuple((kind, field, v) for v in (value.values if isinstance(value, In) else (value,)))


def _concerns(change: tuple[str, str, Any], keys: tuple[Key, ...]) -> bool:
    kind, _, doc = change
    return any(
        kind == wanted and (not field or doc is None or getattr(doc, field) == value) for wanted, field, value in keys
    )
