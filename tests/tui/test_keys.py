"""Every key does what the table of keys says: one row for each, all of them in one dashboard."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from docs.write_dashboard_keys import COMMAND, FILE, page
from drivers.rest.served import world_within
from sim.recording import Recording
from sim.replay import Replay
from tests.tui.board import Board, before, board, raised, run
from tui.app import all_keys
from tui.faults import Faults
from tui.keys import EVERY, KEYS, conflicts, of_view, remapped
from tui.modals import Menu, Reader
from tui.model import Clock
from tui.questions import Confirm

VIEW_KEYS = {view: str(number) for number, view in enumerate(EVERY[:9], start=1)}


class Case(NamedTuple):
    """``view`` and then ``first`` are pressed before; afterwards ``then`` is true, soon."""

    view: str
    then: Callable[[Board], object]
    first: tuple[str, ...] = ()
    key: str = ""  # which one of its keys; "": the first


def _clock(it: Board) -> Clock:
    assert it.app.model.clock is not None
    return it.app.model.clock


def _top(kind: type) -> Callable[[Board], object]:
    return lambda it: isinstance(it.app.screen, kind)


def _at(index: int) -> Callable[[Board], object]:
    return lambda it: it.app.lines.index == index


def _view(view: str) -> Callable[[Board], object]:
    return lambda it: it.app.place.view == view


def _sorted(title: str, largest_first: bool = False) -> Callable[[Board], object]:
    return lambda it: it.app.list.sort == (title, largest_first)


def _said(text: str) -> Callable[[Board], object]:
    return lambda it: any(text in each for each in it.app.told)


def _asks(title: str) -> Callable[[Board], object]:
    return lambda it: isinstance(it.app.screen, Confirm) and title in it.app.screen._title


PARTS = 3
VMS, HOSTS, JOBS = "vms", "hosts", "jobs"
CASES: dict[str, Case] = {
    "down": Case(VMS, _at(1)),
    "up": Case(VMS, _at(1), ("j", "j")),
    "page-down": Case(VMS, lambda it: it.app.lines.index > 10),
    "page-up": Case(VMS, _at(0), ("pagedown",)),
    "first": Case(VMS, _at(0), ("j", "j")),
    "last": Case(VMS, lambda it: it.app.lines.index == len(it.app.lines.rows) - 1),
    "left": Case(VMS, lambda it: it.app.list.column == 1, ("l", "l")),
    "right": Case(VMS, lambda it: it.app.list.column == 1),
    "open": Case(HOSTS, lambda it: it.app.place.scope == (("host", "host-1"),)),
    "back": Case(HOSTS, _view("hosts"), ("enter",)),
    "pane": Case("pulse", lambda it: it.app.pulse.active == "heat"),
    "pane-back": Case("pulse", lambda it: it.app.pulse.active == "pulse-jobs"),
    **{f"view-{view}": Case("events" if view == "pulse" else "pulse", _view(view)) for view in VIEW_KEYS},
    "next-view": Case(VMS, _view("hosts")),
    "previous-view": Case(VMS, _view("pulse")),
    "filter": Case(VMS, lambda it: it.app.prompt.display and it.app.prompt.mode == "/"),
    "jump": Case(VMS, lambda it: it.app.suggestions.display),
    "palette": Case(VMS, lambda it: type(it.app.screen).__name__ == "CommandPalette"),
    "follow": Case("events", lambda it: it.app.list.follows, ("home",)),
    "follow-pulse": Case("pulse", lambda it: not it.app.pulse.events.follows),
    "describe": Case(VMS, _top(Reader)),
    "yaml": Case(VMS, lambda it: isinstance(it.app.screen, Reader) and "memory_mib:" in it.app.screen.plain),
    "why": Case(VMS, lambda it: it.app.place.view == "why" and "goes to" in it.text()),
    "log": Case(HOSTS, lambda it: it.app.place.scope == (("thing", "host/host-1"),)),
    "panel": Case(VMS, _top(Reader)),  # there is no room for one at this width
    "wide": Case(VMS, lambda it: it.app.list.wide),
    "copy-cell": Case(VMS, lambda it: it.app.clipboard == it.app.list.cursor),
    "copy-row": Case(VMS, lambda it: "\t" in it.app.clipboard and it.app.list.cursor in it.app.clipboard),
    "export": Case(VMS, _said("rows are in ave-vms-")),
    "screenshot": Case(VMS, _said("the screen is in ave-vms-")),
    "mark": Case(VMS, lambda it: len(it.app.list.marks) == 1),
    "mark-range": Case(VMS, lambda it: len(it.app.list.marks) == 4, ("space", "j", "j"), "ctrl+@"),
    "mark-all": Case(VMS, lambda it: len(it.app.list.marks) == len(it.app.list.rows)),
    "menu": Case(VMS, _top(Menu)),
    "menu-all": Case(VMS, _top(Menu)),
    "edit": Case(VMS, _asks("edit ")),
    "delete": Case(VMS, _said("nothing to delete"), ("N", "end")),  # it runs
    "vm-start": Case(VMS, _said("nothing to start"), ("N",)),
    "vm-stop": Case(VMS, _asks("shutdown 2 VMs"), ("N", "end", "space", "k", "space")),
    "vm-move": Case(VMS, _asks("migrate "), ("N", "end")),
    "host-up": Case(HOSTS, _said("nothing to exit-maintenance")),
    "host-down": Case(HOSTS, _asks("enter-maintenance host-1")),
    "job-stop": Case(JOBS, _asks("cancel ")),
    "group-up": Case("groups", _said("nothing to enable")),
    "group-down": Case("groups", _asks("disable db-apart")),
    "group-repair": Case("groups", _asks("repair db-apart")),
    "pause": Case(VMS, lambda it: _clock(it).paused is False),
    "faster": Case(VMS, lambda it: _clock(it).speed == 300.0 and not _clock(it).paused),
    "slower": Case(VMS, lambda it: _clock(it).speed == 20.0),
    "step": Case(VMS, lambda it: _clock(it).paused and not _clock(it).step, ("p",)),
    "on": Case(VMS, lambda it: _clock(it).paused and not _clock(it).step, ("p",)),
    "fault": Case(VMS, _top(Faults)),
    "read-only": Case(VMS, lambda it: it.app.read_only),
    "theme": Case(VMS, lambda it: it.app.theme == "ave-light"),
    "help": Case(VMS, lambda it: isinstance(it.app.screen, Reader) and "keys of vms" in it.app.screen._title),
}
ELSEWHERE = {  # key -> the test of this file that presses it
    "quit": "test_quit",
    "refresh": "test_refresh_draws_and_sorts_anew",
    "back-in-time": "test_keys_of_time",
    "fault-before": "test_keys_of_time",
    "fault-after": "test_keys_of_time",
    "now": "test_keys_of_time",
}
SORTS = [key for key in all_keys() if key.id.startswith("sort-")]


def test_every_key_has_a_case() -> None:
    assert {key.id for key in KEYS} == {*CASES, *ELSEWHERE}
    assert all(callable(globals().get(test)) for test in ELSEWHERE.values())


async def _begin_anew(it: Board, case: Case) -> None:
    app = it.app
    while len(app.screen_stack) > 1:
        app.pop_screen()
        await it.pilot.pause()
    if app.prompt.display:
        app._close_prompt()
    app.go_to_view("pulse")
    app._kept.clear()
    app._cursors.clear()
    app.clear_notifications()
    app.told.clear()
    app.read_only, app.theme, app.list.wide = False, "ave-dark", False
    app.pulse.choose("pulse-events")
    app.pulse.events.follows = True
    clock = app.model.clock
    if clock is None or not clock.paused or clock.speed != 60:
        await app.source.set_clock(paused=True, speed=60)
        await it.until(lambda: (now := app.model.clock) is not None and now.paused and now.speed == 60)
    app.go_to_view(case.view)
    await it.settle()
    for key in case.first:
        await it.press(key)


@pytest.mark.parametrize("part", range(PARTS))
def test_every_key_does_what_the_table_says(part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of them, so that each is done in time where much else is going on."""
    monkeypatch.chdir(tmp_path)
    by_id = {key.id: key for key in KEYS}

    async def main() -> None:
        wrong: list[str] = []
        async with board() as it:
            for id, case in list(CASES.items())[part::PARTS]:
                await _begin_anew(it, case)
                await it.press(case.key or by_id[id].keys.split(",")[0])
                try:
                    await it.until(partial(case.then, it), 3.0)
                except AssertionError as error:
                    wrong.append(f"{id}: {error}")
        assert not wrong, "\n".join(wrong)
        exported = sorted(path.suffix for path in tmp_path.iterdir())
        assert set(exported) <= {".csv", ".json", ".svg"}

    run(main())


