"""What a verb brings to the Job Center: which resources it locks, how it is split, and the functions of its tasks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from ave.model.work import Fact, Result, Step, Work
from ave.ports.store import Write
from ave.ports.together import Ports

SECONDS_PER_TASK = 600.0  # a task that takes longer is given up


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """A Job's plan: steps by name, what to write when it begins, and the resources that are refused and why."""

    steps: dict[str, Step] = {}
    writes: tuple[Write, ...] = ()
    results: dict[str, Result] = {}


Found = Mapping[str, Any]  # resource id -> its document or None
Splitter = Callable[[Any, Found], Split]  # (request, documents): pure
Function = Callable[[Ports, Work], Awaitable[dict[str, Fact] | None]]


class Verb(msgspec.Struct, frozen=True, kw_only=True):
    """One operation. ``kind`` and ``resources`` say which documents it locks; they are read and handed to ``split``."""

    operation: str
    kind: type[Any]
    resources: Callable[[Any], tuple[str, ...]]
    split: Splitter
    functions: dict[str, Function] = {}
    also: Callable[[Any], tuple[tuple[type[Any], str], ...]] = lambda request: ()  # read, but not locked
