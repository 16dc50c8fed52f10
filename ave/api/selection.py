"""Which of all documents, in which order, and which page of them. Pure."""

from __future__ import annotations

import binascii
import difflib
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

import msgspec

from ave.api.problems import FieldError, Invalid
from ave.api.questions import PAGE_MOST, Page, Select

TEXT_MOST = 1000  # characters of a selector
_WORD = r"[A-Za-z0-9._/-]"
_TERM = re.compile(
    rf"\s*(?P<not>!\s*)?(?P<key>{_WORD}+)"
    rf"(?:\s*(?P<op>==|=|!=)\s*(?P<value>{_WORD}*)|\s+(?P<set>in|notin)\s*\((?P<values>[^()]*)\))?\s*"
)
Test = Callable[[Mapping[str, str]], bool]


def select(docs: Iterable[Any], type: type[Any], asked: Select) -> Page[Any]:
    """Raises Invalid, which names every parameter that cannot be."""
    fields = {field.name: field for field in msgspec.structs.fields(type)}
    wrong: list[FieldError] = []
    if not 1 <= asked.limit <= PAGE_MOST:
        wrong.append(FieldError("?limit", f"from 1 to {PAGE_MOST}"))
    wanted = {}
    for name, values in asked.where.items():
        if name not in fields:
            wrong.append(FieldError(f"?{name}", _unknown(name, list(fields))))
        wanted[name] = frozenset(value.lower() for value in values)
    by, largest_first = asked.sort.removeprefix("-") or "id", asked.sort.startswith("-")
    if by not in fields:
        wrong.append(FieldError("?sort", _unknown(by, list(fields))))
    tests: list[Test] = []
    for selector in asked.label:
        try:
            tests.append(labels(selector))
        except Invalid as invalid:
            wrong += invalid.errors
    if asked.label and "labels" not in fields:
        wrong.append(FieldError("?label", "these have no labels"))
    last = _last(asked, wrong)
    if wrong:
        raise Invalid("; ".join(f"{each.pointer.lstrip('?')}: {each.detail}" for each in wrong), tuple(wrong))
    q = asked.q.lower()
    found = [
        doc
        for doc in docs
        if (not q or q in _name(doc))
        and all(_text(getattr(doc, name)) in values for name, values in wanted.items())
        and all(test(doc.labels) for test in tests)
    ]

    def key(doc: Any) -> tuple[Any, ...]:
        return _sortable(getattr(doc, by)), doc.id

    found.sort(key=key, reverse=largest_first)
    begin = 0
    if last is not None:
        begin = next(
            (n for n, doc in enumerate(found) if (key(doc) < last if largest_first else key(doc) > last)), len(found)
        )
    page = found[begin : begin + asked.limit]
    more = begin + asked.limit < len(found)
    return Page(items=tuple(page), next_page_token=_token(asked, key(page[-1])) if more else "", total=len(found))


def labels(selector: str) -> Test:
    """As Kubernetes writes them: ``app=web,tier!=db``, ``app in (a,b)``, ``app notin (a)``, ``app``, ``!app``."""
    tests: list[Test] = []
    at = 0
    while at < len(selector) and len(selector) <= TEXT_MOST:
        found = _TERM.match(selector, at)
        if found is None or (found.end() < len(selector) and selector[found.end()] != ","):
            break
        tests.append(_test(found))
        at = found.end() + 1
    if not tests or at != len(selector) + 1:
        detail = f"cannot be understood from character {at + 1} on: write app=web, app!=web, app in (a,b), app or !app"
        raise Invalid(f"label: {detail}", (FieldError("?label", detail),))
    return lambda labels: all(test(labels) for test in tests)


def _test(term: re.Match[str]) -> Test:
    key, value = term["key"], term["value"]
    if term["set"]:
        values = frozenset(value.strip() for value in term["values"].split(","))
        return (
            (lambda labels: labels.get(key) in values)
            if term["set"] == "in"
            else lambda labels: labels.get(key) not in values
        )
    if term["op"] == "!=":
        return lambda labels: labels.get(key) != value
    if term["op"]:
        return lambda labels: labels.get(key) == value
    return (lambda labels: key not in labels) if term["not"] else lambda labels: key in labels


def _name(doc: Any) -> str:
    return f"{doc.id}\n{getattr(doc, 'name', '')}".lower()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value.value if isinstance(value, Enum) else value).lower()


def _sortable(value: Any) -> Any:
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return str(value)
    return msgspec.json.encode(value, order="deterministic").decode()


def _unknown(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"unknown field {name[:64]}, " + (f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}")


# Where a page ended: the key of its last one. What came or went since moves no other page.


def _token(asked: Select, last: tuple[Any, ...]) -> str:
    return urlsafe_b64encode(msgspec.json.encode([asked.sort, *last])).decode().rstrip("=")


def _last(asked: Select, wrong: list[FieldError]) -> tuple[Any, ...] | None:
    if not asked.page_token:
        return None
    try:
        text = urlsafe_b64decode(asked.page_token[:TEXT_MOST] + "==")
        sort, value, id = msgspec.json.decode(text, type=tuple[str, str | int | float | bool, str])
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        wrong.append(FieldError("?page_token", "is none that an earlier page has given"))
        return None
    if sort != asked.sort:
        wrong.append(FieldError("?page_token", f"is of a list that was sorted by {sort or 'id'}"))
        return None
    return value, id
