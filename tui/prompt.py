"""The line that is typed into: behind ``/`` a filter, behind ``:`` a place or a deed, with what it would do below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input, Static

from tui.clean import clean
from tui.jump import MOST, Suggestion, suggestions
from tui.painted import Line, Painted, padded

if TYPE_CHECKING:
    from tui.app import Dashboard

FILTER, JUMP = "/", ":"


class Prompt(Horizontal):
    """Shown instead of the crumbs while somebody types."""

    def __init__(self, board: Dashboard) -> None:
        super().__init__(id="prompt")
        self.board = board
        self.mode = FILTER
        self.before = ""
        self.sign = Static(FILTER, id="prompt-sign")
        self.input = Input(id="prompt-input", compact=True, select_on_focus=False)

    def compose(self) -> ComposeResult:
        yield self.sign
        yield self.input

    def open(self, mode: str, text: str = "") -> None:
        self.mode, self.before = mode, text
        self.sign.update(mode)
        self.display = True
        with self.input.prevent(Input.Changed):
            self.input.value = text
        self.input.cursor_position = len(text)
        self.screen.set_focus(self.input)  # at once: the next key may be waiting

    def close(self) -> None:
        self.display = False
        self.screen.set_focus(None)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.board.typed(self.mode, event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.board.entered(self.mode, event.value)

    def on_key(self, event: events.Key) -> None:
        if event.key == "escape":
            event.stop()
            event.prevent_default()
            self.board.left(self.mode, self.before)
        elif self.mode == JUMP and event.key in ("up", "down", "tab"):
            event.stop()
            event.prevent_default()
            self.board.suggested(event.key)


class Suggestions(Painted):
    """Eight lines below the prompt, above everything else."""

    back = "panel"

    def __init__(self, board: Dashboard) -> None:
        super().__init__(board.palette, board.in_ascii, id="suggestions")
        self.board = board
        self.found: list[Suggestion] = []
        self.chosen = -1

    def look(self, line: str) -> None:
        self.found = suggestions(self.board, line)
        self.chosen = -1
        self.display = bool(self.found)
        self.styles.height = min(MOST, len(self.found)) + 2
        self._lines = []
        self._strips.clear()
        self.refresh()

    def step(self, by: int) -> str:
        """The next one; the line that it stands for."""
        if not self.found:
            return ""
        self.chosen = (self.chosen + by) % len(self.found) if self.chosen >= 0 or by > 0 else len(self.found) - 1
        self._lines = []
        self._strips.clear()
        self.refresh()
        return self.found[self.chosen].text

    def paint(self, cells: int, rows: int) -> list[Line]:
        inner = max(10, cells)
        names = min(38, max((len(each.text) for each in self.found), default=8) + 2)
        lines: list[Line] = []
        for number, each in enumerate(self.found):
            back = "cursor" if number == self.chosen else "panel"
            effect = padded(each.effect, max(0, inner - names - 2))
            lines.append(
                [(" ", "text", back), (padded(each.text, names), "strong", back), (clean(effect) + " ", "dim", back)]
            )
        return lines