def test_every_letter_sorts_and_again_the_other_way() -> None:
    async def main() -> None:
        wrong: list[str] = []
        async with board() as it:
            for key in SORTS:
                await _begin_anew(it, Case(key.views[0], lambda it: True))
                title = key.words.removeprefix("sort by ").partition(",")[0]
                it.app.list.sort = ("", False)
                await it.press(key.keys)
                before = list(it.app.list.rows)
                if it.app.list.sort != (title, False):
                    wrong.append(f"{key.id}: {it.app.list.sort}")
                await it.press(key.keys)
                if it.app.list.sort != (title, True) or sorted(before) != sorted(it.app.list.rows):
                    wrong.append(f"{key.id}, the other way: {it.app.list.sort}")
        assert not wrong, "\n".join(wrong)

    run(main())


def test_refresh_draws_and_sorts_anew() -> None:
    async def main() -> None:
        async with board() as it:
            await it.press("2")
            rows, paints = list(it.app.list.rows), it.app.paints
            it.app.list.rows.reverse()
            await it.press("r")
            assert it.app.list.rows == rows
            assert it.app.paints > paints

    run(main())


def test_keys_of_time(recorded: Path) -> None:
    """In a recording of two minutes in which one fault strikes."""

    async def main() -> None:
        async with (
            world_within(Replay(Recording(recorded)), speed=1.0, paused=True, bug=raised) as transport,
            before(transport) as it,
        ):
            fault, end = it.app.model.marks[0].t, _clock(it).end

            def at(t: float) -> Callable[[], bool]:
                return lambda: _clock(it).now == pytest.approx(t, abs=0.01)

            for key, then in (("0", end), (",", end - 10), ("<", fault), (",", fault - 10), (">", fault), ("0", end)):
                await it.press(key)
                await it.until(at(then))
            await it.press(">")
            await it.until(partial(_said("there is no fault in that direction"), it))
            assert at(end)()

    run(main())


