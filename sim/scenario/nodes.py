"""Reads YAML into nodes that know their place: plain data, and no more of YAML than a scenario needs.

Nothing is built before the parser's events say that it is small: a file may come from anyone, and an alias makes nine
lines into gigabytes. What is refused is refused by name. A plain scalar is null, true, false, a whole number or a
float; everything else is text, so ``12:30``, ``no`` and dates stay what was written.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import msgspec
import yaml

from sim.scenario.problem import Invalid, Problem, quote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_DEPTH = 32
MOST_DIGITS = 300  # beyond it a number is text: Python refuses to turn 4,300 digits into an int

_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(
    r"[-+]?(?:(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)"
)
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# What YAML 1.2 allows in a stream, so that the parser never meets anything else.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Limits(msgspec.Struct, frozen=True):
    """How much of a file is read before it is refused."""

    size: int  # bytes
    nodes: int


SCENARIO = Limits(1 << 20, 20_000)


class Scalar(msgspec.Struct, frozen=True):
    """``text`` is what stands in the file; ``value`` what it means. Lines and columns count from 1."""

    line: int
    col: int
    text: str
    value: bool | int | float | str | None


class Sequence(msgspec.Struct, frozen=True):
    line: int
    col: int
    items: tuple[Node, ...]


class Mapping(msgspec.Struct, frozen=True):
    """Entries in the order of the file; no key occurs twice."""

    line: int
    col: int
    entries: dict[str, tuple[Scalar, Node]]


Node: TypeAlias = Scalar | Sequence | Mapping


class Document(msgspec.Struct, frozen=True):
    """What could be read, and the keys that were given twice: they hide nothing else that is wrong."""

    root: Node
    repeated: tuple[Problem, ...]


def read(path: Path, limits: Limits = SCENARIO) -> Document:
    """The file's one document. Raises Invalid if it cannot be read or holds anything else."""
    file = str(path)
    try:
        # Never more than this much is read, however large the file is or becomes.
        with path.open("rb") as stream:
            content = stream.read(limits.size + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise Invalid([Problem(file, 1, 1, "", f"cannot be read: {reason}")]) from None
    if len(content) > limits.size:
        raise Invalid([Problem(file, 1, 1, "", f"larger than {limits.size} bytes, which no such file needs")])
    return parse(content, file, limits)


def parse(content: bytes, file: str, limits: Limits = SCENARIO) -> Document:
    """The one document of these bytes; ``file`` is only named in messages. Raises Invalid."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, col = _position(content[: error.start].decode("utf-8-sig"))
        raise Invalid([Problem(file, line, col, "", f"not UTF-8: {error.reason}")]) from None
    if found := _FORBIDDEN.search(text):
        line, col = _position(text[: found.start()])
        raise Invalid([Problem(file, line, col, "", f"control character U+{ord(found[0]):04X}")])
    return _Builder(file, limits).document(text)


def _position(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


class _Builder:
    """Builds nodes from events, in one pass that ends at the first thing it refuses."""

    def __init__(self, file: str, limits: Limits) -> None:
        self._file = file
        self._limits = limits
        self._nodes = 0
        self._repeated: list[Problem] = []

    def document(self, text: str) -> Document:
        events = yaml.parse(text, Loader=yaml.CSafeLoader)
        root: Node | None = None
        try:
            for event in events:
                if isinstance(event, yaml.DocumentStartEvent):
                    if root is not None:
                        self._refuse(event, "a second document begins here; a file holds one")
                elif isinstance(event, yaml.NodeEvent):
                    root = self._node(event, events, depth=1)
        except yaml.MarkedYAMLError as error:
            mark, begun = error.problem_mark or error.context_mark, error.context_mark
            line, col = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            context = f"{error.context} (begun at {begun.line + 1}:{begun.column + 1})" if begun else error.context
            said = ", ".join(part for part in (context, error.problem) if part)
            raise Invalid([*self._repeated, Problem(self._file, line, col, "", f"not YAML: {said}")]) from None
        except yaml.YAMLError as error:
            said = " ".join(str(error).split())
            raise Invalid([*self._repeated, Problem(self._file, 1, 1, "", f"not YAML: {said}")]) from None
        if root is None:
            raise Invalid([Problem(self._file, 1, 1, "", "the file is empty")])
        return Document(root, tuple(self._repeated))

    def _node(self, event: yaml.NodeEvent, events: Iterator[yaml.Event], depth: int) -> Node:
        self._admit(event, depth)
        line, col = _place(event)
        if isinstance(event, yaml.ScalarEvent):
            plain = event.style in (None, "") and event.implicit[0]
            return Scalar(line, col, event.value, _resolve(event.value) if plain else event.value)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Node] = []
            while isinstance(follower := next(events), yaml.NodeEvent):
                items.append(self._node(follower, events, depth + 1))
            return Sequence(line, col, tuple(items))
        entries: dict[str, tuple[Scalar, Node]] = {}
        while isinstance(follower := next(events), yaml.NodeEvent):
            key = self._node(follower, events, depth + 1)
            if not isinstance(key, Scalar):
                self._refuse(follower, "a key must be a word")
            value_event = next(events)
            assert isinstance(value_event, yaml.NodeEvent), "the parser gives every key a value"
            value = self._node(value_event, events, depth + 1)
            if key.text in entries:
                first = entries[key.text][0]
                what = f"key {quote(key.text)} occurs twice, first at {first.line}:{first.col}"
                self._repeated.append(Problem(self._file, key.line, key.col, "", what))
                continue
            entries[key.text] = (key, value)
        return Mapping(line, col, entries)

    def _admit(self, event: yaml.NodeEvent, depth: int) -> None:
        self._nodes += 1
        if isinstance(event, yaml.AliasEvent):
            self._refuse(event, f"alias {quote(f'*{event.anchor}')}: write the value again; aliases are not read")
        if event.anchor is not None:
            self._refuse(event, f"anchor {quote(f'&{event.anchor}')}: anchors are not read")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
            self._refuse(event, f"tag {quote(event.tag)}: tags are not read")
        if depth > MOST_DEPTH:
            self._refuse(event, f"nested deeper than {MOST_DEPTH} levels")
        if self._nodes > self._limits.nodes:
            self._refuse(event, f"more than {self._limits.nodes} values")

    def _refuse(self, event: yaml.Event, what: str) -> NoReturn:
        raise Invalid([*self._repeated, Problem(self._file, *_place(event), "", what)])


def _place(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    assert mark is not None, "the parser marks every event"
    return mark.line + 1, mark.column + 1


def _resolve(text: str) -> bool | int | float | str | None:
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > MOST_DIGITS:
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def scalar(text: str, line: int = 1, col: int = 1) -> Scalar:
    """What this text would be if it stood there."""
    return Scalar(line, col, text, _resolve(text))


def plain(node: Node) -> Any:
    """As plain data."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return {key: plain(value) for key, (_, value) in node.entries.items()}


def place_of(root: Node, path: str) -> tuple[int, int]:
    """Line and column of ``groups[0].hosts[1]``, or of the last part of the path that is there."""
    node, place = root, (root.line, root.col)
    for word, number in re.findall(r"([^.\[\]]+)|\[([0-9]+)\]", path):
        if isinstance(node, Mapping) and word in node.entries:
            key, node = node.entries[word]
            place = (key.line, key.col)
        elif isinstance(node, Sequence) and number and int(number) < len(node.items):
            node = node.items[int(number)]
            place = (node.line, node.col)
        else:
            break
    return place
