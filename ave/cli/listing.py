"""Lists of things on a terminal: columns, and lines that end where their text ends."""

from __future__ import annotations

import io
import re
import sys

from rich.console import Console
from rich.table import Table

WIDTH = 100  # columns, without a terminal
WHOLE = 10_000  # columns, where nothing is to be folded: what reads a line wants all of it in one


class _Trimmed(io.TextIOBase):
    """A table's padding is of no use in a file."""

    def write(self, text: str, /) -> int:
        return sys.stdout.write(re.sub(r" +(?=\n)", "", text))


def console(width: int = WIDTH) -> Console:
    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(file=_Trimmed(), width=width, highlight=False)  # type: ignore[arg-type]


def new_table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    return table
