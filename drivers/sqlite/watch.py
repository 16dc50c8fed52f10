"""Watches, and what feeds them: this process's own commits at once, those of others from the log in the file.

All of this lives on the loop; commits come in order, from two threads, and some of them twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from ave.errors import Unavailable
from ave.ports.store import Commit
from drivers.watching import Interest, concerning

BEHIND_MAX = 10_000  # commits that a watch may leave unread


class Feed:
    """Which commits this process knows of, and who wants to be told.

    The store says how to ``catch_up`` with those after ``seen``, and who must know whether anybody is ``watched``.
    """

    catch_up: Callable[[], None]
    watched: Callable[[bool], None]

    def __init__(self) -> None:
        self.seen: int | None = None  # None: nobody watches, or nobody knows yet
        self._watches: dict[SqliteWatch, None] = {}

    def enrol(self, watch: SqliteWatch) -> None:
        self._watches[watch] = None
        self.watched(True)

    def leave(self, watch: SqliteWatch) -> None:
        self._watches.pop(watch, None)
        if not self._watches:
            self.seen = None
            self.watched(False)

    def fill(self, watch: SqliteWatch, newest: int, commits: Sequence[Commit]) -> None:
        """The watch begins at ``newest``, after these; what it was told in the meantime comes behind them."""
        watch.begin(newest, commits)
        if self.seen is None and watch in self._watches:
            self.seen = newest
            self.catch_up()  # what came in the meantime, nobody was told

    def advance(self, since: int, newest: int, commits: Sequence[Commit]) -> None:
        """These are all the commits after ``since``, up to ``newest``."""
        if self.seen is None:
            return
        if since > self.seen:
            self.catch_up()  # others wrote in between
            return
        seen, self.seen = self.seen, max(self.seen, newest)  # first: a watch that is told may leave
        for commit in commits:
            if commit.revision > seen:
                for watch in list(self._watches):
                    watch.offer(commit)

    def lose(self) -> None:
        """The log could not be read, or no longer goes back as far as ``seen``: every watch begins anew."""
        for watch in list(self._watches):
            watch.close()


class SqliteWatch:
    def __init__(self, feed: Feed, interest: Interest, since: int | None) -> None:
        self._feed, self._interest = feed, interest
        self._seen = since or 0
        self._begun: int | None = None  # from this revision on it is told by the feed
        self._pending: deque[Commit] = deque()
        self._arrived: asyncio.Future[None] | None = None
        self._broken = False
        feed.enrol(self)

    @property
    def revision(self) -> int:
        if not self._pending and not self._broken and self._begun is not None:
            self._seen = max(self._seen, self._begun, self._feed.seen or 0)
        return self._seen

    def begin(self, newest: int, commits: Sequence[Commit]) -> None:
        later = [commit for commit in self._pending if commit.revision > newest]
        self._pending.clear()
        self._begun = 0
        for commit in commits:
            self.offer(commit)
        self._pending += later
        self._begun = newest

    def offer(self, commit: Commit) -> None:
        if self._begun is not None and commit.revision <= self._begun:
            return
        changes = concerning(commit.changes, self._interest)
        if not changes:
            return
        if len(self._pending) >= BEHIND_MAX:
            self.close()
            return
        whole = len(changes) == len(commit.changes)
        self._pending.append(commit if whole else Commit(commit.revision, commit.at, changes))
        self._wake()

    async def next(self) -> Commit:
        while not self._pending and not self._broken:
            self._arrived = asyncio.get_running_loop().create_future()
            try:
                await self._arrived
            finally:
                self._arrived = None
        if not self._pending:
            raise Unavailable("the watch broke off: watch again from the last revision seen")
        commit = self._pending.popleft()
        self._seen = commit.revision
        return commit

    def close(self) -> None:
        self._seen = self.revision
        self._broken = True
        self._feed.leave(self)
        self._wake()

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)
