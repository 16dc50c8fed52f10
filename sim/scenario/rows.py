"""The rows of a recorded workload: which columns there are, what may stand in them, and where something else does.

Converts whole columns, since row by row takes several times as long; only a chunk in which something does not fit is
looked at row by row, to say where.
"""

from __future__ import annotations

import csv
import math
from operator import gt
from typing import TYPE_CHECKING

import msgspec

from ave.errors import Refused
from sim.scenario.problem import Guesser, printable, quote

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_LISTED = 20  # problems that are kept one by one
MOST_ID = 200  # characters
MOST_SECONDS = 100 * 365 * 86400.0

#: What a number may be, both ends included, and whether it must be whole.
NUMBERS = {
    "arrive_s": (0.0, MOST_SECONDS, False),
    "vcpu": (1.0, 1024.0, True),
    "mem_gib": (1 / 1024, 64.0 * 1024, False),
    "life_lo_s": (0.0, MOST_SECONDS, False),
    "life_hi_s": (0.0, MOST_SECONDS, False),
    "censored": (0.0, 1.0, True),
}
NEEDED = ("vm", "arrive_s", "batch", "vcpu", "mem_gib")
LIFETIME = ("life_lo_s", "life_hi_s", "censored")


class BadRow(msgspec.Struct, frozen=True):
    """``row`` is the line of the file, the header being 1; ``column`` is empty where the row as a whole is wrong."""

    row: int
    column: str
    what: str

    def __str__(self) -> str:
        return f"row {self.row}, column {self.column}: {self.what}" if self.column else f"row {self.row}: {self.what}"


class BadTrace(Refused):
    """The file is no trace or has bad rows: the first problems found, and how many there are."""

    def __init__(self, file: str, found: tuple[BadRow, ...], count: int) -> None:
        super().__init__(file, found, count)
        self.file, self.found, self.count = file, found, count

    def __str__(self) -> str:
        file, more = printable(self.file), self.count - len(self.found)
        lines = [f"{file}: {bad}" for bad in self.found]
        return "\n".join([*lines, f"{file}: and {more} more"] if more else lines)


