"""Events: list and watch in one stream. State is level-triggered, so a slow reader costs no queue and loses nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from math import isnan
from time import monotonic
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from ave.api.admission import sees
from ave.api.nouns import BY_KIND, NOUNS, plain
from ave.api.problems import FieldError, Invalid, TooMany
from ave.api.shown import is_job, job, task
from ave.api.view import BEHIND_SECONDS, View
from ave.model.access import Caller, Permission
from ave.projection import LogLine
from drivers.rest.host import Host
from drivers.rest.simulated import Clock

FLUSH_SECONDS, COMMENT_SECONDS = 0.1, 15.0
COST_RATIO = 6.0  # who is costly to tell is told less often
INTERVAL_MOST = 60.0
STREAMS_OF_ONE, STREAMS_MOST = 100, 500
STREAM_RETRY_SECONDS = 10.0
BEGIN = -1  # the revision of who knows nothing
_encode = msgspec.json.Encoder(order="deterministic").encode


CLOCK_SECONDS = 1.0  # between two words on what time it is, if nothing else of the clock has changed
TAIL = 200  # lines of the log that are told to who has heard nothing yet

LOG, SAMPLE, TIME = "log", "sample", "time"  # what can be asked for beside things
MORE = (LOG, SAMPLE, TIME)


def events(request: Request, host: Host, caller: Caller, clock: Callable[[], Clock] | None = None) -> StreamingResponse:
    """Raises Invalid, Unavailable."""
    host.view.require_fed()
    query = request.query_params
    kinds, more = _kinds(query.get("types", ""))
    since = _since(request.headers.get("last-event-id") or query.get("since", ""), host.epoch)
    interval = _interval(query.get("interval", ""))
    feed = _feed(host, Told(caller, kinds, more), since, interval, clock)
    return StreamingResponse(feed, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def _kinds(types: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Kinds of things, and what else."""
    if not types:
        return tuple(BY_KIND), ()
    names = [name.strip() for name in types.split(",")]
    more = tuple(name for name in names if name in MORE)
    nouns = [name for name in names if name not in MORE]
    if unknown := [name for name in nouns if name not in NOUNS or not NOUNS[name].viewed]:
        raise Invalid(f"types: unknown are {', '.join(unknown)[:200]}", (FieldError("?types", "unknown"),))
    return tuple(NOUNS[name].kind for name in nouns), more


def _since(said: str, epoch: str) -> int:
    """Another epoch's revisions mean nothing here."""
    known, _, revision = said.rpartition(":")
    return int(revision) if known == epoch and revision.isdecimal() and len(revision) < 19 else BEGIN


def _interval(said: str) -> float:
    try:
        seconds = float(said or FLUSH_SECONDS)
        if isnan(seconds):
            raise ValueError(said)
        return min(max(seconds, FLUSH_SECONDS), INTERVAL_MOST)
    except ValueError:
        raise Invalid("interval: a number of seconds", (FieldError("?interval", "a number of seconds"),)) from None


async def _feed(
    host: Host, told: Told, since: int, interval: float, clock: Callable[[], Clock] | None
) -> AsyncIterator[bytes]:
    """Whoever was told more by another host is told nothing until this one is as far: an older picture would be a step back. A
    store that was put back to an earlier time never comes so far, and begins anew."""
    ticks = None if clock is None else Ticks(clock)
    quiet_since = behind_since = monotonic()
    next_time = 0.0
    known = host.epoch
    while True:
        began = monotonic()
        if ticks is not None and (tick := ticks.due(began)):
            yield tick
            quiet_since = began
        now = host.view
        if host.epoch != known:  # another store stands where that one stood
            known, since = host.epoch, BEGIN
        if told.time and began >= next_time:
            next_time = quiet_since = began + CLOCK_SECONDS
            yield b"event: time\ndata: %s\n\n" % _encode({"now": round(now.now(), 3), "fed": now.fed})
        if since <= now.projection.revision:
            behind_since = began
        ahead = since > now.projection.revision and began - behind_since < BEHIND_SECONDS
        if now.fed and not ahead and (since != now.projection.revision or told.more_of(now)):
            event, body = told.since(now, since)
            since = now.projection.revision
            yield b"event: %s\nid: %s:%d\ndata: %s\n\n" % (event.encode(), known.encode(), since, _encode(body))
            quiet_since = monotonic()
        elif began - quiet_since >= COMMENT_SECONDS:
            yield b": still here\n\n"
            quiet_since = began
        await host.pause(max(interval, COST_RATIO * (monotonic() - began)))


