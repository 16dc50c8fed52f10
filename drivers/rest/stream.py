"""Events: list and watch in one stream. State is level-triggered, so a slow reader costs no queue and loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from time import monotonic
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import StreamingResponse

from ave.api.admission import sees
from ave.api.nouns import BY_KIND, NOUNS, plain
from ave.api.problems import FieldError, Invalid
from ave.api.shown import is_job, job, task
from ave.api.view import View
from ave.model.access import Caller, Permission

FLUSH_SECONDS, COMMENT_SECONDS = 0.1, 15.0
COST_RATIO = 6.0  # who is costly to tell is told less often
INTERVAL_MOST = 60.0
_encode = msgspec.json.Encoder(order="deterministic").encode


def events(request: Request, view: View, caller: Caller, epoch: str) -> StreamingResponse:
    """Raises Invalid, Unavailable."""
    view.require_fed()
    query = request.query_params
    kinds = _kinds(query.get("types", ""))
    since = _since(request.headers.get("last-event-id") or query.get("since", ""), epoch)
    interval = _interval(query.get("interval", ""))
    feed = _feed(view, caller, kinds, epoch, since, interval)
    return StreamingResponse(feed, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def _kinds(types: str) -> tuple[str, ...]:
    if not types:
        return tuple(BY_KIND)
    names = [name.strip() for name in types.split(",")]
    if unknown := [name for name in names if name not in NOUNS or not NOUNS[name].viewed]:
        raise Invalid(f"types: unknown are {', '.join(unknown)[:200]}", (FieldError("?types", "unknown"),))
    return tuple(NOUNS[name].kind for name in names)


def _since(said: str, epoch: str) -> int:
    """-1: from the begin. Another epoch's revisions mean nothing here."""
    known, _, revision = said.rpartition(":")
    return int(revision) if known == epoch and revision.isdecimal() and len(revision) < 19 else -1


def _interval(said: str) -> float:
    try:
        return min(max(float(said), FLUSH_SECONDS), INTERVAL_MOST) if said else FLUSH_SECONDS
    except ValueError:
        raise Invalid("interval: a number of seconds", (FieldError("?interval", "a number of seconds"),)) from None


async def _feed(
    view: View, caller: Caller, kinds: tuple[str, ...], epoch: str, since: int, interval: float
) -> AsyncIterator[bytes]:
    told = Told(view, caller, kinds)
    projection = view.projection
    quiet_since = monotonic()
    while True:
        began = monotonic()
        if since != projection.revision and view.fed:
            event, body = told.since(since)
            since = projection.revision
            yield b"event: %s\nid: %s:%d\ndata: %s\n\n" % (event.encode(), epoch.encode(), since, _encode(body))
            quiet_since = monotonic()
        elif began - quiet_since >= COMMENT_SECONDS:
            yield b": still here\n\n"
            quiet_since = began
        await asyncio.sleep(max(interval, COST_RATIO * (monotonic() - began)))


class Told:
    """What one reader is told. Of things that he may not see he does not even hear that they are gone."""

    def __init__(self, view: View, caller: Caller, kinds: tuple[str, ...]) -> None:
        self._view, self._caller, self._kinds = view, caller, kinds
        self._all = caller.may(Permission.VIEW) and all(caller.may(BY_KIND[kind].seen_by) for kind in kinds)
        self._shown: set[tuple[str, str]] = set()

    def since(self, revision: int) -> tuple[str, dict[str, Any]]:
        delta = self._view.projection.since(revision)
        body: dict[str, Any] = {}
        for kind in self._kinds:
            docs = delta.docs.get(kind, ())
            if kind == "work":
                body |= self._work(docs)
            elif shown := [plain(BY_KIND[kind], doc) for doc in docs if self._sees(kind, doc)]:
                body[BY_KIND[kind].name] = shown
        gone = [[_noun(kind), id] for kind, id in delta.gone if kind in self._kinds and self._forgets(kind, id)]
        if gone:
            body["gone"] = gone
        return ("reset" if delta.reset else "delta"), body

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
        self._shown.add((kind, doc.id))
        return True

    def _forgets(self, kind: str, id: str) -> bool:
        if self._all:
            return True
        known = (kind, id) in self._shown
        self._shown.discard((kind, id))
        return known


def _noun(kind: str) -> str:
    return BY_KIND[kind].name