class Intake:
    """Keeps the columns of the rows that fit, and counts the others."""

    def __init__(self, file: str) -> None:
        self.rows: dict[str, int] = {}  # by VM
        self.batch: list[int] = []  # numbered in the order they appear
        self.numbers: dict[str, list[float]] = {}  # by column
        self.bad: list[BadRow] = []
        self.problems = self.skipped = 0
        self._file = file
        self._places: dict[str, int] = {}  # of the columns
        self._batches: dict[str, int] = {}

    def refused(self, *more: BadRow) -> BadTrace:
        return BadTrace(self._file, (*self.bad, *more), self.problems + len(more))

    def take(self, row: int, lines: Sequence[str]) -> None:
        """Lines of the file, the first of which is that row."""
        if not self._places:
            self._header(lines[0])
            row, lines = row + 1, lines[1:]
        numbers: Sequence[int] = range(row, row + len(lines))
        if "" in lines:
            numbers = [number for number, line in zip(numbers, lines, strict=True) if line]
            lines = [line for line in lines if line]
        try:
            self._keep(numbers, self._cells(lines))
        except (ValueError, csv.Error):
            self._keep(*self._examined(numbers, lines))

    def _header(self, line: str) -> None:
        try:
            names = [name.strip() for name in _fields(line)]
        except csv.Error as error:
            raise self.refused(BadRow(1, "", f"is not CSV: {error}")) from None
        for place, name in enumerate(names):
            if self._places.setdefault(name, place) != place:
                raise self.refused(BadRow(1, printable(name), "is there twice"))
        wanted = NEEDED + LIFETIME if any(name in self._places for name in LIFETIME) else NEEDED
        others = [name for name in self._places if name not in wanted]
        missing = [name for name in wanted if name not in self._places]
        if missing:
            guesser = Guesser()
            raise self.refused(*(BadRow(1, name, f"is missing{guesser.hint(name, others)}") for name in missing))
        self.numbers = {name: [] for name in NUMBERS if name in self._places}

    def _cells(self, lines: Sequence[str]) -> list[str]:
        """Of all rows, one after the other: a list for each row would double the time of reading a file."""
        text, commas = ",".join(lines), len(self._places) - 1
        if '"' not in text and all(line.count(",") == commas for line in lines):
            return text.split(",") if lines else []
        rows = [_fields(line) for line in lines]
        if any(len(row) != len(self._places) for row in rows):
            raise ValueError("a row of another length")
        return [cell for row in rows for cell in row]

    def _keep(self, numbers: Sequence[int], cells: list[str]) -> None:
        """Raises ValueError, and keeps nothing, if a row does not fit."""
        columns = {name: cells[place :: len(self._places)] for name, place in self._places.items()}
        found: dict[str, list[float]] = {}
        for name in self.numbers:
            low, high, whole = NUMBERS[name]
            values = found[name] = list(map(float, columns[name]))
            if not all(low <= value <= high for value in values) or (whole and any(value % 1 for value in values)):
                raise ValueError(name)
        ids, batches = columns["vm"], columns["batch"]
        fresh = dict(zip(ids, numbers, strict=True))
        if len(fresh) != len(ids) or not fresh.keys().isdisjoint(self.rows):
            raise ValueError("a VM that occurs twice")
        if not _are_ids(ids) or not _are_ids(batches):
            raise ValueError("an id")
        if "life_hi_s" in found and any(map(gt, found["life_lo_s"], found["life_hi_s"])):
            raise ValueError("life_hi_s")
        self.rows |= fresh
        self.batch += [self._batches.setdefault(batch, len(self._batches)) for batch in batches]
        for name, values in found.items():
            self.numbers[name] += values

    def _examined(self, numbers: Sequence[int], lines: Sequence[str]) -> tuple[list[int], list[str]]:
        """The rows that fit; reports the others."""
        fresh: dict[str, int] = {}
        good: list[str] = []
        for number, line in zip(numbers, lines, strict=True):
            row, problems = self._problems_of(line)
            vm = row[self._places["vm"]] if row else ""
            if (first := fresh.get(vm, self.rows.get(vm))) is not None:
                problems.append(("vm", f"{quote(vm)} is already in row {first}"))
            if problems:
                self.skipped += 1
                self.problems += len(problems)
                self.bad += [BadRow(number, *each) for each in problems][: MOST_LISTED - len(self.bad)]
            else:
                fresh[vm] = number
                good += row
        return list(fresh.values()), good

    def _problems_of(self, line: str) -> tuple[list[str], list[tuple[str, str]]]:
        try:
            row = _fields(line)
        except csv.Error as error:
            return [], [("", f"is not CSV: {error}")]
        if len(row) != len(self._places):
            return [], [("", f"has {len(row)} fields, the header {len(self._places)}")]
        cells = {name: row[place] for name, place in self._places.items()}
        problems = [(name, f"{quote(cells[name])} is no id") for name in ("vm", "batch") if not _are_ids([cells[name]])]
        for name in self.numbers:
            if what := _wrong(name, cells[name]):
                problems.append((name, what))
        if "life_hi_s" in self.numbers and not problems and float(cells["life_lo_s"]) > float(cells["life_hi_s"]):
            problems.append(("life_hi_s", f"{quote(cells['life_hi_s'])} is less than life_lo_s"))
        return row, problems


def _are_ids(texts: Sequence[str]) -> bool:
    return "" not in texts and "".join(texts).isprintable() and max(map(len, texts), default=0) <= MOST_ID


def _wrong(name: str, text: str) -> str | None:
    low, high, whole = NUMBERS[name]
    try:
        value = float(text)
    except ValueError:
        return f"{quote(text)} is not a number"
    if math.isfinite(value) and low <= value <= high and not (whole and value % 1):
        return None
    return f"must be a {'whole ' if whole else ''}number between {low:g} and {high:g}, not {quote(text)}"


def _fields(line: str) -> list[str]:
    return next(csv.reader([line], strict=True)) if '"' in line else line.split(",")
