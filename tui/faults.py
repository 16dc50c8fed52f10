"""Letting a fault befall a simulated cluster: which, whom, with which parameters; or ending one that lasts."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from ave.cli.remote.failures import Failure, Usage
from tui.clean import fit
from tui.modals import Modal, Text

if TYPE_CHECKING:
    from tui.app import Dashboard


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
        room = max(20, self.text.size.width - names - 1)
        made: list[Any] = []
        for number, (name, phrase, _) in enumerate(every[top : top + rows], start=top):
            back = "cursor" if number == self.place else "panel"
            made.append(
                [
                    ("▌" if number == self.place else " ", "accent", back),
                    (f"{name:<{names}}", "strong!" if number == self.place else "text", back),
                    (fit(phrase, room), "dim", back),
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
