"""What stands around every view: two lines of header, the crumbs, the line of time and the keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from textual import events

from tui.ages import clock, percent
from tui.columns import bar
from tui.glyphs import CRUMB, FAULT, MARK, sign
from tui.health import health, totals
from tui.keys import Key
from tui.model import Model, State
from tui.painted import Line, Painted, apart, cells_of
from tui.views.hosts import leader

if TYPE_CHECKING:
    from tui.app import Dashboard

_STATES = ("running", "starting", "creating", "suspended", "unknown", "deleting", "stopped")


def speed_word(speed: float | str) -> str:
    return "max" if isinstance(speed, str) else f"×{speed:g}"


class Header(Painted):
    """Is all well, what time is it, and how much there is."""

    back = "panel"

    def __init__(self, board: Dashboard) -> None:
        super().__init__(board.palette, board.in_ascii, id="header")
        self.board = board

    def paint(self, cells: int, rows: int) -> list[Line]:
        model = self.board.model
        return [self._first(model, cells), self._second(model, cells)][:rows]

    def _first(self, model: Model, cells: int) -> Line:
        of = health(model)
        left: list[tuple[str, ...]] = [(" ave ", "base!", "accent"), (f" {self.board.source.name}  ", "strong")]
        if model.state is State.CONNECTING:
            left.append(("◌ connecting …", "info!"))
        elif model.state is State.LOST:
            left.append(("✕ DISCONNECTED", "bad!"))
        elif model.state is State.SLOW:
            left.append(("▲ NO ANSWER", "warn!"))
        else:
            left += [(f"{of.glyph} {of.word}", f"{of.tone}!"), *((f"  {each}", of.tone) for each in of.wrong[:1])]
        right = self._right(model)
        while len(right) > 3 and cells_of(left) + cells_of(right) + 2 > cells:
            right = right[1:]  # the leader goes first
        room = cells - cells_of(left) - cells_of(right) - 2
        for each in (*of.wrong[1:], *(of.noted if model.state is State.LIVE else ())):
            if model.state is not State.LIVE or room < len(each) + 2:
                break
            left.append((f", {each}", of.tone if each in of.wrong else "dim"))
            room -= len(each) + 2
        return apart(left, right, cells)

    def _right(self, model: Model) -> list[tuple[str, ...]]:
        made: list[tuple[str, ...]] = []
        if who := leader(model):
            made.append((f"leader {who}  ", "dim"))
        if self.board.read_only:
            made.append((" READ-ONLY ", "base!", "info"))
            made.append((" ", "text"))
        elif model.clock is None and self.board.source.kind == "live" and model.state is State.LIVE:
            made += [(" LIVE ", "base!", "bad"), (" ", "text")]  # what is done here is done
        if (time := model.clock) is not None:
            label = " REPLAY " if self.board.source.kind == "recorded" else " PAST " if time.past else " SIM "
            made += [(label, "base!", "time"), (f" {clock(self.board.now())} ", "strong!")]
            if time.broken:
                made.append(("✕ broken ", "bad!"))
            elif self.board.paused:
                made.append(("‖ paused ", "time!"))
            else:
                asked = self.board.speed
                pace = f" ({speed_word(round(time.pace))})" if isinstance(asked, str) and time.pace else ""
                made.append((f"▶ {speed_word(asked)}{pace} ", "time!"))
        return made

    def _second(self, model: Model, cells: int) -> Line:
        vms = model.states["vm"]
        of = totals(model)
        left: list[tuple[str, ...]] = [(f" {len(model.docs['vm']):,}", "strong!"), (" VMs  ", "text")]
        right: list[tuple[str, ...]] = [
            ("hosts ", "dim"),
            (f"{of.alive}/{of.hosts}", "text" if of.alive == of.hosts else "warn"),
            ("  cpu ", "dim"),
            *bar(of.cpu, 8),
            (f" {percent(of.cpu):>4}", "text"),
            ("  mem ", "dim"),
            *bar(of.memory, 8),
            (f" {percent(of.memory):>4} ", "text"),
        ]
        if cells < 64:
            right = right[:2]
        words = cells >= 110
        for state in _STATES:
            if not vms[state]:
                continue
            each = sign("vm", state)
            spelled = words or state == "running"
            made = [
                (f"{each.glyph} ", each.tone),
                (f"{vms[state]:,}", "strong!"),
                (f" {state}  " if spelled else "  ", "dim" if each.quiet else each.tone),
            ]
            if cells_of(left) + cells_of(made) + cells_of(right) > cells:
                break
            left += made
        return apart(left, right, cells)


class Crumbs(Painted):
    """Where one is, and what of it is shown."""

    def __init__(self, board: Dashboard) -> None:
        super().__init__(board.palette, board.in_ascii, id="crumbs")
        self.board = board

    def paint(self, cells: int, rows: int) -> list[Line]:
        board = self.board
        made: list[tuple[str, ...]] = [(f" {board.source.name}", "dim"), (f" {CRUMB} ", "faint")]
        for place in board.trail[:-1]:
            made += [(place.crumb, "dim"), (f" {CRUMB} ", "faint")]
        made.append((board.place.crumb, "strong!"))
        lines = board.lines
        if board.place.view != "pulse" and lines.listing is not None:
            shown = len(lines.rows)
            told = f"{shown:,} of {lines.total:,}" if shown != lines.total else f"{shown:,}"
            made.append((f"   {told}", "dim"))
            if lines.filter.said.strip():
                made.append((f"   / {lines.filter.said}", "accent"))
            if lines.filter.wrong:
                made.append((f"   {lines.filter.wrong}", "warn"))
            if lines.marks:
                made.append((f"   {MARK} {len(lines.marks):,} marked", "time"))
            if lines.wide:
                made.append(("   wide: h l", "dim"))
            if board.place.view == "events":
                made.append(("   follows" if lines.follows else "   holds still: f follows", "dim"))
        return [made]


class Banner(Painted):
    """Only there while what is shown is old, or something is broken."""

    back = "tile-bad"

    def __init__(self, board: Dashboard) -> None:
        super().__init__(board.palette, board.in_ascii, id="banner")
        self.board = board

    def paint(self, cells: int, rows: int) -> list[Line]:
        text, tone = self.board.trouble()
        return [[(f" {text}", tone)]]


class TimeLine(Painted):
    """From the begin to the end of what is known: faults, and where in it one is."""

    back = "panel"

    def __init__(self, board: Dashboard) -> None:
        super().__init__(board.palette, board.in_ascii, id="timeline")
        self.board = board
        self._bar = (0, 1)  # where it begins, and how many cells it has

    def paint(self, cells: int, rows: int) -> list[Line]:
        begin, now, end, live = self.board.span()
        moment = self.board.moment
        left = f"{moment(begin):>9} "
        right = f" {moment(now)} now " if live else f" {moment(end)} "
        room = cells - len(left) - len(right) - 1
        if room < 10:
            return [[(f" {moment(now)}", "time")]]
        self._bar = (len(left), room)
        here = self._at(now, begin, end, room)
        cellular = [("━", "time") if place <= here else ("─", "faint") for place in range(room)]
        for at, down in self.board.downs(room, begin, end):
            if down and at < room:
                cellular[at] = ("━" if at <= here else "─", "bad")
        for mark in self.board.model.marks:
            cellular[self._at(mark.t, begin, end, room)] = ("▲", "warn")
        cellular[here] = ("●", "strong!")
        made: list[tuple[str, ...]] = [(left, "dim")]
        for glyph, tone in cellular:
            if len(made) > 1 and made[-1][1] == tone:
                made[-1] = (made[-1][0] + glyph, tone)
            else:
                made.append((glyph, tone))
        return [[*made, (right, "dim")]]

    @staticmethod
    def _at(t: float, begin: float, end: float, room: int) -> int:
        return min(room - 1, max(0, int((t - begin) / max(end - begin, 1e-9) * room)))

    def on_click(self, event: events.Click) -> None:
        at, room = self._bar
        if at <= event.x < at + room:
            begin, _, end, _ = self.board.span()
            self.board.seek_to(begin + (event.x - at) / room * (end - begin))


class Footer(Painted):
    """The keys that fit, the most used ones first; help is always there."""

    back = "panel"

    def __init__(self, board: Dashboard, keys: Callable[[], Sequence[Key]]) -> None:
        super().__init__(board.palette, board.in_ascii, id="footer")
        self.board, self._keys = board, keys

    def paint(self, cells: int, rows: int) -> list[Line]:
        right: list[tuple[str, ...]] = [("?", "accent!"), (" help ", "dim")]
        left: list[tuple[str, ...]] = [(" 1-9", "accent!"), (" views  ", "dim")]
        room = cells - cells_of(right) - 1
        for key in sorted((key for key in self._keys() if key.foot), key=lambda key: key.foot):
            name = key.shown.split()[0]
            if key.id == "faster":
                name = "+ -"
            made = [(name, "accent!"), (f" {key.short}  ", "dim")]
            if cells_of(left) + cells_of(made) > room:
                continue
            left += made
        return [apart(left, right, cells)]


class Panel(Painted):
    """What stands beside a list about the row under the cursor."""

    back = "base"

    def __init__(self, board: Dashboard) -> None:
        super().__init__(board.palette, board.in_ascii, id="panel")
        self.board = board

    def paint(self, cells: int, rows: int) -> list[Line]:
        from tui.painted import wrapped

        lines: list[Any] = wrapped(self.board.beside(), max(8, cells - 2))
        if len(lines) > rows > 0:
            lines = [*lines[: rows - 1], [("… d shows the rest", "faint")]]
        return [[(" ", "text"), *line] for line in lines]


class Heading(Painted):
    """What stands above a list: what the scheduler says, a strip of hosts."""

    def __init__(self, board: Dashboard) -> None:
        super().__init__(board.palette, board.in_ascii, id="heading")
        self.board = board

    def paint(self, cells: int, rows: int) -> list[Line]:
        return self.board.above(cells)


__all__ = ["FAULT", "Banner", "Crumbs", "Footer", "Header", "Heading", "Panel", "TimeLine", "speed_word"]
