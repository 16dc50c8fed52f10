"""The rules of which the schema's tables are made: what a node of a scenario file may be, as data."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from sim.scenario.nodes import Scalar


class Text(msgspec.Struct, frozen=True):
    """Text that matches all of ``pattern``; ``wanted`` says so in words."""

    pattern: str
    wanted: str


class Word(msgspec.Struct, frozen=True):
    """One of a list of names; ``noun`` is what they are."""

    noun: str
    names: tuple[str, ...]


class Whole(msgspec.Struct, frozen=True):
    low: int
    high: int


class Real(msgspec.Struct, frozen=True):
    low: float
    high: float


class Flag(msgspec.Struct, frozen=True):
    pass


class Amount(msgspec.Struct, frozen=True):
    """A quantity with its unit: ``read`` raises ValueError, ``show`` writes a bound the way one writes it in a file."""

    read: Callable[[str], float]
    low: float
    high: float
    show: Callable[[Any], str]


class Plain(msgspec.Struct, frozen=True):
    """Any single value, as it is written: what it may be is said elsewhere."""


class Many(msgspec.Struct, frozen=True):
    of: Rule
    least: int = 0


class Counts(msgspec.Struct, frozen=True):
    """A mapping whose keys are the file's own names."""

    key: Text
    of: Rule


class Field(msgspec.Struct, frozen=True):
    """``to``: its name in the result, if that differs. An absent one takes the default; None leaves it out."""

    rule: Rule
    required: bool = False
    default: Any = None
    to: str = ""


class Record(msgspec.Struct, frozen=True):
    """``never``: keys with a reason why they are not for this one. ``phrase``: what it is, if a table says so."""

    fields: dict[str, Field]
    never: dict[str, str] = {}
    phrase: str = ""


class OneOf(msgspec.Struct, frozen=True):
    """The value of ``key`` chooses the record. If nobody knows that value, ``common`` is still checked."""

    key: str
    noun: str
    records: dict[str, Record]
    common: Record = Record({})


class ByKey(msgspec.Struct, frozen=True):
    """The first of these keys that is there chooses the record, and enters the result as ``to``."""

    to: str
    records: dict[str, Record | OneOf]


class Aimed(msgspec.Struct, frozen=True):
    """A name, a list of names, or a choice by ``mode``; the result always has the last one's shape."""

    name: Text
    choice: OneOf


Single: TypeAlias = Text | Word | Whole | Real | Flag | Amount | Plain
Keyed: TypeAlias = Record | OneOf | ByKey | Counts
Rule: TypeAlias = Single | Keyed | Many | Aimed


class Unknown(Exception):
    """A name that is on no list: the noun, the name, the list."""


def value_of(rule: Single, node: Scalar) -> Any:
    """The value the rule makes of it. Raises ValueError with what it must be, or Unknown."""
    found = node.value
    match rule:
        case Text():
            if not isinstance(found, str) or not re.fullmatch(rule.pattern, found):
                raise ValueError(f"must be {rule.wanted}")
        case Word():
            if not isinstance(found, str):
                raise ValueError(f"must be the name of {'an' if rule.noun[0] in 'aeiou' else 'a'} {rule.noun}")
            if found not in rule.names:
                raise Unknown(rule.noun, found, rule.names)
        case Flag():
            if not isinstance(found, bool):
                raise ValueError("must be true or false")
        case Whole():
            if isinstance(found, bool) or not isinstance(found, int):
                raise ValueError("must be a whole number")
            return _bounded(found, rule.low, rule.high, str)
        case Real():
            if isinstance(found, bool) or not isinstance(found, int | float):
                raise ValueError("must be a number")
            return _bounded(float(found), rule.low, rule.high, "{:g}".format)
        case Plain():
            return node.text
        case Amount():
            # The text, not the value: 0.10 of a GiB must not pass through a float.
            return _bounded(rule.read(node.text), rule.low, rule.high, rule.show)
    return found


def _bounded(value: float, low: float, high: float, show: Callable[[Any], str]) -> float:
    if not math.isfinite(value):
        raise ValueError("must be finite")
    if low <= value <= high:
        return value
    if math.isinf(high):
        raise ValueError(f"must be at least {show(low)}")
    raise ValueError(f"must be between {show(low)} and {show(high)}")
