"""Painting: when the screen looks at the model, and what it draws of it, by size."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from textual import events

from tui.heat import drawn
from tui.model import State
from tui.moving import PANEL_CELLS
from tui.painted import Line, wrapped
from tui.views.base import Docs
from tui.views.timeline import Timeline
from tui.views.why import Why

if TYPE_CHECKING:
    from tui.app import Dashboard

#: Between two looks at the model: so long, and so many times what the last one took.
PAINT_SECONDS, COST_RATIO = 0.1, 6.0
SMALL_ROWS = 12  # of the screen, below which only the list is shown


class Painting:
    """A part of the dashboard."""

    @property
    def board(self) -> Dashboard:
        return cast("Dashboard", self)

    def stale(self) -> None:
        self.board._seen = (-1, -1)

    def tick(self) -> None:
        """What has changed since, and nothing else; it costs a seventh of the time at most."""
        board = self.board
        began = monotonic()
        if began < board._due:
            return
        second = int(began)
        seen = (board.model.revision, second)
        if seen == board._seen:
            return
        board._seen = seen
        self.paint(second)
        board._due = monotonic() + (monotonic() - began) * COST_RATIO

    def paint(self, second: int) -> None:
        board = self.board
        board.paints += 1
        lost = board.model.state is State.LOST
        if lost != board._was_lost:
            board._was_lost = lost
            board.recolour()
        board.banner.display = bool(self.trouble()[0])
        board.timeline.display = board.model.clock is not None and board.size.height >= SMALL_ROWS
        board.header.tick()
        if board.place.view == "pulse":
            board.pulse.tick(second)
        else:
            if isinstance(board.list.listing, Timeline):
                laid = board.list.laid()
                board.list.listing.room = laid[-1].width if laid else 40
            if (
                isinstance(board.list.listing, Why)
                and board.list.listing.resets != board.model.resets
                and board.list.listing.vm
            ):
                board._explain(board.list.listing)  # it is of another moment now
            board.list.tick(second)
            self._say_heading()
            board.panel.tick()
        board.crumbs.tick()
        board.banner.tick()
        board.timeline.tick()
        board.footer.tick()

    def trouble(self) -> tuple[str, str]:
        model = self.board.model
        if model.state is State.LOST:
            return (
                f"✕ The connection is lost, and what is shown is old: {model.why}. It is tried again and again.",
                "strong!",
            )
        if model.state is State.SLOW:
            return f"▲ {model.why}: what is shown may be old", "strong!"
        if model.clock is not None and model.clock.broken:
            return f"✕ The simulated world stands still for ever: {model.clock.broken}", "strong!"
        if model.clock is not None and model.clock.damage:
            return f"▲ The recording is damaged: {model.clock.damage}", "strong!"
        if not model.fed:
            return f"▲ {model.host or 'the host'} does not hear its store: what is shown may be old", "strong!"
        return "", "text"

    def beside(self) -> list[Any]:
        """About the row under the cursor."""
        board = self.board
        listing = board.lines.listing
        return listing.panel(board.lines.cursor) if isinstance(listing, Docs) and board.lines.cursor else []

    def above(self, cells: int) -> list[Line]:
        board = self.board
        listing = board.list.listing
        if board.place.view == "hosts" and not board.place.scope:
            return drawn(board.model, cells, 3, strip=True).lines
        return list(wrapped(listing.heading(), cells)) if isinstance(listing, Docs) else []

    def _say_heading(self) -> None:
        board = self.board
        lines = self.above(max(10, board.beneath.size.width - 3))
        few = board.size.height < 20
        board.heading.display = bool(lines) and not few
        wanted = len(lines) + 1  # and an empty one below
        if lines and (board.heading.styles.height is None or board.heading.styles.height.value != wanted):
            board.heading.styles.height = wanted
        board.heading.tick()

    def on_resize(self, event: events.Resize) -> None:
        self.board.call_later(self._lay_out)  # once the screen has that size too

    def _lay_out(self) -> None:
        board = self.board
        cells, rows = board.size.width, board.size.height
        pulse = board.place.view == "pulse"
        board.pulse.display = pulse
        board.beneath.display = not pulse
        board.panel.display = not pulse and board._panel_wanted and cells >= PANEL_CELLS
        board.panel.styles.width = max(40, min(64, cells // 3))
        small = rows < SMALL_ROWS
        board.header.styles.height = 1 if small else 2
        board.crumbs.display = not board.prompt.display and rows > SMALL_ROWS // 2
        board.footer.display = rows >= 6
        if pulse:
            board.pulse.lay_out(cells, rows)
        self.stale()
        board.call_after_refresh(self._repaint)

    def _repaint(self) -> None:
        self.stale()
        self.board._due = 0.0
        self.tick()
