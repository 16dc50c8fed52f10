"""What views share: where one is, and lists of the documents of one noun."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from tui.columns import Cell, Column, Row, Span
from tui.model import Model

Lines = list[list[Span]]  # of the panel, and of what is described

_NUMBER = re.compile("[0-9]+")


class Place(NamedTuple):
    """A view, of all things or of those that are meant: ``scope`` is a field and its value, as host = host-3."""

    view: str
    scope: tuple[tuple[str, str], ...] = ()
    label: str = ""  # its crumb; "": the name of the view

    @property
    def crumb(self) -> str:
        return self.label or self.view

    def of(self, field: str) -> str:
        return dict(self.scope).get(field, "")


class Context(NamedTuple):
    """What a view may look at: ``now`` is the time of the cluster, ``moment`` puts one into words."""

    model: Model
    now: Callable[[], float]
    moment: Callable[[float], str]


class Docs:
    """The documents of one noun, those of the scope. A subclass has the columns."""

    noun = ""
    order: tuple[str, bool] = ("NAME", False)

    def __init__(self, context: Context, place: Place) -> None:
        self.context, self.model, self.place = context, context.model, place
        self.columns: Sequence[Column] = self.made_columns()
        self._sorted: list[str] = []  # all ids, in order
        self._sorted_at = -1

    def made_columns(self) -> Sequence[Column]:
        raise NotImplementedError

    def seen(self) -> Any:
        return self.model.counts[self.noun], self.model.resets

    def news(self, since: Any) -> Sequence[str] | None:
        """A view whose rows show more than their own document cannot tell."""
        return None

    def keys(self) -> Sequence[str]:
        docs = self.model.docs[self.noun]
        if self.place.scope:
            return sorted((id for id, doc in docs.items() if self.meant(doc)), key=natural)
        if self._sorted_at != self.model.members[self.noun]:  # of many it takes long, and there seldom are others
            self._sorted, self._sorted_at = sorted(docs, key=natural), self.model.members[self.noun]
        return self._sorted

    def meant(self, doc: Mapping[str, Any]) -> bool:
        return all(within(doc, field, value) for field, value in self.place.scope)

    def row(self, key: str) -> Row | None:
        return self.model.docs[self.noun].get(key)

    def stamp(self, key: str) -> Any:
        return self.model.stamp[self.noun].get(key, 0)

    def text(self, key: str) -> str:
        row = self.row(key)
        return key.lower() if row is None else " ".join(words(row)).lower()

    def labels(self, key: str) -> Mapping[str, str]:
        row = self.row(key)
        return (row.get("labels") or {}) if row is not None else {}

    def panel(self, key: str) -> Lines:
        """What stands beside the list about one row."""
        return []

    def heading(self) -> Lines:
        """What stands above the list."""
        return []

    def into(self, key: str) -> Place | None:
        """Where enter leads to."""
        return None

    def thing(self, key: str) -> tuple[str, str]:
        """Noun and id of what a row is about."""
        return self.noun, key


class Plain(Docs):
    """Where a row stands depends on its own document alone, and on which hosts there are."""

    def seen(self) -> Any:
        model = self.model
        return model.counts[self.noun], model.members[self.noun], model.members["host"]

    def news(self, since: Any) -> Sequence[str] | None:
        if self.place.scope or since is None or since[1:] != self.seen()[1:]:
            return None
        return self.model.changed(self.noun, since[0])


@lru_cache(200_000)
def natural(id: str) -> str:
    """What sorts web-2-disk-1 before web-10-disk-1: each number is led by how many digits it has."""
    return f"{_NUMBER.sub(_led, id)}\0{id}"


def _led(found: re.Match[str]) -> str:
    digits = found[0].lstrip("0")
    return f"0{chr(min(len(digits), 0xD000))}{digits}"


def counted(number: int, noun: str) -> str:
    """ "1 host", "16 VMs"."""
    word = {"vm": "VM", "job": "Job"}.get(noun, noun)
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def within(doc: Mapping[str, Any], field: str, value: str) -> bool:
    found = doc.get(field)
    if isinstance(found, list | tuple):
        return value in found
    if field == "label":
        key, _, wanted = value.partition("=")
        return bool(doc.get("labels", {}).get(key) == wanted)
    return str(found) == value


def words(doc: Mapping[str, Any]) -> Iterable[str]:
    """What a filter looks at: the values that are words, and labels as key=value."""
    for field, value in doc.items():
        if field in ("story", "tenant"):
            continue
        if isinstance(value, str):
            yield value
        elif isinstance(value, list | tuple):
            yield from (each for each in value if isinstance(each, str))
        elif isinstance(value, Mapping) and field == "labels":
            yield from (f"{key}={each}" for key, each in value.items())


def why(doc: Mapping[str, Any]) -> str:
    """The last line of its story, without the states, which stand elsewhere."""
    story = doc.get("story") or ()
    last = story[-1] if story else ""
    before, colon, reason = last.partition(": ")
    return reason if colon and "\n" not in before and len(before) < 60 else last


def heading(text: str) -> list[Span]:
    return [(text, "strong!")]


def pair(name: str, value: Cell, room: int = 10) -> list[Span]:
    from tui.drawing import spans

    return [(f"{name:<{room}}", "dim"), *spans(value)]


def events_of(context: Context, things: Iterable[tuple[str, str]], most: int) -> Lines:
    """The newest lines of the log that are about these."""
    wanted = set(things)
    found: Lines = []
    for looked, line in enumerate(reversed(context.model.log)):
        if looked > 3000 or len(found) >= most:
            break
        if line.about in wanted:
            found.append([(f"{context.moment(line.at)} ", "faint"), (line.what, "text"), (f" {line.why}", "dim")])
    found.reverse()
    return found
