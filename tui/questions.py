"""A question before something is done: what will happen, to whom, and which command does the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Input

from ave.cli.remote.failures import Failure
from tui.columns import Span
from tui.modals import CLOSE, Modal, Text

if TYPE_CHECKING:
    from tui.app import Dashboard

SHOWN_MOST = 240  # characters of a command, in a question


class Confirm(Modal):
    """What will happen, and to whom; the equal command; if something can be said about it, a line to say it in."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *CLOSE,
        Binding("enter,y", "yes", show=False),
        Binding("n", "close", show=False),
        Binding("c", "copy", show=False),
    ]

    def __init__(
        self,
        board: Dashboard,
        title: str,
        lines: Sequence[Sequence[Span]],
        command: Callable[[str], str],
        *,
        dangerous: bool,
        line: str | None = None,
        hint: str = "",
        foreseen: Callable[[str], Any] | None = None,
    ) -> None:
        """``command``: the equal line of a shell for what is typed. ``foreseen``: asks the cluster what would be refused."""
        super().__init__(board)
        self._title, self._command, self._foreseen = title, command, foreseen
        self._head = list(lines)
        self._tail: list[Sequence[Span]] = []
        self._dangerous, self._hint = dangerous, hint
        self.text = Text(board, lines, share=50)
        self.below = Text(board, [])
        self.input = (
            Input(value=line or "", placeholder=hint, compact=True, id="modal-input", select_on_focus=False)
            if line is not None
            else None
        )
        self.set_class(dangerous, "-dangerous")

    def compose(self) -> ComposeResult:
        with Vertical(classes="modal confirm") as box:
            box.border_title = self.board.said(self._title)
            box.border_subtitle = "enter do it  esc leave it"
            with VerticalScroll(can_focus=False):
                yield self.text
            if self.input is not None:
                yield self.input
            yield self.below

    def on_mount(self) -> None:
        self._say()
        if self.input is not None:
            self.input.focus()
        if self._foreseen is not None:
            self.run_worker(self._foresee(), exclusive=True)

    @property
    def said(self) -> str:
        return self.input.value if self.input is not None else ""

    def _say(self, trouble: str = "") -> None:
        """What is half typed is no reason to fail."""
        lines: list[Sequence[Span]] = [[], *self._tail]
        try:
            line = self._command(self.said)
        except Failure as failure:
            trouble = trouble or failure.what
        if trouble:
            lines.append([("✕ ", "bad"), (trouble, "bad")])
        else:
            shown = line if len(line) <= SHOWN_MOST else line[:SHOWN_MOST] + " …  c copies all of it"
            lines.append([("same as  ", "dim"), (shown, "text")])
        self.below.set(lines)

    async def _foresee(self) -> None:
        assert self._foreseen is not None
        told = await self._foreseen(self.said)
        if told:
            self._tail = told
            self._say()

    def on_input_changed(self) -> None:
        self._say()

    def on_input_submitted(self) -> None:
        self.action_yes()

    def action_yes(self) -> None:
        try:
            self._command(self.said)
        except Failure as failure:
            self._say(f"{failure.what}: {failure.hint}" if failure.hint else failure.what)
            return
        self.dismiss(self.said)

    def action_copy(self) -> None:
        """Only where nothing can be typed, so there is nothing that cannot be said."""
        self.board.copy(self._command(self.said), "the command")
