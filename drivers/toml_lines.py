"""In which line of a TOML file each key stands.

The parser says nothing of lines. But a key is there from the first beginning of the file that is TOML by itself and has it,
and no value goes on beyond such a beginning: so its line is the one after the beginning before.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

Key = tuple[str, ...]


def lines(text: str) -> dict[Key, int]:
    """Of every table and key of this text, which is TOML."""
    found: dict[Key, int] = {}
    rows = text.replace("\r\n", "\n").split("\n")
    begins = 1
    for end in range(1, len(rows) + 1):
        try:
            tree = tomllib.loads("\n".join(rows[:end]))
        except tomllib.TOMLDecodeError:
            continue  # in the middle of a value
        for key in _keys(tree, ()):
            found.setdefault(key, begins)
        begins = end + 1
    return found


def _keys(tree: dict[str, Any], above: Key) -> Iterator[Key]:
    for name, value in tree.items():
        yield (*above, name)
        if isinstance(value, dict):
            yield from _keys(value, (*above, name))
