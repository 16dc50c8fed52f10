"""What a configuration is put together from: a TOML file, over it the environment, over that the command line. It knows where
each value stands, and says of every value that is wrong where that is."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo, fields

from ave.errors import Refused
from drivers.toml_lines import Key, lines

S = TypeVar("S", bound=msgspec.Struct)

PREFIX = "AVE_"


class Origin(msgspec.Struct, frozen=True):
    """Where a value comes from."""

    kind: Literal["default", "profile", "file", "environment", "command line"]
    place: str = ""  # the profile, the file, or the variable
    line: int = 0  # of the file

    def __str__(self) -> str:
        if self.kind == "profile":
            return f"profile {self.place}"
        return f"{self.place}:{self.line}" if self.line else self.place or self.kind


class Problem(NamedTuple):
    key: Key
    words: str


class Layers:
    def __init__(self, file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> None:
        """``flags``: "node.host" is [node] host; an empty one is not given. Refused if the file cannot be read."""
        self._file, self._text = file, ""
        self.tree: dict[str, dict[str, Any]] = {}
        self._over: dict[Key, Origin] = {}
        if file is not None:
            self._text = _read(file)
            self.tree = _parsed(file, self._text)
        for name, value in environment.items():
            section, mark, key = name.removeprefix(PREFIX).lower().partition("__")
            if name.startswith(PREFIX) and mark:
                self._put(section, key, value, Origin("environment", name))
        for path, value in flags.items():
            section, _, key = path.partition(".")
            if value:
                self._put(section, key, value, Origin("command line"))

    def _put(self, section: str, key: str, value: Any, origin: Origin) -> None:
        self.tree.setdefault(section, {})[key] = value
        self._over[(section, key)] = origin

    @property
    def source(self) -> str:
        """What is to be mended when something is missing."""
        return str(self._file) if self._file is not None else "the configuration (no --config was given)"

    def origin(self, key: Key) -> Origin:
        if over := self._over.get(key[:2]):
            return over
        line = self._lines.get(key)
        return Origin("file", str(self._file), line) if line else Origin("default")

    @cached_property
    def _lines(self) -> dict[Key, int]:
        return lines(self._text)

    def refusal(self, problems: Iterable[Problem]) -> Refused:
        """All of them, each with its place, in the order in which they stand there."""
        told = []
        for key, words in problems:
            where = self.origin(key) if key else Origin("default")
            place = self.source if where.kind == "default" else str(where)
            told.append((where.line, f"{place}: {'.'.join(key)}{': ' if key else ''}{words}"))
        return Refused("\n".join(words for _, words in sorted(told, key=lambda each: each[0])))

    def build(self, type: type[S], *, only: tuple[str, ...] = (), known: tuple[str, ...] = ()) -> S:
        """The configuration whose sections are the fields of this struct. Refused, naming every wrong key.

        ``only``: of these sections, whatever else the file has. ``known``: other sections that the file may have.
        """
        tree = {name: value for name, value in self.tree.items() if not only or name in only}
        for field in fields(type):
            if field.required:
                tree.setdefault(field.encode_name, {})
        tree = _with_lists(type, tree)
        wrong = list(_problems(type, tree, (), known))
        if wrong:
            raise self.refusal(wrong)
        return msgspec.convert({name: tree[name] for name in tree if name not in known}, type, strict=False)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as problem:
        raise Refused(f"{file} cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError as problem:
        raise Refused(f"{file} is not TOML: {problem}") from None


def _parsed(file: Path, text: str) -> dict[str, dict[str, Any]]:
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise Refused(f"{file} is not TOML: {problem}") from None
    for section, value in tree.items():
        if not isinstance(value, dict):
            raise Refused(f"{file}:{lines(text)[(section,)]}: {section} stands outside of every section")
    return tree


def struct_of(kind: Any) -> type[msgspec.Struct] | None:
    """The struct that a field of this type holds, or may hold."""
    for each in get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,):
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            return each
    return None


def _with_lists(type: type[msgspec.Struct], tree: dict[str, Any]) -> dict[str, Any]:
    """Lists may be given as text with commas, as the environment and flags can only do."""
    made = dict(tree)
    for field in fields(type):
        value = made.get(field.encode_name)
        inner = struct_of(field.type)
        if inner is not None and isinstance(value, dict):
            made[field.encode_name] = _with_lists(inner, value)
        elif get_origin(field.type) is tuple and isinstance(value, str):
            made[field.encode_name] = [part.strip() for part in value.split(",") if part.strip()]
    return made


def _problems(type: type[msgspec.Struct], value: Any, key: Key, known: tuple[str, ...] = ()) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield Problem(key, "must be a table")
        return
    named = {field.encode_name: field for field in fields(type)}
    for name, inner in value.items():
        if name in named:
            yield from _problems_of(named[name], inner, (*key, name))
        elif name not in known or key:
            yield Problem((*key, name), _unknown(name, [*named, *known], "key" if key else "section"))
    for name, field in named.items():
        if field.required and name not in value and key:
            yield Problem((), f"{'.'.join((*key, name))} is missing{_or_by_environment((*key, name))}")


def _problems_of(field: FieldInfo, value: Any, key: Key) -> Iterator[Problem]:
    kind = field.type
    inner = struct_of(kind)
    if inner is not None:
        yield from _problems(inner, value, key)
        return
    values = get_args(kind)[1] if get_origin(kind) is dict else None
    if (entry := struct_of(values)) is not None and isinstance(value, dict):
        for name, each in value.items():
            yield from _problems(entry, each, (*key, name))
        return
    try:
        msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as problem:
        words = str(problem).removesuffix(" - at `$`")
        yield Problem(key, f"{words}{_one_of(kind)}")


def _one_of(kind: Any) -> str:
    return f"; it is one of {', '.join(get_args(kind))}" if get_origin(kind) is Literal else ""


def _unknown(name: str, names: list[str], what: str) -> str:
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"unknown {what}, " + (f"did you mean {close[0]}?" if close else f"known are {', '.join(names)}")


def _or_by_environment(key: Key) -> str:
    return f" (or {PREFIX}{key[0].upper()}__{key[1].upper()} in the environment)" if len(key) == 2 else ""
