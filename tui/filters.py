"""What is typed behind ``/``: which rows are shown. Pure.

``text`` is a regular expression, ``!text`` all but those, ``-l app=web,tier!=db`` labels as everywhere else, ``-f wb1`` the
letters in that order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ave.api.problems import Invalid
from ave.api.selection import labels

Text = Callable[[], str]  # what a row says, in lower case
Labels = Callable[[], Mapping[str, str]]


class Filter(NamedTuple):
    """``passes`` is asked for each row; it calls what it needs of the two."""

    said: str
    passes: Callable[[Text, Labels], bool]
    wrong: str = ""  # why nothing is filtered


def _all(_text: Text, _labels: Labels) -> bool:
    return True


NONE = Filter("", _all)


def parse(said: str) -> Filter:
    """What cannot be understood filters nothing, and says why: it is half typed most of the time."""
    text = said.strip()
    if text.startswith("-l"):
        return _by_labels(said, text[2:].strip())
    if text.startswith("-f"):
        return _fuzzy(said, text[2:].strip().lower())
    inverse = text.startswith("!")
    text = text.removeprefix("!")
    if not text:
        return Filter(said, _all)
    try:
        found = re.compile(text.lower() if not re.search(r"\\[A-Z]", text) else text, re.IGNORECASE).search
    except re.error as error:
        return Filter(said, _all, f"{error}")
    if inverse:
        return Filter(said, lambda row, _labels: found(row()) is None)
    return Filter(said, lambda row, _labels: found(row()) is not None)


def _by_labels(said: str, selector: str) -> Filter:
    if not selector:
        return Filter(said, _all)
    try:
        test = labels(selector)
    except Invalid as invalid:
        return Filter(said, _all, invalid.errors[0].detail if invalid.errors else str(invalid))
    return Filter(said, lambda _text, of: test(of()))


def _fuzzy(said: str, letters: str) -> Filter:
    if not letters:
        return Filter(said, _all)
    found = re.compile(".*?".join(re.escape(each) for each in letters)).search
    return Filter(said, lambda row, _labels: found(row().partition(" ")[0]) is not None)  # the name comes first
