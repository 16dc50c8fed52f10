"""The pulse: how all of it is, on one screen. Four panes: hosts by zone, what was, Jobs, events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from tui.charts import Charts
from tui.heat import HeatMap, needed
from tui.lines import Lines
from tui.views.base import Place
from tui.views.events import Events
from tui.views.jobs import Jobs

if TYPE_CHECKING:
    from tui.app import Dashboard

WIDE = 110  # cells from which there are two columns
HEAT, JOBS, EVENTS = "heat", "pulse-jobs", "pulse-events"


class Pulse(Horizontal):
    def __init__(self, board: Dashboard) -> None:
        super().__init__(id="pulse")
        self.board = board
        self.heat, self.charts = HeatMap(board), Charts(board)
        self.jobs = Lines(board.palette, board.in_ascii, id=JOBS)
        self.events = Lines(board.palette, board.in_ascii, id=EVENTS, titles=False)
        self.active = EVENTS
        self._two = True
        self._heat_rows = 0

    def compose(self) -> ComposeResult:
        with Vertical(id="pulse-left"):
            yield self.heat
            yield self.charts
        with Vertical(id="pulse-right"):
            yield self.jobs
            yield self.events

    def on_mount(self) -> None:
        self.heat.border_title, self.charts.border_title = "hosts by memory", "history"
        self.jobs.border_title, self.events.border_title = "jobs", "events"
        self.jobs.show(Jobs(self.board.context, Place("jobs")))
        self.events.show(Events(self.board.context, Place("events")))
        self.events.follows = True
        self._show_active()

    @property
    def pane(self) -> Lines | None:
        """The list that keys move in, if it is one."""
        return {JOBS: self.jobs, EVENTS: self.events}.get(self.active)

    def turn(self, by: int) -> None:
        panes = (HEAT, JOBS, EVENTS) if self._two else (HEAT, EVENTS)
        place = panes.index(self.active) if self.active in panes else 0
        self.active = panes[(place + by) % len(panes)]
        self._show_active()

    def choose(self, pane: str) -> None:
        self.active = pane
        self._show_active()

    def lay_out(self, cells: int, rows: int) -> None:
        """Two columns where there is room; else hosts and events, one above the other."""
        self._two = cells >= WIDE
        self.set_class(not self._two, "-one")
        self._heat_rows = 0
        if not self._two and self.active == JOBS:
            self.choose(EVENTS)
        self.tick(0)

    def tick(self, second: int) -> None:
        if not self.display:
            return
        room = self.size.height
        most = max(3, (room * 55) // 100 if self._two else (room - 2) // 2)
        wanted = needed(self.board.model, max(10, self._heat_cells()), most - 2) + 2
        if wanted != self._heat_rows:
            self._heat_rows = wanted
            self.heat.styles.height = wanted
        self.heat.tick()
        if self._two:
            self.charts.tick()
            if self.active != JOBS:
                self.jobs.to_top()
            self.jobs.tick(second)
        self.events.tick(second)

    def _heat_cells(self) -> int:
        cells = self.size.width if not self._two else self.size.width // 2
        return cells - 4

    def recolour(self) -> None:
        for each in (self.heat, self.charts, self.jobs, self.events):
            each.recolour()

    def _show_active(self) -> None:
        for id, widget in ((HEAT, self.heat), (JOBS, self.jobs), (EVENTS, self.events)):
            widget.set_class(id == self.active, "-active")
        self.heat.live = self.active == HEAT
        self.jobs.live, self.events.live = self.active == JOBS, self.active == EVENTS
        if self.heat.live and not self.heat.cursor:
            self.heat.move(0, 0)
        self.recolour()
        self.heat.tick()
