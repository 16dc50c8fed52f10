"""What a verb brings to the Job Center: which resources it locks, how it is split, and the kinds of its Follower tasks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from ave.model.work import Fact, Pace, Result, Step, Work
from ave.ports.store import Write
from ave.ports.together import Ports

T = TypeVar("T")
Resource = tuple[type[Any], str]  # a kind of document and an id
Function = Callable[[Ports, Work], Awaitable[dict[str, Fact] | None]]


class TaskKind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of Follower task: its function, and how patient the Job Center is with it.

    The function may be repeated at any time, also while an earlier attempt of it still runs somewhere.
    """

    function: Function
    seconds: float = 600.0  # one try is cut off after so long
    tries: int = 6  # while something is unavailable; the pauses between double, about 30 s in all
    stoppable: bool = False  # may be stopped half way when its Job is cancelled; its step should name an undo


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """A Job's plan: steps by name, what to write when it begins, and the resources that are refused and why.

    ``groups`` are steps that get a DAG of their own: each group begins when its ``needs`` among the steps have
    succeeded, and goes on by itself, whatever becomes of the others. ``pace`` bounds how many steps, of those that go
    where a fact says, are under way at once.
    """

    steps: dict[str, Step] = {}
    groups: dict[str, dict[str, Step]] = {}
    groups_need: tuple[str, ...] = ()
    writes: tuple[Write, ...] = ()
    results: dict[str, Result] = {}
    pace: Pace | None = None


class Found:
    """The documents of the resources that a Splitter may decide on; one whose lock is held by others is not among them."""

    def __init__(self, docs: Mapping[Resource, Any]) -> None:
        self._docs = docs

    def of(self, type: type[T]) -> dict[str, T | None]:
        """By id; None: there is no such document."""
        return {id: doc for (kind, id), doc in self._docs.items() if kind is type}

    def get(self, type: type[T], id: str) -> T | None:
        return self._docs.get((type, id))


Splitter = Callable[[Any, Found], Split]  # (request, documents): pure


class Verb(msgspec.Struct, frozen=True, kw_only=True):
    """One operation. ``resources`` says which documents it locks; they are read and handed to ``split``."""

    operation: str
    resources: Callable[[Any], tuple[Resource, ...]]
    split: Splitter
    tasks: dict[str, TaskKind] = {}
    also: Callable[[Any], tuple[Resource, ...]] = lambda request: ()  # read, but not locked
    names: Callable[[Any], tuple[Resource, ...]] = lambda request: ()  # whoever asks must see these
    whole: Callable[[Any], tuple[type[Any], ...]] = lambda request: ()  # kinds of which all documents are read; of few


def each(type: type[Any], ids: Iterable[str]) -> tuple[Resource, ...]:
    return tuple((type, id) for id in ids)
