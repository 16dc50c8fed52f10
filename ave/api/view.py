"""The view: a copy of what people see, fed by one watch of the store. No decision uses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ave.api.backlog import Backlog
from ave.api.epoch import epoch_of
from ave.api.history import History
from ave.api.telling import told
from ave.errors import Unavailable, UnknownOutcome
from ave.kinds import KINDS
from ave.model.work import LEAD, Work
from ave.ports.store import Commit, Kind, TooOld
from ave.ports.together import Ports
from ave.projection import Projection
from ave.runtime import Signal

RETRY_SECONDS = 1.0
STALE_SECONDS = 2.0  # what it is allowed to lag; a host that does not hear its store for longer says so
BEHIND_SECONDS = 2.0  # how long one waits for it to be as far as somebody has seen

SHOWN: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind.shown)


class View:
    """``run`` keeps it; everything else reads it. ``epoch`` tells its revisions from those that mean something else: revisions
    of one store mean the same on every host."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self.projection = Projection(KINDS)
        self.history = History()
        self.changed: Signal = ports.runtime.signal()  # set with every change; who waits clears it
        self.backlog = Backlog()
        self._parts: dict[str, dict[str, None]] = {}  # Job -> its tasks and groups
        self._at = self._heard = 0.0  # the store's time when it last said it, and ours
        self._fed = False
        self.epoch = ""  # not before it was fed

    @property
    def fed(self) -> bool:
        """Is it what the store holds, as far as anybody can know?"""
        return self._fed

    def docs(self, kind: str) -> Mapping[str, Any]:
        return self.projection.docs[kind]

    def parts(self, job: str) -> list[Work]:
        """The tasks and groups of a Job."""
        works = self.projection.docs["work"]
        return [works[id] for id in self._parts.get(job, ()) if id in works]

    def now(self) -> float:
        """The store's time, as well as it can be known without asking: for people, and for when a token is over."""
        return self._at + (self._ports.runtime.now() - self._heard)

    def require_fed(self) -> None:
        """Raises Unavailable."""
        if not self._fed:
            raise Unavailable(f"{self._ports.host} does not hear the store: it cannot say what there is")

    async def reach(self, revision: int) -> None:
        """Until it is as far as that. Raises Unavailable if that takes too long."""
        if self._fed and self.projection.revision >= revision:
            return
        try:
            async with self._ports.runtime.timeout(BEHIND_SECONDS):
                while self.projection.revision < revision or not self._fed:
                    await self.next()
        except TimeoutError:
            self.require_fed()
            raise Unavailable(f"{self._ports.host} has not yet heard of revision {revision}") from None

    async def until(self, kind: str, id: str, version: int) -> None:
        """Until it shows that version of a document, or a newer one; or for as long as it may lag."""
        try:
            async with self._ports.runtime.timeout(BEHIND_SECONDS):
                while (doc := self.projection.docs[kind].get(id)) is None or doc.version < version:
                    await self.next()
        except TimeoutError:
            pass

    async def next(self) -> None:
        self.changed.clear()
        await self.changed.wait()

    async def run(self) -> None:
        """For ever: read everything, follow, and begin again from where the stream broke."""
        while True:
            try:
                await self._follow()
            except (Unavailable, UnknownOutcome, TooOld):
                self._fed = False
                self.changed.set()
                await self._ports.runtime.sleep(RETRY_SECONDS)

    async def _follow(self) -> None:
        store = self._ports.store
        self.epoch = await epoch_of(self._ports)
        watch = await store.watch([kind.type for kind in SHOWN])
        try:
            since = watch.revision
            changes = [(kind.name, doc.id, doc) for kind in SHOWN for doc in await store.find(kind.type)]
            self.show(Commit(since, await store.now(), tuple(changes)))
            while True:
                self.apply(await watch.next())
        finally:
            watch.close()

    def show(self, everything: Commit) -> None:
        """All that there is, given as one commit: so it is now, whatever it was."""
        self._parts.clear()
        self.backlog.clear()
        self._at, self._heard = everything.at, self._ports.runtime.now()
        self.projection.load(everything)
        docs = [doc for _, _, doc in everything.changes]
        self.history.begin(docs)
        for doc in docs:
            self._file(doc)
        self._fed = True
        self.changed.set()

    def apply(self, commit: Commit) -> None:
        """What was read at the begin may already be newer than what is now told."""
        if commit.revision < self.projection.revision:
            return  # a watch that was begun again may repeat itself
        docs = self.projection.docs
        news = tuple(
            (kind, id, doc)
            for kind, id, doc in commit.changes
            if doc is None or (known := docs[kind].get(id)) is None or doc.version >= known.version
        )
        for kind, id, doc in news:
            if doc is None and kind == "work":
                self._forget(docs["work"].get(id))
        self._at, self._heard = commit.at, self._ports.runtime.now()
        before = [(kind, docs[kind].get(id) if kind in docs else None, doc) for kind, id, doc in news]
        self.history.change(commit.at, [(old, new) for _, old, new in before])
        self.projection.apply(msgspec.structs.replace(commit, changes=news))
        for kind, old, new in before:
            if (line := told(kind, old, new)) is not None:
                self.projection.log(commit.at, line.who, line.event, {"why": line.why}, line.about)
        for _, _, doc in news:
            self._file(doc)
        self.changed.set()

    def _file(self, doc: Any) -> None:
        self.backlog.file(doc)
        if isinstance(doc, Work) and doc.function != LEAD:
            self._parts.setdefault(doc.job, {})[doc.id] = None

    def _forget(self, work: Work | None) -> None:
        if work is None:
            return
        self.backlog.forget(work)
        if work.function == LEAD:
            self._parts.pop(work.id, None)
        elif (parts := self._parts.get(work.job)) is not None:
            parts.pop(work.id, None)
