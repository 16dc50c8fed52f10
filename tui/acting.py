"""The hands: deeds on what is marked, the clock, faults. Everything that is asked runs beside the screen, which never waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from ave.cli.remote.failures import Exit, Failure, Usage
from tui import deeds
from tui.columns import Span, state_cell
from tui.deeds import Deed
from tui.faults import Faults
from tui.modals import Entry, Menu
from tui.questions import Confirm
from tui.views.base import counted

if TYPE_CHECKING:
    from tui.app import Dashboard

NUMBERED = (1.0, 5.0, 20.0, 60.0, 300.0, 1000.0)
SPEEDS: tuple[float | str, ...] = (*NUMBERED, "max")
NAMED_MOST = 3  # things, in a toast
LISTED_MOST = 200  # in a question
TOAST_SECONDS, TROUBLE_SECONDS = 4.0, 9.0


class Acting:
    """A part of the dashboard."""

    _wish: dict[str, Any]
    commands: list[str]

    @property
    def board(self) -> Dashboard:
        return cast("Dashboard", self)

    # Deeds

    def action_act(self, verb: str) -> None:
        noun, ids = self.board.meant()
        deed = deeds.find(noun, verb)
        if deed is None or not ids:
            self.board.tell(f"nothing to {verb} here")
            return
        self.perform(deed, ids)

    def perform(self, deed: Deed, ids: Sequence[str], said: str = "") -> None:
        """On those for which it makes sense now; whoever it does not is told, and so is what will happen."""
        board = self.board
        if board.read_only:
            board.fail(Failure(Exit.DENIED, "this dashboard is read-only", "ctrl+r lets it write"))
            return
        docs = board.model.docs[deed.noun]
        no = {id: why for id in ids if (why := deeds.suits(deed, docs.get(id)))}
        yes = [id for id in ids if id not in no]
        if not yes:
            id, why = next(iter(no.items()))
            others = f", and {len(no) - 1} more cannot either" if len(no) > 1 else ""
            board.tell(f"nothing to {deed.verb}: {id} {why}{others}", severity="warning")
            return
        if not (deed.asks or deed.destroys or len(ids) > 1):
            self._do(deed, yes, said)
            return
        found = [docs[id] for id in yes]
        screen = Confirm(
            board,
            f"{deed.verb} {counted(len(yes), deed.noun)}" if len(yes) > 1 else f"{deed.verb} {yes[0]}",
            self._listed(deed, yes, no),
            lambda line: board.source.line_of(deed.name, yes, deeds.given_of(deed, line)),
            dangerous=deed.destroys,
            line=None if deed.line is None else (said or deeds.at_first(deed, found)),
            hint=deed.hint,
            foreseen=None if deed.name == "job.cancel" else lambda line: self._foresee(deed, yes, line),
        )
        board.push_screen(screen, lambda answer: None if answer is None else self._do(deed, yes, answer))

    def _listed(self, deed: Deed, yes: Sequence[str], no: Mapping[str, str]) -> list[list[Span]]:
        """What will happen, to whom, and what goes with it."""
        model = self.board.model
        lines: list[list[Span]] = [[(f"{deed.phrase}:", "dim")], []]
        width = min(36, max(map(len, yes)) + 2)
        for id in yes[:LISTED_MOST]:
            doc = model.docs[deed.noun][id]
            where = doc.get("host") or doc.get("zone") or doc.get("vm") or ""
            lines.append(
                [
                    ("  ", "text"),
                    (f"{id:<{width}}", "strong"),
                    *state_cell(deed.noun, doc.get("state", "")),
                    (f"  {where}", "dim"),
                ]
            )
            if deed.name == "vm.delete":
                for volume in doc["volumes"]:
                    size = model.docs["volume"].get(volume, {}).get("size_gib")
                    lines.append(
                        [("      and volume ", "dim"), (volume, "bad"), (f", {size} GiB" if size else "", "dim")]
                    )
            if deed.name == "host.enter-maintenance" and id in model.held:
                lines.append([("      ", "dim"), (f"{len(model.held[id].vms)} VMs are moved away", "dim")])
        if len(yes) > LISTED_MOST:
            lines.append([(f"  … and {len(yes) - LISTED_MOST:,} more", "dim")])
        if no:
            lines += [[], [(f"left out, {len(no):,}:", "warn")]]
            lines += [[("  ", "text"), (f"{id:<{width}}", "dim"), (why, "dim")] for id, why in list(no.items())[:20]]
        return lines

    async def _foresee(self, deed: Deed, ids: Sequence[str], line: str) -> list[list[Span]]:
        """What the cluster says would come of it. Nobody is troubled if it cannot say."""
        try:
            given = deeds.given_of(deed, line)
            plans = await self.board.source.act(deed.name, ids, given, dry_run=True)
        except Failure as failure:
            return [[("foreseen  ", "dim"), (failure.what, "warn")]] if failure.exit != Exit.USAGE else []
        tasks = sum(len(plan["tasks"]) for plan in plans)
        refused = {id: result["why"] for plan in plans for id, result in plan["refused"].items()}
        made: list[list[Span]] = [
            [
                ("foreseen  ", "dim"),
                (
                    f"{tasks} task{'' if tasks == 1 else 's'} of {len(plans)} Job{'' if len(plans) == 1 else 's'}",
                    "text",
                ),
            ]
        ]
        made += [[("would fail  ", "bad"), (f"{id}: {why}", "text")] for id, why in list(refused.items())[:8]]
        return made

    def _do(self, deed: Deed, ids: Sequence[str], said: str) -> None:
        board = self.board

        async def act() -> None:
            given = deeds.given_of(deed, said)
            jobs = await board.source.act(deed.name, ids, given)
            line = board.source.line_of(deed.name, ids, given)
            short = line if len(ids) <= NAMED_MOST else board.source.line_of(deed.name, [*ids[:NAMED_MOST], "…"], given)
            self._told(line, f"$ {short}", f"{jobs[0].get('id', '')}" if len(jobs) == 1 else f"{len(jobs)} Jobs")

        board.lines.unmark()
        self._beside(act)

    def create(self, id: str, said: str) -> None:
        board = self.board
        if board.read_only:
            board.fail(Failure(Exit.DENIED, "this dashboard is read-only", "ctrl+r lets it write"))
            return
        deed = Deed("vm.create", "n", line="")

        async def act() -> None:
            given = deeds.given_of(deed, said)
            await board.source.act("vm.create", [id], given)
            self._told(board.source.line_of("vm.create", [id], given), f"$ ave vm create {id} …", "")

        self._beside(act)

    def action_menu(self) -> None:
        """Everything that can be done with what is marked, or with the row under the cursor."""
        board = self.board
        noun, ids = board.meant()
        docs = [board.model.docs.get(noun, {}).get(id) for id in ids]
        entries: list[Entry] = [
            (deed.letter, deed.verb, deed.phrase, partial(self.perform, deed, ids))
            for deed in deeds.of_noun(noun)
            if any(not deeds.suits(deed, doc) for doc in docs)
        ]
        if noun == "vm" and len(ids) == 1:
            entries.append(("w", "why", "every host against every rule", board.action_why))
        what = ids[0] if len(ids) == 1 else counted(len(ids), noun)
        board.push_screen(Menu(board, f"{noun} {what}" if len(ids) == 1 else what, entries))

    def action_everything(self) -> None:
        """Everything that has a key in this view."""
        board = self.board
        entries: list[Entry] = [
            (key.shown.split()[0], key.id, key.words, partial(self._later, key.action))
            for key in board.usable()
            if key.id not in ("menu-all", "down", "up", "left", "right")
        ]
        board.push_screen(Menu(board, f"all of {board.place.view}", entries))

    def _later(self, action: str) -> None:
        self.board.call_later(self.board.run_action, action)

    # Time

    @property
    def paused(self) -> bool:
        clock = self.board.model.clock
        return bool(self._wish.get("paused", clock.paused if clock is not None else False))

    @property
    def speed(self) -> float | str:
        clock = self.board.model.clock
        wished: float | str | None = self._wish.get("speed")
        return wished if wished is not None else clock.speed if clock is not None else 1.0

    def action_pause(self) -> None:
        self._set(paused=not self.paused)

    def action_speed(self, by: int) -> None:
        """What was asked for last counts: the cluster's own word on it is late."""
        now = self.speed
        if isinstance(now, str):
            place = len(SPEEDS) - 1
        else:
            place = min(range(len(NUMBERED)), key=lambda each: abs(NUMBERED[each] - now))
        self._set(speed=SPEEDS[max(0, min(place + by, len(SPEEDS) - 1))], paused=False)

    def set_speed(self, said: str) -> None:
        try:
            self._set(speed=said if said == "max" else float(said), paused=False)
        except ValueError:
            self.board.fail(Usage(f"speed {said[:20]}: a number, or max"))

    def action_step(self, seconds: int) -> None:
        if self.board.source.kind == "recorded" or self._past():
            self.seek_to(self.board.now() + seconds)
        else:
            self._set(step=float(seconds))

    def action_seek(self, seconds: int) -> None:
        self.seek_to(self.board.now() + seconds)

    def action_now(self) -> None:
        self._set(at="live")

    def action_to_mark(self, by: int) -> None:
        now = self.board.now()
        times = sorted(mark.t for mark in self.board.model.marks)
        found = [t for t in times if t > now + 0.5] if by > 0 else [t for t in reversed(times) if t < now - 0.5]
        if found:
            self.seek_to(found[0])
        else:
            self.board.tell("there is no fault in that direction")

    def seek_to(self, t: float) -> None:
        if "clock.seek" not in self.board.source.extensions:
            self.board.tell("time only goes on here: this is no recording", severity="warning")
            return
        begin, _, end, _ = self.board.span()
        self._set(at=max(begin, min(t, end)))

    def seek_said(self, said: str) -> None:
        if said in ("live", "now"):
            self.action_now()
            return
        try:
            parts = [float(part) for part in said.split(":")]
        except ValueError:
            self.board.fail(Usage(f"at {said[:20]}: seconds, or 00:02:00"))
            return
        seconds = 0.0
        for part in parts:
            seconds = seconds * 60 + part
        self.seek_to(seconds)

    def _past(self) -> bool:
        clock = self.board.model.clock
        return clock is not None and clock.past

    def _set(self, **wish: Any) -> None:
        board = self.board
        if "clock" not in board.source.extensions:
            board.tell("the time of a real cluster goes by itself", severity="warning")
            return
        kept = {name: value for name, value in wish.items() if name in ("paused", "speed")}
        self._wish.update(kept)
        board.header.tick()

        async def act() -> None:
            try:
                board.model.set_clock(await board.source.set_clock(**wish), monotonic())
            finally:
                for name, value in kept.items():
                    if self._wish.get(name) == value:
                        del self._wish[name]
            board.stale()

        self._beside(act)

    # Faults

    def action_fault(self) -> None:
        board = self.board

        async def act() -> None:
            told = await board.source.faults()
            noun, ids = board.meant()
            screen = Faults(board, told, ids[0] if ids and noun in ("host", "vm") else "")
            board.push_screen(screen, self._strike)

        self._beside(act)

    def _strike(self, answer: tuple[str, Any, str] | None) -> None:
        if answer is None:
            return
        what, of, line = answer
        board = self.board

        async def act() -> None:
            if what == "end":
                told = await board.source.end_fault(of)
                self._told(line, f"$ {line}", f"{told['id']} has ended")
            else:
                told = await board.source.begin_fault(of)
                whom = ", ".join(told["target"][:NAMED_MOST])
                self._told(line, f"$ {line}", f"{told['id']}: {told['fault']}" + (f" hits {whom}" if whom else ""))

        self._beside(act)

    def targets(self, kind: str) -> list[str]:
        """Whom a fault of that kind can hit; "": whoever is drawn."""
        docs = self.board.model.docs
        nouns = {"host": "host", "hosts": "host", "vm": "vm", "vms": "vm", "guest": "vm", "zone": "zone"}
        noun = nouns.get(kind)
        return sorted(docs[noun], key=lambda id: (len(id), id)) if noun is not None else []

    def hit(self, target: str) -> str:
        """What stands beside a target."""
        model = self.board.model
        if target in model.docs["host"]:
            from tui.views.hosts import leader

            held = model.held.get(target)
            first = "  ★ the leader" if leader(model) == target else ""
            return f"hits {len(held.vms) if held else 0} VMs{first}"
        if target in model.docs["vm"]:
            return f"on {model.docs['vm'][target]['host']}"
        return ""

    # How it is asked

    def _told(self, line: str, shown: str, more: str) -> None:
        self.commands.append(line)
        self.board.tell(f"{shown}\n{more}" if more else shown, seconds=TOAST_SECONDS)

    def _beside(self, act: Callable[[], Awaitable[None]]) -> None:
        """Whatever fails is told, with what to do next."""
        board = self.board

        async def run() -> None:
            try:
                await act()
            except Failure as failure:
                board.fail(failure)

        board.run_worker(run(), exit_on_error=True)


__all__ = ["SPEEDS", "Acting"]