class Streams:
    """Those that are open. Each holds a connection and what it was told of, so nobody may have them all."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def one(self, stream: StreamingResponse, whose: str) -> Response:
        """Raises TooMany."""
        for many, most, of in (
            (self._open[whose], STREAMS_OF_ONE, "of you"),
            (self._open.total(), STREAMS_MOST, "at all"),
        ):
            if many >= most:
                raise TooMany(f"{most} streams {of} are open already", STREAM_RETRY_SECONDS)
        return _Counted(stream, self._open, whose)


class _Counted(Response):
    def __init__(self, stream: StreamingResponse, open: Counter[str], whose: str) -> None:
        self._stream, self._open, self._whose = stream, open, whose
        self.background = None
        self.raw_headers = stream.raw_headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._open[self._whose] += 1
        try:
            await self._stream(scope, receive, send)
        finally:
            self._open[self._whose] -= 1
            if not self._open[self._whose]:
                del self._open[self._whose]


class Ticks:
    """What one reader is told of the clock: how it goes as soon as that changes, and what time it is once a second."""

    def __init__(self, clock: Callable[[], Clock]) -> None:
        self._clock = clock
        self._said: Clock | None = None
        self._next = 0.0

    def due(self, now: float) -> bytes:
        clock, said = self._clock(), self._said
        if said == clock or (said is not None and said.goes == clock.goes and now < self._next):
            return b""
        self._said, self._next = clock, now + CLOCK_SECONDS
        return b"event: clock\ndata: %s\n\n" % _encode(clock)


class Told:
    """What one reader is told. Of things that he may not see he does not even hear that they are gone."""

    def __init__(self, caller: Caller, kinds: tuple[str, ...], more: tuple[str, ...] = ()) -> None:
        self._caller, self._kinds = caller, kinds
        self._all = caller.may(Permission.VIEW) and all(caller.may(BY_KIND[kind].seen_by) for kind in kinds)
        self._shown: set[tuple[str, str]] | None = None  # before anything was told: nobody knows what another host told
        self.time = TIME in more
        self._log = LOG in more
        self._samples = SAMPLE in more and caller.may(Permission.VIEW)  # they are of everything there is
        self._read: View | None = None  # whose lines and points these are counts of: each host counts its own
        self._lines = self._points = 0

    def more_of(self, view: View) -> bool:
        """Is there anything new beside things?"""
        if view is not self._read:
            return self._log or self._samples
        return (self._log and view.projection.logged != self._lines) or (
            self._samples and view.history.taken != self._points
        )

    def since(self, view: View, revision: int) -> tuple[str, dict[str, Any]]:
        delta = view.projection.since(revision)
        if self._shown is None:
            self._shown = set()
            if not self._all and any(kind in self._kinds for kind, _ in delta.gone):
                delta = view.projection.since(BEGIN)  # of what went he may not have known: nobody tells him its name
            elif not self._all and not delta.reset:
                for kind in self._kinds:
                    for doc in view.docs(kind).values():
                        self._sees(kind, doc)
        body: dict[str, Any] = {}
        for kind in self._kinds:
            docs = delta.docs.get(kind, ())
            if kind == "work":
                body |= self._work(docs)
            elif shown := docs if self._all else [doc for doc in docs if self._sees(kind, doc)]:
                noun = BY_KIND[kind]
                body[noun.name] = [plain(noun, doc) for doc in shown] if noun.hidden else shown
        gone = [[_noun(kind), id] for kind, id in delta.gone if kind in self._kinds and self._forgets(kind, id)]
        if gone:
            body["gone"] = gone
        return ("reset" if delta.reset else "delta"), body | self._more(view, revision)

    def _more(self, view: View, revision: int) -> dict[str, Any]:
        """Lines and points that he has not heard of. Of another host's all that is newer than what he knows."""
        projection = view.projection
        if view is not self._read:
            self._read = view
            known = projection.logged_at(revision) if revision >= 0 else 0
            self._lines = max(known, projection.logged - TAIL)
            self._points = view.history.taken
        told: dict[str, Any] = {}
        if self._log and projection.logged != self._lines:
            found = projection.lines(self._lines)
            self._lines = projection.logged
            if lines := [_line(line) for line in found.lines if self._reads(line)]:
                told["log"] = lines
            if found.skipped:
                told["log_skipped"] = found.skipped
        if self._samples and (points := view.history.since(self._points)):
            self._points = view.history.taken
            told["sample"] = points
        return told

    def _reads(self, line: LogLine) -> bool:
        """What is about no thing is about the whole cluster."""
        if line.about is None:
            return self._caller.may(Permission.VIEW)
        kind, doc = line.about
        return sees(self._caller, BY_KIND[kind], doc)

    def _work(self, docs: Iterable[Any]) -> dict[str, Any]:
        jobs: list[Any] = []
        tasks: list[Any] = []
        for work in docs:
            if self._sees("work", work):
                (jobs if is_job(work) else tasks).append(work)
        told: dict[str, Any] = {}
        if jobs:
            told["job"] = [job(work) for work in jobs]
        if tasks:
            told["task"] = [{"job": work.job, **msgspec.to_builtins(task(work))} for work in tasks]
        return told

    def _sees(self, kind: str, doc: Any) -> bool:
        if self._all:
            return True
        if not sees(self._caller, BY_KIND[kind], doc):
            return False
        assert self._shown is not None
        self._shown.add((kind, doc.id))
        return True

    def _forgets(self, kind: str, id: str) -> bool:
        if self._all:
            return True
        assert self._shown is not None
        known = (kind, id) in self._shown
        self._shown.discard((kind, id))
        return known


def _line(line: LogLine) -> dict[str, Any]:
    return {"at": line.at, "who": line.who, "event": line.event, "fields": line.fields}


def _noun(kind: str) -> str:
    return BY_KIND[kind].name
