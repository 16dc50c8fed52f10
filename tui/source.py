"""Where what is shown comes from: the API and nothing else, of a live cluster, of a simulated and of a recorded one alike."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from secrets import token_hex
from time import monotonic
from typing import Any, Literal, Protocol

import httpx2
import msgspec

from ave.cli.remote import contexts
from ave.cli.remote.connection import (
    ANSWER_SECONDS,
    CONNECT_SECONDS,
    EVENT_MOST,
    KEY,
    REVISION,
    Query,
    decoded,
    lost,
    silent,
    trusted,
    written,
)
from ave.cli.remote.failures import Exit, Failure, of_problem
from tui import asking
from tui.collecting import uncollected
from tui.model import WATCHED, Clock, Mark, Model, State
from tui.sse import Parser

FLUSH_SECONDS = 0.1
COST_RATIO = 6.0  # what is costly to show is shown less often
SLOW_SECONDS, SILENT_SECONDS = 5.0, 15.0  # the API says what time it is once a second
RETRY_SECONDS, RETRY_MOST_SECONDS = 0.5, 5.0
LOOK_SECONDS = 1.0
MORE = ("log", "sample", "time")  # what the stream tells beside documents

Kind = Literal["live", "simulated", "recorded"]


class Source(Protocol):
    """``run`` fills the model for ever; everything else is asked of the API, and raises Failure with what to do next."""

    name: str  # as people know it
    kind: Kind
    extensions: frozenset[str]  # what can be asked beyond the catalogue: clock, clock.seek, faults
    read_only: bool

    async def run(self, model: Model) -> None:
        """Until it is cancelled. It raises nothing: ``model.state`` and ``why`` say how it goes."""
        ...

    async def ask(self, method: str, path: str, *, body: Any = None, query: Query | None = None) -> Any:
        """What is answered, decoded."""
        ...

    async def act(
        self, name: str, ids: Sequence[str], given: Mapping[str, Any] | None = None, *, dry_run: bool = False
    ) -> list[dict[str, Any]]:
        """An operation of the catalogue, as vm.start: Jobs, or previews of them. One Job for all, where the API can."""
        ...

    def line_of(self, name: str, ids: Sequence[str], given: Mapping[str, Any] | None = None) -> str:
        """The same as a command."""
        ...

    async def explain(self, vm: str, purpose: str = "") -> dict[str, Any]:
        """``ave.api.shown.Explained``: every host with its verdicts and scores, and the cheapest change."""
        ...

    async def set_clock(self, **wish: Any) -> Clock:
        """``paused``, ``speed``, ``step``; of what can be sought ``at`` too: seconds, or "live"."""
        ...

    async def faults(self) -> dict[str, Any]: ...
    async def begin_fault(self, fault: Mapping[str, Any]) -> dict[str, Any]: ...
    async def end_fault(self, id: str) -> dict[str, Any]: ...
    async def close(self) -> None: ...


class Api:
    """The one implementation. ``transport``: in place of the network, for what lives in this process."""

    def __init__(
        self,
        name: str,
        urls: Sequence[str],
        *,
        token: str = "",
        ca_file: str = "",
        read_only: bool = False,
        transport: httpx2.AsyncBaseTransport | None = None,
        interval: float = 0.0,
    ) -> None:
        """``interval``: seconds between two deltas, for a slow line; 0: as often as the API tells."""
        self.name, self.read_only = name, read_only
        self.kind: Kind = "live"
        self.extensions: frozenset[str] = frozenset()
        self._urls = [url.rstrip("/") for url in urls]
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        secure = any(url.startswith("https:") for url in urls)
        self._http = httpx2.AsyncClient(
            transport=transport, verify=trusted(ca_file) if secure else False, trust_env=False
        )
        self._interval = interval
        self._revision = self._last = ""
        self._news = asyncio.Event()
        self._anew = asyncio.Event()  # everything was told anew
        self._heard = 0.0
        self._marks = -1

    async def close(self) -> None:
        await self._http.aclose()

    # Asking

    async def ask(self, method: str, path: str, *, body: Any = None, query: Query | None = None) -> Any:
        sent = dict(self._headers)
        if method != "GET":
            sent[KEY] = token_hex(16)
        if self._revision:
            sent[REVISION] = self._revision
        content = None
        if body is not None:
            content = msgspec.json.encode(body)
            sent["Content-Type"] = "application/json"
        where = f"{path}?{said}" if (said := written(query or {})) else path
        failure: Failure | None = None
        for url in list(self._urls):
            try:
                response = await self._http.request(
                    method,
                    url + where,
                    content=content,
                    headers=sent,
                    timeout=httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
                )
            except httpx2.HTTPError as error:
                if method != "GET" and not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
                    raise lost(url, error) from None
                failure = failure or silent(url, error)
                continue
            self._hear(url, response)
            answer = decoded(response)
            if response.status_code < 300:
                return answer
            failure = of_problem(answer, response.status_code)
            if response.status_code not in (429, 503):
                break
        assert failure is not None, "there is at least one URL"
        raise failure

    async def act(
        self, name: str, ids: Sequence[str], given: Mapping[str, Any] | None = None, *, dry_run: bool = False
    ) -> list[dict[str, Any]]:
        if self.read_only and not dry_run:
            raise Failure(Exit.DENIED, "this dashboard is read-only", "begin it without --read-only")
        query: Query = {"dry_run": "true"} if dry_run else {}
        return [
            await self.ask(each.method, each.path, body=each.body, query=query)
            for each in asking.requests(name, ids, given or {})
        ]

    def line_of(self, name: str, ids: Sequence[str], given: Mapping[str, Any] | None = None) -> str:
        return asking.line(name, ids, given or {})

    async def explain(self, vm: str, purpose: str = "") -> dict[str, Any]:
        body = {"purpose": purpose} if purpose else {}
        (sent,) = asking.requests("vm.explain-placement", [vm], body)
        return await self.ask(sent.method, sent.path, body=sent.body)  # type: ignore[no-any-return]

    async def set_clock(self, **wish: Any) -> Clock:
        return msgspec.convert(await self.ask("PUT", "/v1/clock", body=wish), Clock)

    async def faults(self) -> dict[str, Any]:
        return await self.ask("GET", "/v1/faults")  # type: ignore[no-any-return]

    async def begin_fault(self, fault: Mapping[str, Any]) -> dict[str, Any]:
        return await self.ask("POST", "/v1/faults", body=fault)  # type: ignore[no-any-return]

    async def end_fault(self, id: str) -> dict[str, Any]:
        return await self.ask("DELETE", f"/v1/faults/{id}")  # type: ignore[no-any-return]

    # Listening

    async def run(self, model: Model) -> None:
        flushing = asyncio.ensure_future(self._flush(model))
        looking = asyncio.ensure_future(self._look(model))
        try:
            await self._listen(model)
        finally:
            flushing.cancel()
            looking.cancel()

    async def _listen(self, model: Model) -> None:
        pause = RETRY_SECONDS
        while True:
            before = self._heard
            why = ""
            for url in list(self._urls):
                try:
                    await self._begin(url, model)
                    await self._follow(url, model)
                    why = f"{url} ended the conversation"
                except httpx2.HTTPError as error:
                    why = why or str(silent(url, error))
                except Failure as failure:
                    why = why or f"{failure.what}" + (f": {failure.hint}" if failure.hint else "")
                except (ValueError, KeyError, TypeError, AttributeError, msgspec.MsgspecError) as error:
                    self._last = ""  # what cannot be read is asked for anew, from the begin
                    why = f"{url} says what cannot be read: {error}"
            self._say(model, State.LOST, why)
            pause = RETRY_SECONDS if self._heard > before else min(pause * 2, RETRY_MOST_SECONDS)
            await asyncio.sleep(pause)

    async def _begin(self, url: str, model: Model) -> None:
        """Who answers, and what can be asked of him."""
        version = await self._get(url, "/v1/version")
        self.extensions = frozenset(version.get("api_extensions", ()))
        self.kind = _kind_of(self.extensions)
        model.host = str(version.get("host", ""))
        if not self.extensions:
            model.clock = None

    async def _history(self, url: str, model: Model) -> None:
        """Charts and marks up to now."""
        series = await self._get(url, "/v1/series")
        marks = await self._get(url, "/v1/timeline") if "clock" in self.extensions else {}
        model.history(series, msgspec.convert(marks.get("marks", []), list[Mark]))
        self._news.set()

    async def _get(self, url: str, path: str) -> Any:
        """Raises httpx2.HTTPError, Failure."""
        timeout = httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        response = await self._http.get(url + path, headers=self._headers, timeout=timeout)
        if response.status_code != 200:
            raise of_problem(decoded(response), response.status_code)
        return decoded(response)

    async def _follow(self, url: str, model: Model) -> None:
        """One stream, to its end."""
        query: dict[str, Any] = {"types": ",".join((*WATCHED, *MORE))}
        if self._interval:
            query["interval"] = self._interval
        sent = {**self._headers, **({"Last-Event-ID": self._last} if self._last else {})}
        timeout = httpx2.Timeout(SILENT_SECONDS, connect=CONNECT_SECONDS)
        async with self._http.stream(
            "GET", f"{url}/v1/events?{written(query)}", headers=sent, timeout=timeout
        ) as response:
            if response.status_code != 200:
                await response.aread()
                raise of_problem(decoded(response), response.status_code)
            self._hear(url, response)
            self._marks = -1
            parser = Parser(EVENT_MOST)
            async for chunk in response.aiter_bytes():
                self._heard = monotonic()
                for said in parser.feed(chunk):
                    with uncollected(len(said.data)):
                        model.feed(said.event, msgspec.json.decode(said.data), monotonic())
                    if said.event == "reset":
                        self._anew.set()
                    self._last = said.id or self._last
                    self._news.set()
                if model.state is not State.LIVE:
                    self._say(model, State.LIVE, "")
                marks = model.clock.marks if model.clock is not None else 0
                if marks != self._marks:
                    self._marks = marks
                    await self._history(url, model)

    def _hear(self, url: str, response: httpx2.Response) -> None:
        """Who has answered is asked first from now on."""
        if self._urls[0] != url:
            self._urls.remove(url)
            self._urls.insert(0, url)
        self._revision = response.headers.get(REVISION, self._revision)

    def _say(self, model: Model, state: State, why: str) -> None:
        model.link(state, why)
        self._news.set()

    async def _flush(self, model: Model) -> None:
        """What comes while it waits is shown after that: nothing is held back for longer, and another moment not at all."""
        while True:
            await self._news.wait()
            self._news.clear()
            self._anew.clear()
            began = monotonic()
            with uncollected():
                model.flush()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(FLUSH_SECONDS, COST_RATIO * (monotonic() - began))):
                    await self._anew.wait()

    async def _look(self, model: Model) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            quiet = monotonic() - self._heard
            if model.state is State.LIVE and quiet > SLOW_SECONDS:
                self._say(model, State.SLOW, f"nothing was heard for {SLOW_SECONDS:.0f} s")


def _kind_of(extensions: frozenset[str]) -> Kind:
    if "faults" in extensions:
        return "simulated"
    return "recorded" if "clock" in extensions else "live"


def of_context(context: str = "", *, read_only: bool = False, interval: float = 0.0) -> Api:
    """The source of a named cluster. Raises Failure: there is none of that name, or its token cannot be used."""
    known = contexts.load()
    name = contexts.chosen(context, known)
    found = contexts.resolve(name, known)
    ca_file = str(contexts.folder() / found.ca_file) if found.ca_file else ""
    token = contexts.token(found)
    return Api(name, found.urls, token=token, ca_file=ca_file, read_only=read_only, interval=interval)
