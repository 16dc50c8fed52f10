"""What was, as areas of block characters: VMs that run, memory held, Jobs at work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from tui.glyphs import BLOCKS
from tui.painted import Line, Painted

if TYPE_CHECKING:
    from tui.app import Dashboard

LABEL, VALUE = 12, 7


class Chart(NamedTuple):
    title: str
    series: str
    tone: str
    say: Callable[[float], str]
    top: float = 0.0  # the least that the top stands for


CHARTS = (
    Chart("VMs running", "vms.running", "good", lambda value: f"{value:,.0f}", 1.0),
    Chart("memory held", "memory.share", "accent", lambda value: f"{value * 100:.0f} %", 1.0),
    Chart("Jobs active", "jobs.active", "info", lambda value: f"{value:,.0f}", 4.0),
)


def buckets(points: Sequence[tuple[float, float]], begin: float, end: float, cells: int) -> list[float | None]:
    """One value for each cell: the last one in it, or else the one before; None before there was any."""
    found: list[float | None] = [None] * cells
    for t, value in points:
        place = int((t - begin) / max(end - begin, 1e-9) * cells)
        if place < 0:
            found[0] = value
        elif place < cells:
            found[place] = value
        elif place == cells:
            found[cells - 1] = value
    last: float | None = None
    for place, said in enumerate(found):
        last = said if said is not None else last
        found[place] = last
    return found


def area(values: Sequence[float | None], rows: int, top: float) -> list[str]:
    """From the top row to the lowest one."""
    lines: list[str] = []
    eighths = [None if value is None else round(value / top * rows * 8) for value in values]
    for row in range(rows - 1, -1, -1):
        line = []
        for eighth, value in zip(eighths, values, strict=True):
            if eighth is None:
                line.append(" ")
                continue
            height = eighth - row * 8
            if row == 0 and height <= 0 and value is not None:
                line.append("▁")  # there was a value, and it was next to nothing
                continue
            line.append(BLOCKS[max(0, min(8, height))])
        lines.append("".join(line))
    return lines


def edged(text: str, above: str, tone: str) -> list[tuple[str, str]]:
    """What has more of the area above it is soft, so that the edge is seen. ``above`` is the row above, or nothing."""
    made: list[tuple[str, str]] = []
    pairs = zip(text, above or " " * len(text), strict=True)
    for soft, cells in groupby(pairs, lambda pair: pair[1] != " "):
        made.append(("".join(cell for cell, _ in cells), f"{tone}~" if soft else tone))
    return made


class Charts(Painted):
    def __init__(self, board: Dashboard) -> None:
        super().__init__(board.palette, board.in_ascii, id="charts")
        self.board = board

    def paint(self, cells: int, rows: int) -> list[Line]:
        charts = CHARTS[: max(1, min(len(CHARTS), rows // 3))]
        each = max(1, (rows - (len(charts) - 1)) // len(charts))
        room = cells - LABEL - VALUE - 2
        if room < 8 or rows < 2:
            return []
        begin, now, _, _ = self.board.span()
        lines: list[Line] = []
        for chart in charts:
            if lines:
                lines.append([])
            points = [point for point in self.board.model.series.get(chart.series, ()) if point[0] <= now + 1]
            values = buckets(points, begin, now, room)
            top = max([chart.top, *(value for value in values if value is not None)]) * 1.02
            last = values[-1]
            above = ""
            for number, text in enumerate(area(values, each, top)):
                label = chart.title if number == 0 else ""
                value = chart.say(last) if number == 0 and last is not None else ""
                lines.append(
                    [(f"{label:<{LABEL}} ", "dim"), *edged(text, above, chart.tone), (f"{value:>{VALUE}}", "strong!")]
                )
                above = text
        return lines
