"""A conversation with a cluster: whichever of its hosts answers. What may be sent twice is, what may not has a key."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from secrets import token_hex
from typing import Any, NamedTuple
from urllib.parse import urlencode

import httpx2
import msgspec

from ave.cli.remote import contexts
from ave.cli.remote.failures import Exit, Failure, Usage, of_problem

CONNECT_SECONDS, ANSWER_SECONDS = 3.0, 30.0
SILENCE_SECONDS = 40.0  # a stream says that it is still there every 15
PATIENCE_SECONDS = 5.0  # with a cluster that answers, and can do nothing just now
RETRY_SECONDS = 1.0
EVENT_MOST = 256 << 20  # bytes: the first one has everything
LATER, UNKNOWN = (429, 503), 504  # nothing was done, and may be soon; nobody knows whether it was done
REVISION, KEY, TIME = "X-Ave-Revision", "Idempotency-Key", "X-Ave-Time"

Query = Mapping[str, str | int | float | tuple[str, ...]]


class Reply(NamedTuple):
    status: int
    body: Any  # decoded if it is JSON, else text
    headers: Mapping[str, str]


class Event(NamedTuple):
    reset: bool
    docs: dict[str, Any]


@contextmanager
def connect(context: str = "") -> Iterator[Client]:
    """The client for a context; the one place that knows which kinds there are. Raises Failure."""
    known = contexts.load()
    name = contexts.chosen(context, known)
    if contexts.SIMULATED.match(name):
        with _simulated(name) as url, Client((url,)) as client:
            yield client
        return
    found = contexts.resolve(name, known)
    with Client(found.urls, token=contexts.token(found), ca_file=_beside(found.ca_file)) as client:
        yield client


def _beside(path: str) -> str:
    return str(contexts.folder() / path) if path else ""


@contextmanager
def _simulated(name: str) -> Iterator[str]:
    """The URL of a cluster that lives in this process, for this command. Raises Usage, Failure."""
    from ave.errors import Refused
    from sim.serve import local

    with ExitStack() as held:
        try:
            url = held.enter_context(local(name))
        except Refused as refusal:
            raise Usage(str(refusal)) from None
        except TimeoutError:
            raise Failure(
                Exit.FAILED, f"{name} did not begin in time", "try it again, or one with fewer hosts"
            ) from None
        yield url


class Client:
    """``ask`` and ``events`` raise Failure. Whoever has changed something reads it, on whichever host."""

    def __init__(self, urls: tuple[str, ...], *, token: str = "", ca_file: str = "") -> None:
        self._urls = [url.rstrip("/") for url in urls]
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        secure = any(url.startswith("https:") for url in urls)  # to load the certificates takes a tenth of a second
        # No proxy, and no secrets, from the environment: the hosts are named, and so is the token.
        self._http = httpx2.Client(verify=trusted(ca_file) if secure else False, trust_env=False)
        self._revision = ""
        self.now = time.time()  # of the store's clock, when something was last heard

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        wait: float = 0.0,
        patience: float = PATIENCE_SECONDS,
        again: bool = True,
        text: bool = False,
    ) -> Reply:
        """``wait``: seconds that the answer may take beyond what answers take. ``patience``: how long to go on asking a
        cluster that does not do it just now. ``again``: may it be sent once more though it may have been done? What becomes a
        Job may, under its key. ``text``: an answer that is no object is one too."""
        sent = {**self._headers, **(headers or {})}
        if method != "GET":
            sent.setdefault(KEY, token_hex(16))
        if self._revision:
            sent[REVISION] = self._revision
        content = None
        if body is not None:
            content = msgspec.json.encode(body)
            sent["Content-Type"] = "application/json"
        deadline = time.monotonic() + patience
        where = f"{path}?{said}" if (said := written(query or {})) else path
        while True:
            failure: Failure | None = None
            for url in list(self._urls):
                try:
                    response = self._http.request(
                        method,
                        url + where,
                        content=content,
                        headers=sent,
                        timeout=httpx2.Timeout(ANSWER_SECONDS + wait, connect=CONNECT_SECONDS),
                    )
                except httpx2.HTTPError as error:
                    if not (again or isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)):
                        raise lost(url, error) from None
                    failure = failure or silent(url, error)
                    continue
                self._hear(url, response)
                reply = Reply(response.status_code, decoded(response), response.headers)
                if reply.status < 300 and (text or isinstance(reply.body, dict)):
                    return reply
                failure = of_problem(reply.body, reply.status)
                if reply.status not in LATER and not (again and reply.status == UNKNOWN):
                    raise failure
            assert failure is not None
            hopeless = (
                isinstance(failure, Silent) and patience <= PATIENCE_SECONDS
            )  # a person shall not wait to hear it
            if hopeless or time.monotonic() + RETRY_SECONDS > deadline:
                raise failure
            time.sleep(RETRY_SECONDS)

    def events(self, types: tuple[str, ...], *, patience: float = 60.0) -> Iterator[Event]:
        """For ever: first everything, then what changes. A stream that breaks goes on at another host."""
        last, deadline = "", time.monotonic() + PATIENCE_SECONDS
        while True:
            failure: Failure | None = None
            for url in list(self._urls):
                sent = {**self._headers, **({"Last-Event-ID": last} if last else {})}
                try:
                    with self._http.stream(
                        "GET",
                        f"{url}/v1/events?{urlencode({'types': ','.join(types)})}",
                        headers=sent,
                        timeout=httpx2.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS),
                    ) as response:
                        if response.status_code != 200:
                            response.read()
                            failure = of_problem(decoded(response), response.status_code)
                            if response.status_code not in LATER:
                                raise failure
                            continue
                        self._hear(url, response)
                        for event in httpx2.EventSource(response, EVENT_MOST):
                            last, deadline = event.id, time.monotonic() + patience
                            if event.event in ("reset", "delta"):
                                yield Event(event.event == "reset", msgspec.json.decode(event.data))
                except httpx2.HTTPError as error:
                    failure = failure or silent(url, error)
            if time.monotonic() > deadline or (not last and failure is not None):
                raise failure or Failure(Exit.UNREACHABLE, "the stream of events ended")
            time.sleep(RETRY_SECONDS)

    def _hear(self, url: str, response: httpx2.Response) -> None:
        """Who has answered is asked first from now on."""
        if self._urls[0] != url:
            self._urls.remove(url)
            self._urls.insert(0, url)
        self._revision = response.headers.get(REVISION, self._revision)
        try:
            self.now = float(response.headers[TIME])
        except (KeyError, ValueError):
            self.now = time.time()


class Silent(Failure):
    """Nobody answered."""


def silent(url: str, error: httpx2.HTTPError) -> Silent:
    late = isinstance(error, httpx2.ReadTimeout | httpx2.WriteTimeout)
    what = "does not answer in time" if late else f"cannot be reached: {error}"
    return Silent(
        Exit.UNREACHABLE, f"{url} {what}", "is ave node up there, with [api] listen? ave context ls shows where"
    )


def lost(url: str, error: httpx2.HTTPError) -> Failure:
    return Failure(
        Exit.TIMEOUT, f"{url} took it and did not answer: {error}", "look whether it was done, before you repeat it"
    )


def trusted(ca_file: str) -> Any:
    if not ca_file:
        return True
    import ssl

    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise Usage(f"ca_file {ca_file}: {error}") from None


def decoded(response: httpx2.Response) -> Any:
    kind = response.headers.get("content-type", "").partition(";")[0]
    if kind not in ("application/json", "application/problem+json"):
        return response.text
    try:
        return msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        return response.text


def written(query: Query) -> str:
    return urlencode(query, doseq=True)
