"""Files that are many scenarios: every combination of what their ``matrix`` lists, each by so many seeds.

What stands in the matrix is put where its place says, and the file is read anew: so the rules of the schema hold for it, and a
mistake is shown where it is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, TypeAlias

from sim.scenario import nodes, schema
from sim.scenario.problem import quote
from sim.scenario.reader import Reader

#: Values by place, such as ("timeline[0].for", "90s").
Given: TypeAlias = Sequence[tuple[str, str]]
Read: TypeAlias = Callable[[Reader, nodes.Node], Any]

NOT_VARIED = ("seed", "repeat", "matrix")
_WORD = re.compile(r"([^.\[\]]+)|\[([0-9]+)\]")


def variants(matrix: Mapping[str, Sequence[str]]) -> list[Given]:
    """Every combination, the last place changing fastest; without a matrix there is one, and it gives nothing."""
    return [tuple(zip(matrix, values, strict=True)) for values in product(*matrix.values())]


def check_matrix(reader: Reader, root: nodes.Node, spec: dict[str, Any], read: Read) -> None:
    """Each value alone, then all of them together, as far as each is right."""
    matrix: dict[str, list[str]] = spec["matrix"]
    runs = spec["repeat"]
    for values in matrix.values():
        runs *= len(values)
    if runs > schema.MOST_RUNS:
        reader.report("spec.matrix" if matrix else "spec.repeat", f"{runs} runs in all, more than {schema.MOST_RUNS}")
        return
    for place in matrix:
        _check_place(reader, root, place, read)
    if reader.problems or len(matrix) < 2:
        return
    for given in variants(matrix):
        varied, attempt = root, reader.another()
        for place, text in given:
            varied = put(attempt, varied, place, nodes.scalar(text))
        read(attempt, varied)
        for problem in attempt.problems[:1]:
            with_these = ", ".join(f"{place}: {text}" for place, text in given)
            reader.report("spec.matrix", f"does not fit together with {with_these}: {problem.path}: {problem.what}")
            return


def _check_place(reader: Reader, root: nodes.Node, place: str, read: Read) -> None:
    path = f"spec.matrix.{place}"
    if place.partition(".")[0] in NOT_VARIED:
        hint = ": other seeds are what repeat is for" if place == "seed" else ""
        reader.report(path, f"{quote(place)} is not varied{hint}")
        return
    for scalar in _values(root, place):
        attempt = reader.another()
        read(attempt, put(attempt, root, place, scalar))
        for problem in attempt.problems:
            if (problem.line, problem.col) == (scalar.line, scalar.col):
                reader.problems.append(problem)
            else:  # elsewhere: the file does not fit it
                what = f"{quote(scalar.text)} does not fit the rest: {problem.path}: {problem.what}"
                reader.report(path, what, (scalar.line, scalar.col))
        if attempt.problems and not attempt.has(f"spec.{place}"):
            return  # the place is wrong, and so with every value


def _values(root: nodes.Node, place: str) -> list[nodes.Scalar]:
    """As they stand in the file."""
    node = root
    for key in ("spec", "matrix", place):
        assert isinstance(node, nodes.Mapping), "it was read as one"
        node = node.entries[key][1]
    assert isinstance(node, nodes.Sequence)
    return [item for item in node.items if isinstance(item, nodes.Scalar)]


def put(reader: Reader, root: nodes.Node, place: str, value: nodes.Scalar) -> nodes.Node:
    """The same file with that value at that place of its spec; a key that is not there is added. Reports a place that is
    none."""
    words: list[str | int] = [word or int(number) for word, number in _WORD.findall(f"spec.{place}")]
    if not re.fullmatch(schema.PATH.pattern, place):
        reader.report("", f"{quote(place)} is not {schema.PATH.wanted}", (value.line, value.col))
        return root
    return _put(reader, root, words, place, value)


def _put(reader: Reader, node: nodes.Node, words: list[str | int], place: str, value: nodes.Scalar) -> nodes.Node:
    if not words:
        return value
    word, rest = words[0], words[1:]
    if isinstance(node, nodes.Mapping) and isinstance(word, str):
        if word in node.entries or not rest:
            old = node.entries.get(word, (None, value))[1]
            # Its place is that of the value, so that a mistake is shown where it was made.
            key = nodes.Scalar(value.line, value.col, word, word) if not rest else node.entries[word][0]
            entries = node.entries | {word: (key, _put(reader, old, rest, place, value))}
            return nodes.Mapping(node.line, node.col, entries)
    elif isinstance(node, nodes.Sequence) and isinstance(word, int) and word < len(node.items):
        items = list(node.items)
        items[word] = _put(reader, items[word], rest, place, value)
        return nodes.Sequence(node.line, node.col, tuple(items))
    reader.report("", f"there is no {quote(place)} in spec", (value.line, value.col))
    return node
