"""What people read: a copy of the shown part of the store, fed by one watch, from which any reader catches up.

State is level-triggered: a reader who knows revision r is told every object whose last change is newer, once, so a slow
reader costs no queue and loses no state. The log is edge-triggered: a ring of lines, each with its number. No decision
may use any of it: it lags behind the store.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from ave.ports.store import Commit, Kind

MOST_TOMBSTONES = 50_000
MOST_LINES = 20_000
LINES_AT_ONCE = 500


class Delta(msgspec.Struct, frozen=True):
    """What a reader must change to be at ``revision``: documents in order of their last change, kind by kind.

    With ``reset`` the documents are all there are, and the reader forgets what it had.
    """

    revision: int
    docs: dict[str, list[Any]]
    gone: list[tuple[str, str]] = []  # kind and id
    reset: bool = False


class LogLine(msgspec.Struct, frozen=True):
    number: int  # counts from 1
    revision: int  # that was the last one then
    at: float
    who: str
    event: str
    fields: Mapping[str, Any]
    about: tuple[str, Any] | None = None  # kind and document: who may see that may read this


class Lines(msgspec.Struct, frozen=True):
    lines: list[LogLine]
    skipped: int  # lines between the last one the reader saw and the first of these


class Projection:
    """``docs`` and ``revisions`` are for reading: by kind, then by id, documents in order of their last change."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        shown = [kind.name for kind in kinds if kind.shown]
        self.docs: dict[str, dict[str, Any]] = {name: {} for name in shown}
        self.revisions: dict[str, dict[str, int]] = {name: {} for name in shown}
        self.revision = 0
        self.at = 0.0  # store time of the last commit
        self.logged = 0  # the number of the last log line
        self._ring: deque[LogLine] = deque(maxlen=MOST_LINES)
        self._gone: OrderedDict[tuple[str, str], int] = OrderedDict()  # in order of deletion
        self._forgotten = 0  # the revision up to which deletions may be unknown

    def load(self, everything: Commit) -> None:
        """Begin again from all documents there are, given as one commit; what was deleted before it is not known."""
        for name in self.docs:
            self.docs[name].clear()
            self.revisions[name].clear()
        self._gone.clear()
        self._forgotten = self.revision = everything.revision
        self.apply(everything)

    def apply(self, commit: Commit) -> None:
        revision = commit.revision
        if revision < self.revision:
            return  # a watch that was begun again may repeat itself
        self.revision, self.at = revision, commit.at
        for kind, id, doc in commit.changes:
            docs = self.docs.get(kind)
            if docs is None:
                continue
            known = docs.pop(id, None) is not None  # popped, so that it goes to the end
            if doc is not None:
                docs[id] = doc
                self.revisions[kind][id] = revision
                if not known:
                    self._gone.pop((kind, id), None)
            else:  # of one that is not known here another host may have told
                self.revisions[kind].pop(id, None)
                self._bury(kind, id, revision)

    def log(
        self, at: float, who: str, event: str, fields: Mapping[str, Any], about: tuple[str, Any] | None = None
    ) -> None:
        self.logged += 1
        self._ring.append(LogLine(self.logged, self.revision, at, who, event, fields, about))

    def since(self, revision: int) -> Delta:
        """All that changed after that revision, in time proportional to the changes."""
        reset = not self._forgotten <= revision <= self.revision  # beyond ours it is another projection's
        if reset:
            return Delta(self.revision, {kind: list(docs.values()) for kind, docs in self.docs.items()}, reset=True)
        changed = {}
        for kind, docs in self.docs.items():
            revisions = self.revisions[kind]
            newer = []
            for id in reversed(docs):
                if revisions[id] <= revision:
                    break
                newer.append(docs[id])
            if newer:
                newer.reverse()
                changed[kind] = newer
        gone = []
        for key, deleted in reversed(self._gone.items()):
            if deleted <= revision:
                break
            gone.append(key)
        gone.reverse()
        return Delta(self.revision, changed, gone)

    def lines(self, after: int, limit: int = LINES_AT_ONCE) -> Lines:
        """The newest log lines with a higher number than ``after``, and how many older ones are left out."""
        new = max(self.logged - after, 0)
        newest = list(islice(reversed(self._ring), min(new, limit)))
        newest.reverse()
        return Lines(newest, new - len(newest))

    def logged_at(self, revision: int) -> int:
        """The number of the last line that is not newer than that revision."""
        for line in reversed(self._ring):
            if line.revision <= revision:
                return line.number
        return self.logged - len(self._ring)

    def _bury(self, kind: str, id: str, revision: int) -> None:
        self._gone[kind, id] = revision
        self._gone.move_to_end((kind, id))
        if len(self._gone) > MOST_TOMBSTONES:
            _, self._forgotten = self._gone.popitem(last=False)
