"""Recorded workloads: reads a CSV of VMs and expands its bins to exact seconds.

Columns, in any order, named by the first row: ``vm, arrive_s, batch, vcpu, mem_gib`` and, if lifetimes are known,
``life_lo_s, life_hi_s, censored``. An arrival is a bin of five minutes beginning at ``arrive_s``; a lifetime lies in
its bin; ``censored`` is 1 for a VM that outlived the recording. Other columns are left out.
"""

from __future__ import annotations

import gzip
import io
import math
import os
import zlib
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from sim.chance import stream
from sim.scenario.rows import BadRow, BadTrace, Intake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["BadRow", "BadTrace", "Trace", "Workload", "expand", "read"]

ARRIVAL_BIN = 300.0  # seconds
LIFE_BIN = 300.0  # seconds: the length of a bin whose two ends are given as one
MOST_ROWS = 2_000_000
MOST_LINE = 1 << 16  # characters
CHUNK = 1 << 20  # characters

Row: TypeAlias = tuple[str, float, int, int, int, float | None]


class Trace(msgspec.Struct, frozen=True):
    """Columns as they are in the file; the three of a lifetime are empty if it has none.

    ``batch`` numbers the batches in the order they appear. ``skipped`` counts the rows left out for being bad, and
    ``bad`` says of the first what was wrong.
    """

    ids: tuple[str, ...]
    arrive: tuple[float, ...]
    batch: tuple[int, ...]
    vcpu: tuple[int, ...]
    memory_mib: tuple[int, ...]
    life_low: tuple[float, ...]
    life_high: tuple[float, ...]
    censored: tuple[bool, ...]
    skipped: int = 0
    bad: tuple[BadRow, ...] = ()


class Workload(msgspec.Struct, frozen=True):
    """VMs by the second they arrive, in columns of equal length. Time begins at 0; without end, ``life`` is None.

    VMs of one batch stand together and arrive at the same moment.
    """

    ids: tuple[str, ...]
    arrive: tuple[float, ...]
    batch: tuple[int, ...]
    vcpu: tuple[int, ...]
    memory_mib: tuple[int, ...]
    life: tuple[float | None, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self) -> Iterator[Row]:
        """One VM after the other: id, second, batch, vCPUs, MiB, life."""
        return zip(self.ids, self.arrive, self.batch, self.vcpu, self.memory_mib, self.life, strict=True)


def expand(trace: Trace, *, seed: int, name: str = "trace", scale: float = 1.0) -> Workload:
    """Exact seconds from the bins, by the seed; ids get ``name`` before them. Keeps that share of the batches.

    Every batch and every VM draws, kept or not: a VM of a scaled trace is the same one as in the whole.
    """
    moment, keep, draw = (stream(seed, f"{name}/{what}").random for what in ("moment", "keep", "life"))
    batches = max(trace.batch) + 1
    moments = [ARRIVAL_BIN * moment() for _ in range(batches)]
    kept = [keep() < scale for _ in range(batches)]
    start = min(trace.arrive) // ARRIVAL_BIN * ARRIVAL_BIN
    arrive = [second - start + moments[batch] for second, batch in zip(trace.arrive, trace.batch, strict=True)]
    lives: list[float | None] = [None] * len(trace.ids)
    for row, (low, high, alive) in enumerate(zip(trace.life_low, trace.life_high, trace.censored, strict=True)):
        share = draw()
        # A bin is open below, so nobody lives for no time at all; bin 0 is the first one, of a VM gone at once.
        top = high or LIFE_BIN
        bottom = low if low < high else max(top - LIFE_BIN, 0.0)
        lives[row] = None if alive else top - (top - bottom) * share
    order = [row for row, batch in enumerate(trace.batch) if kept[batch]]
    order.sort(key=lambda row: (arrive[row], trace.batch[row]))
    return Workload(
        ids=tuple([f"{name}-{trace.ids[row]}" for row in order]),
        arrive=tuple([arrive[row] for row in order]),
        batch=tuple([trace.batch[row] for row in order]),
        vcpu=tuple([trace.vcpu[row] for row in order]),
        memory_mib=tuple([trace.memory_mib[row] for row in order]),
        life=tuple([lives[row] for row in order]),
    )


def read(path: Path, *, skip_bad_rows: bool = False, progress: Callable[[int, int], None] | None = None) -> Trace:
    """The trace in a file, plain or gzipped. Raises BadTrace.

    ``progress`` is told how many bytes of the file are read, of how many.
    """
    intake, row = Intake(str(path)), 1
    try:
        with path.open("rb") as raw:
            size = os.fstat(raw.fileno()).st_size
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            plain = gzip.GzipFile(fileobj=raw) if packed else raw
            with io.TextIOWrapper(plain, "utf-8-sig") as text:
                for lines in _chunks(text):
                    intake.take(row, lines)
                    row += len(lines)
                    if row > MOST_ROWS:
                        raise ValueError(f"more than {MOST_ROWS} rows")
                    if progress is not None:
                        progress(raw.tell(), size)
        if progress is not None:
            progress(size, size)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise intake.refused(BadRow(row, "", f"cannot be read from here on: {error}")) from None
    if intake.problems and not skip_bad_rows:
        raise intake.refused()
    if not intake.rows:
        raise intake.refused(BadRow(row, "", "there are no VMs"))
    numbers = intake.numbers
    return Trace(
        ids=tuple(intake.rows),
        arrive=tuple(numbers["arrive_s"]),
        batch=tuple(intake.batch),
        vcpu=tuple(map(int, numbers["vcpu"])),
        # Upwards: no VM gets less than it had.
        memory_mib=tuple([math.ceil(gib * 1024) for gib in numbers["mem_gib"]]),
        life_low=tuple(numbers.get("life_lo_s", ())),
        life_high=tuple(numbers.get("life_hi_s", ())),
        censored=tuple(map(bool, numbers.get("censored", ()))),
        skipped=intake.skipped,
        bad=tuple(intake.bad),
    )


def _chunks(text: io.TextIOWrapper) -> Iterator[list[str]]:
    """Whole lines. However the file was made, no more than a chunk and a line is in memory."""
    rest = ""
    while part := text.read(CHUNK):
        lines = (rest + part).split("\n")
        if max(map(len, lines)) > MOST_LINE:
            raise ValueError(f"a row of more than {MOST_LINE} characters")
        rest = lines.pop()
        if lines:
            yield lines
    if rest:
        yield [rest]
