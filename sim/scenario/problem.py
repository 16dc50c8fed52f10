"""What is wrong with a scenario file, in lines that an editor can jump to."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import msgspec

from ave.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

SHOWN = 60  # characters of a file's text that a message repeats
LONGEST_GUESS = 64  # characters: nobody misspells longer names, and comparing them takes quadratic time
SUGGESTIONS = 200  # per file, for the same reason


class Problem(msgspec.Struct, frozen=True):
    """One mistake. Lines and columns count from 1; ``path`` is empty where the file has no structure yet."""

    file: str
    line: int
    col: int
    path: str
    what: str

    def __str__(self) -> str:
        place = f"{printable(self.file)}:{self.line}:{self.col}"
        return f"{place} {self.path}: {self.what}" if self.path else f"{place}: {self.what}"


class Invalid(Refused):
    """The file is no scenario. Carries every problem, by position; its text has one line for each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda found: (found.line, found.col, found.path, found.what)))
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


class Guesser:
    """Finds what a misspelt name was meant to be, until the file has used up its share of guesses."""

    def __init__(self, left: int = SUGGESTIONS) -> None:
        self._left = left

    def hint(self, wrong: str, right: Iterable[str]) -> str:
        """``, did you mean "…"?`` or nothing."""
        if self._left <= 0 or len(wrong) > LONGEST_GUESS:
            return ""
        self._left -= 1
        close = difflib.get_close_matches(wrong, list(right), n=1, cutoff=0.6)
        return f", did you mean {quote(close[0])}?" if close else ""


def printable(text: str) -> str:
    """On one line, whatever it holds."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def quote(text: str) -> str:
    shown = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
    return f'"{printable(shown)}"'


def listed(names: Iterable[str], most: int = 12) -> str:
    """``"a", "b", "c"``, cut short where there are many."""
    known = list(names)
    shown = ", ".join(quote(name) for name in known[:most])
    return shown if len(known) <= most else f"{shown}, … ({len(known)} in all)"