def test_quit() -> None:
    async def main() -> None:
        async with board() as it:
            await it.pilot.press("q")
            await it.pilot.pause()
            assert it.app.return_code == 0

    run(main())


def test_help_has_every_key_of_its_view() -> None:
    async def main() -> None:
        missing: list[str] = []
        async with board(size=(160, 200)) as it:
            for view in VIEW_KEYS:
                it.app.go_to_view(view)
                lines = "\n".join("".join(text for text, _ in line) for line in it.app._help())
                missing += [f"{view}: {key.id}" for key in it.app.usable() if key.words not in lines]
                missing += [f"{view}: {key.shown}" for key in it.app.usable() if key.shown.split()[0] not in lines]
        assert not missing, "\n".join(missing)

    run(main())


def test_the_docs_have_every_key() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert text == page(text), f"docs/dashboard.md is out of date: {COMMAND}"
    missing = [key.id for key in all_keys() if f"`{key.id}`" not in text]
    assert not missing


def test_no_key_does_two_things_in_one_view() -> None:
    assert conflicts(all_keys()) == []
    assert all(of_view(all_keys(), view) for view in EVERY)


def test_a_users_keys_are_taken_and_their_clashes_are_told() -> None:
    keys, wrong = remapped(all_keys(), {"vm-start": "ctrl+u", "pause": "f5"})
    assert not wrong
    assert {key.id: key.keys for key in keys}["vm-start"] == "ctrl+u"
    keys, wrong = remapped(all_keys(), {"vm-start": "x", "nothing": "y"})
    assert wrong == [
        "keymap: there is no nothing",
        "keymap: x is both vm-start and vm-stop; the usual keys are kept",
    ]
    assert keys == all_keys()
