"""What stands above everything for a moment: text to read, a question, a menu, faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input

from tui.columns import Span
from tui.painted import Line, Painted, plain_scrollbars, wrapped

if TYPE_CHECKING:
    from tui.app import Dashboard

SHOWN_MOST = 240  # characters of a command, in a question
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
        from ave.cli.remote.failures import Failure

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
        from ave.cli.remote.failures import Failure

        try:
            self._command(self.said)
        except Failure as failure:
            self._say(f"{failure.what}: {failure.hint}" if failure.hint else failure.what)
            return
        self.dismiss(self.said)

    def action_copy(self) -> None:
        """Only where nothing can be typed, so there is nothing that cannot be said."""
        self.board.copy(self._command(self.said), "the command")


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


class Faults(Modal):
    """Every fault that a simulated cluster knows, by theme; whom it shall hit, and with which parameters."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", show=False),
        Binding("down,ctrl+n", "step(1)", show=False),
        Binding("up", "step(-1)", show=False),
        Binding("pagedown", "step(8)", show=False),
        Binding("pageup", "step(-8)", show=False),
        Binding("tab", "target(1)", show=False),
        Binding("shift+tab", "target(-1)", show=False),
        Binding("enter", "begin", show=False),
    ]
    ROWS = 12

    def __init__(self, board: Dashboard, told: Mapping[str, Any], target: str = "") -> None:
        super().__init__(board)
        self.under_way = list(told["under_way"])
        self.items = list(told["items"])
        self.place = len(self.under_way) if self.items else 0
        self._wanted = target
        self.targets: list[str] = []
        self.at = 0
        self.text, self.below = Text(board, [], wrap=False), Text(board, [])
        self.input = Input(
            compact=True, id="modal-input", placeholder="for=90s and further parameters", select_on_focus=False
        )

    def compose(self) -> ComposeResult:
        with Vertical(classes="modal faults") as box:
            box.border_title = "↯ Let a fault befall it" if not self.board.in_ascii() else "! Let a fault befall it"
            box.border_subtitle = "up down fault  tab target  enter begin  esc leave"
            yield self.text
            yield self.below
            yield self.input

    def on_mount(self) -> None:
        self._choose(self.place)
        self.input.focus()

    @property
    def chosen(self) -> Mapping[str, Any]:
        return (*self.under_way, *self.items)[self.place]  # type: ignore[no-any-return]

    @property
    def ends(self) -> bool:
        """Is it one that is under way, and would be ended?"""
        return self.place < len(self.under_way)

    def body(self) -> dict[str, Any]:
        """As a timeline of a scenario would say it. Raises Failure."""
        from ave.cli.remote.failures import Usage

        said: dict[str, Any] = {"fault": self.chosen["fault"]}
        if self.targets and self.targets[self.at]:
            said["target"] = self.targets[self.at]
        for word in self.input.value.split():
            name, equals, value = word.partition("=")
            if not equals:
                raise Usage(f"{word[:30]}: write name=value, as for=90s")
            said[name] = _value(value)
        return said

    def command(self) -> str:
        import json
        import shlex

        if self.ends:
            return f"ave api DELETE /v1/faults/{self.chosen['id']}"
        return shlex.join(["ave", "api", "POST", "/v1/faults", "--data", json.dumps(self.body())])

    def action_step(self, by: int) -> None:
        self._choose(max(0, min(self.place + by, len(self.under_way) + len(self.items) - 1)))

    def action_target(self, by: int) -> None:
        if self.targets:
            self.at = (self.at + by) % len(self.targets)
            self._wanted = self.targets[self.at]
        self._say()

    def action_begin(self) -> None:
        from ave.cli.remote.failures import Failure

        try:
            self.dismiss(
                ("end", self.chosen["id"], self.command()) if self.ends else ("begin", self.body(), self.command())
            )
        except Failure as failure:
            self._say(failure.what)

    def on_input_changed(self) -> None:
        self._say()

    def on_input_submitted(self) -> None:
        self.action_begin()

    def _choose(self, place: int) -> None:
        self.place = place
        fault = self.chosen
        kind = "" if self.ends else fault["target"]
        self.targets = self.board.targets(kind or "")
        self.at = self.targets.index(self._wanted) if self._wanted in self.targets else 0
        if not self.ends:
            self.input.value = " ".join(
                f"{each['name']}={_shown(each)}" for each in fault["parameters"] if each["required"]
            ) or ("for=90s" if fault["lasting"] else "")
            self.input.cursor_position = len(self.input.value)
        self.input.display = not self.ends
        self._say()

    def _say(self, trouble: str = "") -> None:
        from ave.cli.remote.failures import Failure

        self.text.set(self._list())
        fault = self.chosen
        lines: list[Any] = [[]]
        if self.ends:
            lines.append(
                [("ends ", "dim"), (fault["id"], "strong!"), (f", begun at {self.board.moment(fault['at'])}", "dim")]
            )
        elif self.targets:
            target = self.targets[self.at]
            lines.append(
                [
                    ("target  ", "dim"),
                    ("‹ ", "dim"),
                    (target or "whoever is drawn", "warn!"),
                    (" › ", "dim"),
                    ("tab: the next", "faint"),
                    ("   " + self.board.hit(target), "text"),
                ]
            )
        for each in () if self.ends else fault["parameters"]:
            lines.append(
                [
                    (f"{each['name']}", "text"),
                    (
                        f"  {each['phrase']}"
                        + (f" [{each['default']}{each['unit'] or ''}]" if each["default"] is not None else ", needed"),
                        "dim",
                    ),
                ]
            )
        try:
            lines.append(
                [("✕ ", "bad"), (trouble, "bad")] if trouble else [("same as  ", "dim"), (self.command(), "text")]
            )
        except Failure as failure:
            lines.append([("✕ ", "bad"), (failure.what, "bad")])
        self.below.set(lines)

    def _list(self) -> list[Any]:
        every = [
            *(
                (f"end {each['id']}", f"{each['fault']} of {', '.join(each['target']) or 'all'}", "under way")
                for each in self.under_way
            ),
            *((each["fault"], each["phrase"], each["theme"]) for each in self.items),
        ]
        rows = max(3, min(self.ROWS, self.app.size.height - 14))
        top = max(0, min(self.place - rows // 2, len(every) - rows))
        names = max((len(name) for name, _, _ in every), default=8) + 2
        made: list[Any] = []
        for number, (name, phrase, _) in enumerate(every[top : top + rows], start=top):
            back = "cursor" if number == self.place else "panel"
            made.append(
                [
                    ("▌" if number == self.place else " ", "accent", back),
                    (f"{name:<{names}}", "strong!" if number == self.place else "text", back),
                    (f"{phrase:<200}", "dim", back),
                ]
            )
        return made


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _shown(parameter: Mapping[str, Any]) -> str:
    if parameter["choices"]:
        return str(parameter["choices"][0])
    low = parameter["low"]
    return f"{low}{parameter['unit'] or ''}"
