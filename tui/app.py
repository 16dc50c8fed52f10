"""The dashboard: what is shown where, and what a key does. It knows its source by the protocol, never what stands behind."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from time import localtime, monotonic, strftime
from typing import Any, ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen

from ave.cli.remote.failures import Failure
from tui import config as liking
from tui.acting import Acting
from tui.ages import clock
from tui.charts import buckets
from tui.clean import clean
from tui.commands import Commands
from tui.filters import NONE, Filter
from tui.frame import Banner, Crumbs, Footer, Header, Heading, Panel, TimeLine
from tui.glyphs import in_ascii
from tui.heat import HeatMap
from tui.key_queue import KeyQueue
from tui.keys import KEYS, Key, bindings, of_view, remapped, sort_keys
from tui.lines import Lines
from tui.looking import Looking
from tui.model import Model
from tui.moving import Moving
from tui.painting import PAINT_SECONDS, Painting
from tui.prompt import Prompt, Suggestions
from tui.pulse import HEAT, Pulse
from tui.source import Source
from tui.theme import Palette
from tui.typed import Typing
from tui.views.base import Context, Docs, Place
from tui.views.events import Events
from tui.views.groups import Groups
from tui.views.hosts import Hosts
from tui.views.jobs import Jobs
from tui.views.parts import Parts
from tui.views.storage import Volumes
from tui.views.timeline import Timeline
from tui.views.vms import VMs
from tui.views.why import Why

LISTINGS: dict[str, type[Docs]] = {
    "vms": VMs,
    "hosts": Hosts,
    "jobs": Jobs,
    "events": Events,
    "volumes": Volumes,
    "groups": Groups,
    "why": Why,
    "timeline": Timeline,
    "parts": Parts,
}
REMEMBERED_MOST = 32  # listings
TOLD_MOST = 100


def letters() -> dict[str, dict[str, str]]:
    """view -> letter -> title: by what each list can be sorted."""
    context = Context(Model(), lambda: 0.0, clock)
    return {
        view: {column.letter: column.title for column in made(context, Place(view)).columns if column.letter}
        for view, made in LISTINGS.items()
    }


def all_keys() -> tuple[Key, ...]:
    return (*KEYS, *sort_keys(letters()))


def screen_of(keys: tuple[Key, ...]) -> type[Screen[None]]:
    """A screen whose keys are these, and no others."""

    class Main(Screen[None], inherit_bindings=False):
        AUTO_FOCUS = ""  # keys are for the view, until somebody begins to type
        BINDINGS: ClassVar[list[BindingType]] = list(bindings(keys))

    return Main


class Dashboard(Acting, Looking, Moving, Painting, Typing, KeyQueue):
    """``source`` is not begun before the first screen is there, and closed by whoever made it."""

    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False  # ctrl+p is a key like any other, and may be another one
    COMMANDS: ClassVar[set[Any]] = {Commands}
    TITLE = "ave"

    def __init__(
        self,
        source: Source,
        *,
        read_only: bool = False,
        theme: str = "",
        ascii: bool = False,
        config: Path | None = None,
        model: Model | None = None,
    ) -> None:
        self.liked = liking.load(config) if config is not None else liking.Liked()
        self.source, self.model = source, model or Model()
        self.read_only = read_only or self.liked.read_only or source.read_only
        self._ascii = ascii or self.liked.ascii
        self.keys, wrong = remapped(all_keys(), self.liked.keymap)
        self._by_id = {key.id: key for key in self.keys}
        self._palettes: dict[tuple[str, bool], Palette] = {}
        self._wish: dict[str, Any] = {}
        self.commands: list[str] = []
        self.told: deque[str] = deque(maxlen=TOLD_MOST)  # what was told lately, for who has missed it
        self.trail: list[Place] = [Place("pulse")]
        self._listings: dict[Place, Docs] = {}
        self._kept: dict[str, tuple[Filter, tuple[str, bool]]] = {}  # of each view: what its list was left with
        self._cursors: dict[Place, str] = {}
        self._panel_wanted = True
        self._seen = (-1, -1)
        self._due = 0.0
        self.paints = 0  # how often it was drawn
        self._was_lost = False
        super().__init__()
        found, wrong_themes = liking.themes(self.liked)
        for each in found:
            self.register_theme(each)
        self._wrong = [*self.liked.wrong, *wrong, *wrong_themes]
        wanted = theme or self.liked.theme or "ave-dark"
        if wanted not in self.available_themes:
            self._wrong.append(f"there is no theme {wanted}")
            wanted = "ave-dark"
        self.theme = wanted

    # Building

    def get_default_screen(self) -> Screen[None]:
        return screen_of(self.keys)()

    def compose(self) -> ComposeResult:
        self.context = Context(self.model, self.now, self.moment)
        self.header = Header(self)
        self.crumbs = Crumbs(self)
        self.prompt = Prompt(self)
        self.banner = Banner(self)
        self.pulse = Pulse(self)
        self.heading = Heading(self)
        self.list = Lines(self.palette, self.in_ascii, id="list")
        self.panel = Panel(self)
        self.timeline = TimeLine(self)
        self.footer = Footer(self, self.usable)
        self.suggestions = Suggestions(self)
        yield self.header
        yield self.crumbs
        yield self.prompt
        yield self.banner
        with Horizontal(id="body"):
            yield self.pulse
            with Vertical(id="main") as self.beneath:
                yield self.heading
                yield self.list
            yield self.panel
        yield self.timeline
        yield self.footer
        yield self.suggestions

    def on_mount(self) -> None:
        self.set_class(self._ascii, "-ascii")
        self.theme_changed_signal.subscribe(self, lambda _theme: self.recolour())
        self.run_worker(self.source.run(self.model), name="source", exit_on_error=True)
        self._enter()
        self.set_interval(PAINT_SECONDS, self.tick)
        for each in self._wrong:
            self.tell(each, severity="warning", seconds=12)

    # Time, as far as screens know it

    def now(self) -> float:
        return self.model.now(monotonic())

    def moment(self, at: float) -> str:
        return clock(at) if self.model.clock is not None else strftime("%H:%M:%S", localtime(at))

    def span(self) -> tuple[float, float, float, bool]:
        """Begin, now and end of what is known, and whether now is the end."""
        now, of = self.now(), self.model.clock
        if of is None:
            points = self.model.series.get("vms.total")
            begin = points[0][0] if points else now - 600.0
            return min(begin, now - 60.0), now, now, True
        end = max(of.end, now)
        return of.begin, now, max(end, of.begin + 1.0), self.source.kind != "recorded" and not of.past

    def downs(self, room: int, begin: float, end: float) -> Iterator[tuple[int, bool]]:
        """For each cell of the line of time: were VMs down?"""
        points = self.model.series.get("vms.unknown", ())
        for place, value in enumerate(buckets(list(points), begin, end, room)):
            yield place, bool(value)

    # Colours

    def palette(self) -> Palette:
        old = self._was_lost
        key = (self.theme, old)
        if key not in self._palettes:
            self._palettes[key] = Palette(self.theme_variables, faded=old)
        return self._palettes[key]

    def in_ascii(self) -> bool:
        return self._ascii

    def said(self, text: str) -> str:
        """A title of Textual's, which takes markup."""
        text = clean(text).replace("[", "(").replace("]", ")")
        return in_ascii(text) if self._ascii else text

    def set_theme(self, name: str) -> None:
        self.theme = name

    def recolour(self) -> None:
        for each in (self.header, self.crumbs, self.banner, self.panel, self.timeline, self.footer, self.heading):
            each.recolour()
        self.list.recolour()
        self.pulse.recolour()

    # Where one is

    @property
    def place(self) -> Place:
        return self.trail[-1]

    @property
    def lines(self) -> Lines:
        """The list in which keys move: that of the view, or a pane of the pulse."""
        if self.place.view == "pulse":
            return self.pulse.pane or self.pulse.events
        return self.list

    def go(self, place: Place) -> None:
        if place == self.place:
            return
        self._leave()
        self.trail = [each for each in self.trail if each != place]
        self.trail.append(place)
        self._enter()

    def go_to_view(self, view: str) -> None:
        self._leave()
        if view == "why":
            noun, id = self.about()
            vm = id if noun == "vm" else self.place.of("vm") or next(iter(sorted(self.model.docs["vm"])), "")
            self.trail = [Place("why", (("vm", vm),), f"why {vm}")]
        else:
            self.trail = [Place(view)]
        self._enter()

    def _leave(self) -> None:
        if self.place.view != "pulse":
            self._kept[self.place.view] = (self.list.filter, self.list.sort)
            self._cursors[self.place] = self.list.cursor

    def _enter(self) -> None:
        place = self.place
        if place.view != "pulse":
            listing = self._listing(place)
            filter, sort = self._kept.get(place.view, (NONE, listing.order))
            self.list.show(listing, cursor=self._cursors.get(place, ""), filter=filter, sort=sort)
            self.list.follows = place.view == "events"
            if self.list.follows:
                self.list.order()
                self.list.reveal()
            if isinstance(listing, Why) and listing.vm:
                self._explain(listing)
        self._lay_out()

    def _listing(self, place: Place) -> Docs:
        if place not in self._listings:
            if len(self._listings) >= REMEMBERED_MOST:
                self._listings.pop(next(iter(self._listings)))
            self._listings[place] = LISTINGS[place.view](self.context, place)
        return self._listings[place]

    def _explain(self, listing: Why) -> None:
        listing.resets = self.model.resets

        async def ask() -> None:
            try:
                listing.take(await self.source.explain(listing.vm))
            except Failure as failure:
                listing.fail(failure.what)
            if self.list.listing is listing:
                self.list.order()
                self.list.set_wide(self.list.wide)
                self._repaint()

        self._beside(ask)

    def about(self) -> tuple[str, str]:
        """Noun and id of what is under the cursor."""
        if self.place.view == "pulse" and self.pulse.active == HEAT:
            return ("host", self.pulse.heat.cursor) if self.pulse.heat.cursor else ("", "")
        listing = self.lines.listing
        return listing.thing(self.lines.cursor) if isinstance(listing, Docs) and self.lines.cursor else ("", "")

    def meant(self) -> tuple[str, list[str]]:
        """Noun and ids of what is marked, or else of what is under the cursor."""
        noun, id = self.about()
        if self.place.view in LISTINGS and isinstance(self.lines.listing, Docs) and self.lines.marks:
            listing = self.lines.listing
            ids = dict.fromkeys(listing.thing(key)[1] for key in self.lines.chosen())
            return noun, [each for each in ids if each]
        return noun, [id] if id else []

    # Keys

    def usable(self) -> list[Key]:
        """The keys of this view that do something now."""
        return [key for key in of_view(self.keys, self.place.view) if self._has(key.needs)]

    def _has(self, needs: str) -> bool:
        if needs == "write":
            return not self.read_only
        return not needs or needs in self.source.extensions

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "do":
            key = self._by_id.get(str(parameters[0]))
            return key is not None and self.place.view in key.views and self._has(key.needs)
        return super().check_action(action, parameters)

    async def action_do(self, id: str) -> None:
        await self.run_action(self._by_id[id].action)

    # The mouse

    def on_lines_opened(self, message: Lines.Opened) -> None:
        if self.place.view == "pulse":
            self.pulse.choose(message.lines.id or "")
        self.action_open()

    def on_lines_moved(self, message: Lines.Moved) -> None:
        if message.lines is self.list and self.panel.display:
            self.panel.tick()
        self.crumbs.tick()

    def on_lines_sorted(self, message: Lines.Sorted) -> None:
        message.lines.sort_by(message.title)
        self._repaint()

    def on_heat_map_opened(self, message: HeatMap.Opened) -> None:
        self.pulse.choose(HEAT)
        self.action_open()

    # Telling

    def tell(
        self,
        text: str,
        *,
        severity: Literal["information", "warning", "error"] = "information",
        seconds: float = 4.0,
    ) -> None:
        lines = [clean(line) for line in text.split("\n")]
        self.told.append("\n".join(lines))
        said = "\n".join(in_ascii(line) if self._ascii else line for line in lines)
        self.notify(said, severity=severity, timeout=seconds, markup=False)

    def fail(self, failure: Failure) -> None:
        self.tell(f"{failure.what}\n{failure.hint}" if failure.hint else failure.what, severity="error", seconds=9.0)


def run(
    source: Source,
    *,
    read_only: bool = False,
    theme: str = "",
    ascii: bool = False,
    config: Path | None = None,
    model: Model | None = None,
) -> int:
    """On this terminal, until it is left. The exit code."""
    board = Dashboard(source, read_only=read_only, theme=theme, ascii=ascii, config=config, model=model)
    board.run()
    return board.return_code or 0


__all__ = ["Dashboard", "all_keys", "run"]
