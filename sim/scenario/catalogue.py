"""What a scenario may name: the kinds of faults and actions, the metrics and the invariants.

The tables themselves live beside the code that carries them out; these are their types.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

Unit: TypeAlias = Literal["seconds", "ratio", "count", "text", "flag"]
Value: TypeAlias = float | int | str | bool

#: host: each chosen host is hit by itself · hosts: the chosen hosts are hit together, as one set · vm: each chosen VM ·
#: store, storage: the whole service · none: the cluster. The last three take no ``target``.
Aim: TypeAlias = Literal["host", "hosts", "vm", "store", "storage", "none"]

RESERVED = ("at", "fault", "action", "target", "for", "kind", "lasts")
#: A text parameter of this name must name such a thing of the same scenario.
REFERENCES = ("host", "zone", "fleet", "network", "group")


class Parameter(msgspec.Struct, frozen=True):
    """One further key of a timeline entry, required unless it has a default. Both bounds are included, in the unit."""

    name: str
    unit: Unit
    default: Value | None = None
    low: float = 0.0
    high: float = math.inf
    phrase: str = ""
    choices: tuple[str, ...] = ()  # of a text: it must be one of these

    def __post_init__(self) -> None:
        if self.name in RESERVED:
            raise ValueError(f"{self.name!r} already means something in a timeline")


class FaultKind(msgspec.Struct, frozen=True):
    """``lasting``: it may end by itself (``for: 5m``). ``masters``, ``zones``: how many it takes at least."""

    name: str
    phrase: str
    target: Aim = "none"
    parameters: tuple[Parameter, ...] = ()
    lasting: bool = False
    masters: int = 1
    zones: int = 0


class ActionKind(msgspec.Struct, frozen=True):
    name: str
    phrase: str
    target: Aim = "none"
    parameters: tuple[Parameter, ...] = ()


class Catalogue(msgspec.Struct, frozen=True):
    """``metrics`` by mode of scenario and then by unit (seconds, ratio, count, …), ``invariants`` by phrase."""

    faults: tuple[FaultKind, ...] = ()
    actions: tuple[ActionKind, ...] = ()
    metrics: Mapping[str, Mapping[str, str]] = {}
    invariants: Mapping[str, str] = {}
    profiles: tuple[str, ...] = ("seed",)  # of high availability
