"""Typing: what stands behind ``/`` and ``:``."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ave.cli.remote.failures import Failure
from tui.filters import parse
from tui.jump import act
from tui.prompt import FILTER, JUMP
from tui.pulse import HEAT

if TYPE_CHECKING:
    from tui.app import Dashboard


class Typing:
    """A part of the dashboard."""

    @property
    def board(self) -> Dashboard:
        return cast("Dashboard", self)

    def action_filter(self) -> None:
        if self.board.place.view == "pulse":
            self.board.go_to_view("events" if self.board.pulse.active != HEAT else "hosts")
        self._prompt(FILTER, self.board.list.filter.said)

    def action_jump(self) -> None:
        self._prompt(JUMP, "")
        self.board.suggestions.look("")

    def _prompt(self, mode: str, text: str) -> None:
        self.board.crumbs.display = False
        self.board.prompt.open(mode, text)

    def _close_prompt(self) -> None:
        self.board.prompt.close()
        self.board.suggestions.display = False
        self.board._lay_out()

    def typed(self, mode: str, text: str) -> None:
        if mode == JUMP:
            self.board.suggestions.look(text)
        else:
            self.board.list.set_filter(parse(text))
            self.board.panel.tick()

    def entered(self, mode: str, text: str) -> None:
        if mode == FILTER:
            self._close_prompt()
            if self.board.list.filter.wrong:
                self.board.tell(self.board.list.filter.wrong, severity="warning")
            return
        chosen = (
            self.board.suggestions.found[self.board.suggestions.chosen].text
            if self.board.suggestions.chosen >= 0
            else text
        )
        self._close_prompt()
        try:
            act(self.board, chosen)()
        except Failure as failure:
            self.board.fail(failure)

    def left(self, mode: str, before: str) -> None:
        if mode == FILTER:
            self.board.list.set_filter(parse(before))
        self._close_prompt()

    def suggested(self, key: str) -> None:
        text = self.board.suggestions.step(-1 if key == "up" else 1)
        if key == "tab" and text:
            self.board.prompt.input.value = text
            self.board.prompt.input.cursor_position = len(text)
