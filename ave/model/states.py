"""States as tables, and the only functions that may write one: ``move``, ``born`` for what comes into being, and
``may_move`` for a claim that changes what it has not read. ``note`` adds to a story alone.

A table names every state in one phrase and lists the legal moves. An illegal move raises ``IllegalMove`` with the
object's story and changes nothing, because values are frozen.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Protocol, TypeVar

import msgspec

STORY_MOVES = 8  # the last moves an object remembers; enough to explain an error, small enough to store


class Table(msgspec.Struct, frozen=True):
    noun: str
    start: tuple[StrEnum, ...]  # states in which such an object may come into being
    phrases: Mapping[StrEnum, str]
    moves: Mapping[StrEnum, tuple[StrEnum, ...]]

    def final(self, state: StrEnum) -> bool:
        return not self.moves[state]


class Stateful(Protocol):
    """A frozen struct with an id, a state, a story, and the table that governs it."""

    @property
    def id(self) -> str: ...
    @property
    def state(self) -> Any: ...
    @property
    def story(self) -> tuple[str, ...]: ...
    @property
    def table(self) -> Table: ...


class IllegalMove(Exception):
    """A bug: this object may not go there from where it is."""

    def __init__(self, noun: str, name: str, state: str, to: str, story: tuple[str, ...]) -> None:
        super().__init__(noun, name, state, to, story)
        self.noun, self.name, self.state, self.to, self.story = noun, name, state, to, story

    def __str__(self) -> str:
        story = "; ".join(self.story) or "it never moved"
        return f"{self.noun} {self.name} cannot go {self.state} -> {self.to} (its story: {story})"


D = TypeVar("D", bound=Stateful)


def move(thing: D, to: StrEnum, why: str, **changes: Any) -> D:
    """The thing in its new state, with the move added to its story; ``changes`` are further fields."""
    state: StrEnum = thing.state
    if to not in thing.table.moves[state]:
        raise IllegalMove(thing.table.noun, thing.id, state, to, thing.story)
    story = (*thing.story[1 - STORY_MOVES :], f"{state} -> {to}: {why}")
    return msgspec.structs.replace(thing, state=to, story=story, **changes)  # type: ignore[type-var]


def note(thing: D, what: str) -> D:
    """The thing as it is, with something in its story that is no move."""
    story = (*thing.story[1 - STORY_MOVES :], f"{thing.state}: {what}")
    return msgspec.structs.replace(thing, story=story)  # type: ignore[type-var]


def born(thing: D, state: StrEnum) -> D:
    """A thing that does not exist yet, in one of the states in which it may come into being."""
    if state not in thing.table.start:
        raise IllegalMove(thing.table.noun, thing.id, "nothing", state, ())
    return msgspec.structs.replace(thing, state=state)  # type: ignore[type-var]


def may_move(table: Table, state: StrEnum, to: StrEnum) -> dict[str, StrEnum]:
    """The fields of a move made unread (a queue's claim): the same table guards it."""
    if to not in table.moves[state]:
        raise IllegalMove(table.noun, "any", state, to, ())
    return {"state": to}
