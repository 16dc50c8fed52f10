"""What is seen of a cluster as it changes, by its stream of events: a line for each change."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import msgspec

from ave.api.nouns import Noun, plain
from ave.api.questions import Select
from ave.api.selection import select
from ave.cli.remote.connection import Client
from ave.cli.remote.failures import Exit, Failure, Usage, meant
from ave.cli.remote.output import Look, columns_of, field_of
from ave.cli.remote.picking import bare, noun_of
from ave.cli.remote.words import cell

WIDEST = 40  # of a column that is still to come
GONE = "gone"


def pictures(client: Client, nouns: Sequence[Noun]) -> Iterator[dict[str, dict[str, dict[str, Any]]]]:
    """Noun -> id -> document, whenever something changed. It is one and the same dict."""
    known: dict[str, dict[str, dict[str, Any]]] = {noun.name: {} for noun in nouns}
    for event in client.events(tuple(known)):
        if event.reset:
            for docs in known.values():
                docs.clear()
        for name, docs in known.items():
            docs.update({doc["id"]: doc for doc in event.docs.get(name, ())})
        for kind, id in event.docs.get("gone", ()):
            if kind in known:
                known[kind].pop(id, None)
        yield known


def watch(client: Client, noun: Noun, asked: Select, names: Sequence[str], look: Look) -> Exit:
    """For ever: those that are asked for, then each of them whenever it changes. Raises Failure."""
    lines = _Lines(noun, look)
    before: dict[str, Any] = {}
    for picture in pictures(client, (noun,)):
        docs = _selected(noun, picture[noun.name], asked, names)
        for id in [id for id in before if id not in docs]:
            lines.gone(id)
        for id, doc in docs.items():
            if id not in before or lines.differ(before[id], doc):
                lines.say(doc, client.now)
        before = docs
    return Exit.OK


def _selected(
    noun: Noun, docs: Mapping[str, dict[str, Any]], asked: Select, names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """By the very function that a host selects with. Raises Failure."""
    from fnmatch import fnmatchcase

    from ave.api.problems import Invalid

    hidden = {
        field.name: "" for field in msgspec.structs.fields(noun.type) if field.required and field.name in noun.hidden
    }
    typed = [msgspec.convert({**hidden, **doc}, noun.type) for doc in docs.values()]
    if names:
        typed = [doc for doc in typed if any(fnmatchcase(doc.id, name) for name in names)]
    try:
        page = select(typed, noun.type, asked)
    except Invalid as invalid:
        raise Usage(str(invalid)) from None
    return {doc.id: plain(noun, doc) for doc in page.items}


class _Lines:
    """A table that is still to come: columns as wide as what has been seen, or one JSON text per line."""

    def __init__(self, noun: Noun, look: Look) -> None:
        if look.output not in ("table", "wide", "json", "name"):
            raise Usage(f"--watch shows table, wide, json or name, and not {look.output}")
        self._noun, self._look = noun, look
        self._columns = columns_of(noun, look)
        self._widths = [len(title) for title, _ in self._columns]
        self._headed = look.no_headers

    def differ(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        """As far as one can see."""
        if self._look.output == "json":
            return one != other
        return self._look.table and any(one[field] != other[field] for _, field in self._columns)

    def say(self, doc: Mapping[str, Any], now: float) -> None:
        if self._look.output == "json":
            self._out(msgspec.json.encode(doc).decode())
        elif self._look.output == "name":
            self._out(f"{self._noun.name}/{doc['id']}")
        else:
            self._row([cell(field, doc.get(field), now) for _, field in self._columns])

    def gone(self, id: str) -> None:
        if self._look.output == "json":
            self._out(msgspec.json.encode({"id": id, GONE: True}).decode())
        elif self._look.output == "name":
            self._out(f"{self._noun.name}/{id} {GONE}")
        else:
            self._row([id if field == "id" else GONE if field == "state" else "-" for _, field in self._columns])

    def _row(self, cells: Sequence[str]) -> None:
        self._widths = [max(width, min(len(text), WIDEST)) for width, text in zip(self._widths, cells, strict=True)]
        if not self._headed:
            self._headed = True
            self._out(self._padded([title for title, _ in self._columns]))
        self._out(self._padded(cells))

    def _padded(self, cells: Sequence[str]) -> str:
        return "  ".join(f"{text:<{width}}" for text, width in zip(cells, self._widths, strict=True)).rstrip()

    def _out(self, line: str) -> None:
        print(line, flush=True)


def wait_until(client: Client, targets: Sequence[str], condition: str, timeout: float) -> Exit:
    """Until each of ``noun/name`` is so: ``field=value``, or ``gone``. Raises Failure, Usage."""
    wanted = [_target(each) for each in targets]
    if not wanted:
        raise Usage("what is to be waited for?", "as ave wait vm/web-1 --for state=running")
    field, mark, value = condition.partition("=")
    if not mark and condition != GONE:
        raise Usage(f"--for {condition} is no condition", "as state=running, or gone")
    if mark:
        for noun, _ in wanted:
            field_of(noun, field)
    nouns = list({noun.name: noun for noun, _ in wanted}.values())
    with _limit(timeout, f"not {condition} within {timeout:g} s"):
        for picture in pictures(client, nouns):
            docs = [picture[noun.name].get(id) for noun, id in wanted]
            if all(_is(doc, field, value) if mark else doc is None for doc in docs):
                break
            for (noun, id), doc in zip(wanted, docs, strict=True):
                if doc is None and mark:
                    raise Failure(Exit.NOT_FOUND, f"there is no {noun.name} {id}", meant(id, picture[noun.name]))
    return Exit.OK


@contextmanager
def _limit(seconds: float, what: str) -> Iterator[None]:
    """A stream has no other end: where nothing changes, nothing comes. 0: no limit."""

    def late(*_: object) -> NoReturn:
        raise Failure(Exit.TIMEOUT, what)

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.0))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def _target(word: str) -> tuple[Noun, str]:
    before, slash, _ = word.partition("/")
    if not slash:
        raise Usage(f"{word} is no thing", "as vm/web-1, host/h1 or job/vm.start-5c3f")
    noun = noun_of(before)
    return noun, bare(noun, word)


def _is(doc: Mapping[str, Any] | None, field: str, value: str) -> bool:
    if doc is None or field not in doc:
        return False
    found = doc[field]
    return value == (str(found).lower() if isinstance(found, bool) else str(found))
