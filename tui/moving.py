"""Moving: the cursor, the panes, the views, the marks, and how a list is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.command import CommandPalette

from tui.filters import NONE
from tui.keys import VIEWS
from tui.pulse import HEAT
from tui.views.base import Docs, Place
from tui.views.events import Events
from tui.views.jobs import Jobs
from tui.views.why import Why

if TYPE_CHECKING:
    from tui.app import Dashboard

PANEL_CELLS = 132  # of the screen, from which there is a panel


class Moving:
    """A part of the dashboard."""

    @property
    def board(self) -> Dashboard:
        return cast("Dashboard", self)

    def action_move(self, by: int) -> None:
        if self._on_heat():
            self.board.pulse.heat.move(0, by)
            return
        self.board.lines.move(by)
        self._steered()

    def action_page(self, by: int) -> None:
        if not self._on_heat():
            self.board.lines.page(by)
            self._steered()

    def action_edge(self, to: int) -> None:
        if not self._on_heat():
            self.board.lines.move_to(0 if to < 0 else len(self.board.lines.rows) - 1)
            self._steered()

    def action_aside(self, by: int) -> None:
        listing = self.board.lines.listing
        if self._on_heat():
            self.board.pulse.heat.move(by, 0)
        elif isinstance(listing, Jobs):
            self.board.lines.cursor = listing.fold(self.board.lines.cursor, by > 0)
            self.board.lines.order()
            self.board.lines.refresh()
        else:
            self.board.lines.aside(by)

    def _on_heat(self) -> bool:
        return self.board.place.view == "pulse" and self.board.pulse.active == HEAT

    def _steered(self) -> None:
        """A list that follows does so until somebody leaves its end."""
        lines = self.board.lines
        if isinstance(lines.listing, Events):
            lines.follows = bool(lines.rows) and lines.index == len(lines.rows) - 1

    def action_open(self) -> None:
        if self._on_heat():
            if self.board.pulse.heat.cursor:
                self.board.go(Place("vms", (("host", self.board.pulse.heat.cursor),), self.board.pulse.heat.cursor))
            return
        lines = self.board.lines
        listing = lines.listing
        if isinstance(listing, Jobs):
            lines.cursor = listing.fold(lines.cursor)
            lines.order()
            lines.refresh()
            return
        place = listing.into(lines.cursor) if isinstance(listing, Docs) and lines.cursor else None
        if place is not None:
            self.board.go(place)
        else:
            self.board.action_describe()

    def action_out(self) -> None:
        lines = self.board.list
        if self.board.place.view == "pulse":
            return
        if lines.marks:
            lines.unmark()
        elif lines.filter.said.strip():
            lines.set_filter(NONE)
        elif len(self.board.trail) > 1:
            self.board._leave()
            self.board.trail.pop()
            self.board._enter()
        else:
            self.board.go_to_view("pulse")
        self.board._repaint()

    def action_pane(self, by: int) -> None:
        self.board.pulse.turn(by)

    def action_view(self, view: str) -> None:
        self.board.go_to_view(view)

    def action_turn(self, by: int) -> None:
        view = self.board.trail[0].view
        place = VIEWS.index(view) if view in VIEWS else 0
        self.board.go_to_view(VIEWS[(place + by) % len(VIEWS)])

    def action_follow(self) -> None:
        lines = self.board.lines if self.board.place.view == "events" else self.board.pulse.events
        lines.follows = not lines.follows
        lines.order()
        lines.reveal()
        self.board._repaint()

    def action_sort(self, letter: str) -> None:
        listing = self.board.list.listing
        title = next((column.title for column in listing.columns if column.letter == letter), "") if listing else ""
        if title:
            self.board.list.sort_by(title)
            self.board._repaint()

    def action_mark(self) -> None:
        self.board.list.toggle(self.board.list.cursor)
        self.board.list.move(1)
        self.board._repaint()

    def action_mark_range(self) -> None:
        self.board.list.mark_to(self.board.list.cursor)
        self.board._repaint()

    def action_mark_all(self) -> None:
        self.board.list.mark_all()
        self.board._repaint()

    def action_wide(self) -> None:
        self.board.list.set_wide(not self.board.list.wide)
        self.board._repaint()

    def action_panel(self) -> None:
        if self.board.size.width < PANEL_CELLS:
            self.board.action_describe()  # there is no room for one
            return
        self.board._panel_wanted = not self.board._panel_wanted
        self.board._lay_out()

    def action_refresh(self) -> None:
        self.board.lines.order()
        self.board.recolour()
        if isinstance(self.board.list.listing, Why) and self.board.place.view == "why":
            self.board._explain(self.board.list.listing)
        self.board._repaint()

    def action_read_only(self) -> None:
        if self.board.source.read_only:
            self.board.tell("nothing can be changed in what is over", severity="warning")
            return
        self.board.read_only = not self.board.read_only
        told = "read-only: nothing can be changed from here" if self.board.read_only else "it can be changed from here"
        self.board.tell(told)
        self.board._repaint()

    def action_theme(self) -> None:
        names = ["ave-dark", "ave-light", "ave-ansi", *self.board.liked.themes]
        place = names.index(self.board.theme) if self.board.theme in names else -1
        self.board.set_theme(names[(place + 1) % len(names)])

    def action_palette(self) -> None:
        if not isinstance(self.board.screen, CommandPalette):
            self.board.push_screen(CommandPalette())
