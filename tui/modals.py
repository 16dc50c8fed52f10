"""What stands above everything for a moment: text to read, a menu; questions and faults have modules of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widget import Widget

from tui.columns import Span
from tui.painted import Line, Painted, plain_scrollbars, wrapped

if TYPE_CHECKING:
    from tui.app import Dashboard

Entry = tuple[str, str, str, Callable[[], None]]  # of a menu: a letter, a name, its effect, and what is called then
CLOSE: list[BindingType] = [Binding("escape,q", "close", "close", show=False)]


class Text(Painted):
    """Lines of spans, as high as they are; they are broken to the width."""

    back = "panel"

    def __init__(
        self, board: Dashboard, lines: Sequence[Sequence[Span]], *, wrap: bool = True, share: int = 75
    ) -> None:
        """``share``: percent of the screen's height that it may take where it scrolls."""
        super().__init__(board.palette, board.in_ascii)
        self.lines, self._wrap, self.share = list(lines), wrap, share

    def set(self, lines: Sequence[Sequence[Span]]) -> None:
        self.lines = list(lines)
        self._fit()

    def paint(self, cells: int, rows: int) -> list[Line]:
        return list(wrapped(self.lines, max(8, cells))) if self._wrap else list(self.lines)

    def on_mount(self) -> None:
        self._fit()

    def on_resize(self) -> None:
        super().on_resize()
        self._fit()

    def _fit(self) -> None:
        self._lines = []
        self._strips.clear()
        height = max(1, len(self.paint(max(8, self.size.width or 60), 0)))
        _set_height(self, height)
        if isinstance(self.parent, VerticalScroll):
            if self._ascii():
                plain_scrollbars(self.parent)
            _set_height(self.parent, max(1, min(height, self.app.size.height * self.share // 100)))
        self.refresh()


def _set_height(widget: Widget, height: int) -> None:
    """A height that is the same is not set again: that would be another layout."""
    if widget.styles.height is None or widget.styles.height.value != height:
        widget.styles.height = height


class Modal(ModalScreen[Any]):
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = CLOSE

    def __init__(self, board: Dashboard) -> None:
        super().__init__()
        self.board = board

    def action_close(self) -> None:
        self.dismiss(None)

    def on_click(self, event: events.Click) -> None:
        """Beside it: it closes."""
        if event.widget is self:
            self.dismiss(None)


class Reader(Modal):
    """Text to read: a description, YAML, the keys. ``plain``: what c copies."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *CLOSE,
        Binding("question_mark,d,y,L,enter", "close", "close", show=False),
        Binding("j,down", "scroll(1)", show=False),
        Binding("k,up", "scroll(-1)", show=False),
        Binding("pagedown,space,ctrl+f", "scroll(15)", show=False),
        Binding("pageup,ctrl+b", "scroll(-15)", show=False),
        Binding("home", "scroll(-100000)", show=False),
        Binding("end", "scroll(100000)", show=False),
        Binding("c", "copy", show=False),
    ]

    def __init__(
        self, board: Dashboard, title: str, lines: Sequence[Sequence[Span]], plain: str = "", *, broad: bool = False
    ) -> None:
        super().__init__(board)
        self._title, self.text, self.plain = title, Text(board, lines), plain
        self.set_class(broad, "-broad")

    def compose(self) -> ComposeResult:
        with Vertical(classes="modal reader") as box:
            box.border_title = self.board.said(self._title)
            box.border_subtitle = "c copy  esc close" if self.plain else "esc close"
            with VerticalScroll(can_focus=False) as self.scroller:
                yield self.text

    def action_scroll(self, by: int) -> None:
        self.scroller.scroll_relative(y=by, animate=False)

    def action_copy(self) -> None:
        if self.plain:
            self.board.copy(self.plain, self._title)


class Menu(Modal):
    """A letter, or the cursor and enter."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", show=False),
        Binding("down", "step(1)", show=False),
        Binding("up", "step(-1)", show=False),
        Binding("enter", "choose", show=False),
    ]

    def __init__(self, board: Dashboard, title: str, entries: Sequence[Entry]) -> None:
        super().__init__(board)
        self._title, self.entries, self.place = title, list(entries), 0
        self.text = Text(board, self._lines(), wrap=False)

    def compose(self) -> ComposeResult:
        with Vertical(classes="modal menu") as box:
            box.border_title = self.board.said(self._title)
            box.border_subtitle = "a letter, or enter  esc leave"
            with VerticalScroll(can_focus=False) as self.scroller:
                yield self.text

    def _lines(self) -> list[Any]:
        if not self.entries:
            return [[("nothing can be done with it now", "dim")]]
        names = max(len(name) for _, name, _, _ in self.entries) + 2
        made: list[Any] = []
        for number, (letter, name, effect, _) in enumerate(self.entries):
            back = "cursor" if number == self.place else "panel"
            made.append(
                [
                    ("▌" if number == self.place else " ", "accent", back),
                    (f"{letter:<2}", "accent!", back),
                    (f"{name:<{names}}", "strong", back),
                    (f"{effect:<200}", "dim", back),
                ]
            )
        return made

    def action_step(self, by: int) -> None:
        if self.entries:
            self.place = (self.place + by) % len(self.entries)
            self.text.set(self._lines())
            self.scroller.scroll_to(y=max(0, self.place - self.scroller.size.height + 2), animate=False)

    def action_choose(self) -> None:
        if self.entries:
            self._take(self.entries[self.place][3])
        else:
            self.dismiss(None)

    def on_key(self, event: events.Key) -> None:
        if event.character in ("j", "k") and not any(letter == event.character for letter, *_ in self.entries):
            event.stop()
            self.action_step(1 if event.character == "j" else -1)
            return
        for letter, _, _, deed in self.entries:
            if event.character and letter == event.character:
                event.stop()
                self._take(deed)
                return

    def _take(self, deed: Callable[[], None]) -> None:
        self.dismiss(None)
        self.app.call_later(deed)
