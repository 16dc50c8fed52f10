"""Applies the rules to the nodes of one file.

It goes on after a mistake: what it cannot use becomes ``WRONG`` in the result, so that later checks neither trip over
it nor report it again.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeAlias

import msgspec

from sim.scenario.nodes import Mapping, Node, Scalar, Sequence
from sim.scenario.problem import Guesser, Problem, listed, printable, quote
from sim.scenario.rules import Aimed, ByKey, Counts, Keyed, Many, OneOf, Record, Rule, Single, Unknown, Word, value_of


class Wrong(msgspec.Struct, frozen=True):
    """Stands where the file has something unusable, which is already reported."""


WRONG: Final = Wrong()
Place: TypeAlias = tuple[int, int]


class Reader:
    """Keeps the problems, and the place of every path for later checks."""

    def __init__(self, file: str, problems: tuple[Problem, ...] = ()) -> None:
        self.problems = list(problems)
        self.guesser = Guesser()
        self._file = file
        self._places: dict[str, Place] = {"": (1, 1)}

    def another(self) -> Reader:
        """For the same file, with no problem yet."""
        return Reader(self._file)

    def report(self, path: str, what: str, place: Place | None = None) -> Wrong:
        """At that place, or where the longest part of the path stands that the file has."""
        known = path
        while known not in self._places:
            known = known[: max(known.rfind("."), known.rfind("["), 0)]
        self.problems.append(Problem(self._file, *(place or self._places[known]), path, what))
        return WRONG

    def has(self, path: str) -> bool:
        return path in self._places

    def unknown(self, path: str, noun: str, wrong: str, names: tuple[str, ...], place: Place | None = None) -> Wrong:
        hint = self.guesser.hint(wrong, names)
        known = f"; known: {listed(names)}" if names and not hint else ""
        return self.report(path, f"unknown {noun} {quote(wrong)}{hint}{known}", place)

    def read(self, rule: Rule, node: Node, path: str = "", key: Scalar | None = None) -> Any:
        """Plain data as the rule has it. A value's place is that of its key; an item's is where it begins."""
        begin = key or node
        self._places[path] = (begin.line, begin.col)
        match rule:
            case Record() | OneOf() | ByKey() | Counts():
                if not isinstance(node, Mapping):
                    return self._mismatch(path, "a mapping", node)
                return self._mapping(rule, node, path)
            case Many():
                return self._items(rule, node, path)
            case Aimed():
                if isinstance(node, Mapping):
                    return self._mapping(rule.choice, node, path)
                names = self._items(Many(rule.name, least=1), node, path) if isinstance(node, Sequence) else None
                names = names or [self._single(rule.name, node, path)]
                return WRONG if names is WRONG else {"mode": "all", "names": names}
            case _:
                return self._single(rule, node, path)

    def _single(self, rule: Single, node: Node, path: str) -> Any:
        if not isinstance(node, Scalar) or node.value is None:
            return self._mismatch(path, "one value", node)
        try:
            return value_of(rule, node)
        except Unknown as unknown:
            return self.unknown(path, *unknown.args)
        except ValueError as error:
            return self.report(path, f"{error}, not {_show(node)}")

    def _mismatch(self, path: str, wanted: str, node: Node) -> Wrong:
        empty = isinstance(node, Scalar) and node.value is None
        return self.report(path, "is empty" if empty else f"must be {wanted}, not {_show(node)}")

    def _items(self, rule: Many, node: Node, path: str) -> Any:
        if not isinstance(node, Sequence):
            return self._mismatch(path, "a list", node)
        if len(node.items) < rule.least:
            return self.report(path, "must not be empty")
        return [self.read(rule.of, item, f"{path}[{index}]") for index, item in enumerate(node.items)]

    def _mapping(self, rule: Keyed, node: Mapping, path: str) -> dict[str, Any]:
        match rule:
            case Record():
                return self._record(rule, node, path)
            case OneOf():
                return self._one_of(rule, node, path)
            case ByKey():
                for name, chosen in rule.records.items():
                    if name in node.entries:
                        return {rule.to: name, **self._mapping(chosen, node, path)}
                return {rule.to: self.report(path, f"needs one of the keys {listed(rule.records)}")}
            case Counts():
                return self._counts(rule, node, path)

    def _one_of(self, rule: OneOf, node: Mapping, path: str) -> dict[str, Any]:
        inner = _join(path, rule.key)
        if rule.key in node.entries:
            key, value = node.entries[rule.key]
            name = self.read(Word(rule.noun, tuple(rule.records)), value, inner, key)
        else:
            name = self.report(inner, "is missing")
        if name is WRONG:
            return {rule.key: WRONG, **self._record(rule.common, node, path, strict=False)}
        return {rule.key: name, **self._record(rule.records[name], node, path, chosen_by=rule.key)}

    def _record(
        self, rule: Record, node: Mapping, path: str, *, strict: bool = True, chosen_by: str = ""
    ) -> dict[str, Any]:
        """``strict``: other keys are mistakes, except the one that chose this record."""
        result: dict[str, Any] = {}
        for name, (key, value) in node.entries.items():
            if field := rule.fields.get(name):
                result[field.to or name] = self.read(field.rule, value, _join(path, name), key)
            elif name in rule.never:
                self.report(path, rule.never[name], (key.line, key.col))
            elif strict and name != chosen_by:
                known = (chosen_by, *rule.fields) if chosen_by else tuple(rule.fields)
                self.unknown(path, "key", name, known, (key.line, key.col))
        for name, field in rule.fields.items():
            if name in node.entries:
                continue
            if field.required:
                result[field.to or name] = self.report(_join(path, name), "is missing")
            elif field.default is not None:
                result[field.to or name] = field.default
        return result

    def _counts(self, rule: Counts, node: Mapping, path: str) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, (key, value) in node.entries.items():
            if re.fullmatch(rule.key.pattern, name):
                result[name] = self.read(rule.of, value, _join(path, name), key)
            else:
                result[name] = self.report(path, f"{quote(name)} is not {rule.key.wanted}", (key.line, key.col))
        return result


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _show(node: Node) -> str:
    if isinstance(node, Sequence):
        return "a list"
    if isinstance(node, Mapping):
        return "a mapping"
    if node.value is None:
        return "nothing"
    return quote(node.text) if isinstance(node.value, str) else printable(node.text[:60])
