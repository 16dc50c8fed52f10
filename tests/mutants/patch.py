"""Patches at run time: for the time of a ``with`` block the code of the product is another. Each asserts that what it
replaces is there, so that a mutant of code that has moved on fails instead of mutating nothing."""

from __future__ import annotations
import __future__

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from textwrap import dedent
from types import CodeType, FunctionType
from typing import Any

Patch = Callable[[], AbstractContextManager[None]]
_edited: dict[FunctionType, None] = {}


def edit(function: Callable[..., Any], changes: Mapping[str, str]) -> Patch:
    """In the source of the function these words, which stand there once, are others. Whoever has it by name runs it so."""

    @contextmanager
    def patched() -> Iterator[None]:
        assert isinstance(function, FunctionType), f"{function} is not written in Python"
        assert function not in _edited, f"{function} is edited already, and would be edited anew"
        sound = function.__code__
        function.__code__ = _compiled(function, changes)
        _edited[function] = None
        try:
            yield
        finally:
            function.__code__ = sound
            del _edited[function]

    return patched


def swap(owner: Any, name: str, new: Any) -> Patch:
    """This attribute of a module or class is another."""

    @contextmanager
    def patched() -> Iterator[None]:
        assert name in vars(owner), f"{owner} has no {name} of its own"
        sound = vars(owner)[name]
        setattr(owner, name, new)
        try:
            yield
        finally:
            setattr(owner, name, sound)

    return patched


@contextmanager
def applied(patches: Sequence[Patch]) -> Iterator[None]:
    with ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch())
        yield


def _compiled(function: FunctionType, changes: Mapping[str, str]) -> CodeType:
    name = f"{function.__module__}.{function.__qualname__}"
    lines, first = inspect.getsourcelines(function)
    source = dedent("".join(lines))
    assert not function.__code__.co_freevars, f"{name} is a closure"
    for old, new in changes.items():
        assert source.count(old) == 1, f"{name} has {old!r} {source.count(old)} times, not once"
        source = source.replace(old, new)
    tree = ast.parse(source)
    (defined,) = tree.body
    assert isinstance(defined, ast.FunctionDef | ast.AsyncFunctionDef)
    defined.decorator_list = []
    ast.increment_lineno(tree, first - 1)
    flags = __future__.annotations.compiler_flag
    code = compile(tree, function.__code__.co_filename, "exec", flags=flags, dont_inherit=True)
    made: dict[str, Any] = {}
    exec(code, function.__globals__, made)  # only defines it
    return made[defined.name].__code__
