"""Lists of things on a terminal: columns, and lines that end where their text ends."""

from __future__ import annotations

import io
import os
import re
import sys
from typing import Final

from rich.console import Console
from rich.table import Table

WIDTH = 100  # columns, without a terminal
WHEN: Final = ("auto", "always", "never")  # there are colours
WHOLE = 10_000  # columns, where nothing is to be folded: what reads a line wants all of it in one


class _Trimmed(io.TextIOBase):
    """A table's padding is of no use in a file."""

    def write(self, text: str, /) -> int:
        return sys.stdout.write(re.sub(r" +(?=\n)", "", text))


def colour(when: str) -> None:
    """For this whole process, and for whoever else reads the variables that are the custom for it. ValueError: no such word."""
    if when not in WHEN:
        raise ValueError(f"--color: one of {', '.join(WHEN)}")
    os.environ.pop("NO_COLOR", None)
    os.environ.pop("FORCE_COLOR", None)
    if when != "auto":
        os.environ["NO_COLOR" if when == "never" else "FORCE_COLOR"] = "1"


def console(width: int = WIDTH) -> Console:
    """Coloured on a terminal alone, unless NO_COLOR or FORCE_COLOR says otherwise."""
    no, forced = bool(os.environ.get("NO_COLOR")), bool(os.environ.get("FORCE_COLOR"))
    if sys.stdout.isatty():
        return Console(highlight=False, color_system=None if no else "auto")
    if forced and not no:
        return Console(width=width, highlight=False, force_terminal=True, color_system="standard")
    return Console(file=_Trimmed(), width=width, highlight=False, force_terminal=False)  # type: ignore[arg-type]


def new_table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    return table
