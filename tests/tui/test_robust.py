"""What is small, strange, gone or too much does no harm."""

from __future__ import annotations

import asyncio
import unicodedata
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from tests.tui.board import Board, before, run
from tests.tui.cassette import Replay
from tui.clean import IN_PLACE_OF, MOST, clean, fit, width
from tui.key_queue import WAITING_MOST
from tui.keys import VIEWS
from tui.model import State

CASSETTE = Path(__file__).with_name("pictures") / "cassette.json.gz"
HOSTILE = {
    "escape": "a\x1b[31mred\x1b]0;title\x07",
    "newline": "two\nlines\r\ttab",
    "bidi": "abc\u202egnp.exe\u2066\u200f",
    "long": "x" * 10_000,
    "emoji": "🚀👩‍👩‍👧‍👦🏳️‍🌈 launch",
    "wide": "仮想マシン",
    "zalgo": "z" + "\u0301" * 40,
    "null": "\x00\x7f\x9b31m",
    "markup": "[red]not red[/red] [@click=app.quit]x[/]",
    "surrogate-like": "\ufeff\ue000\U000e0041",
}


def _screen(it: Board) -> list[str]:
    return it.text().split("\n")


def _beside_scrollbars(it: Board) -> list[str]:
    return [line[:-1] for line in _screen(it)]


def _is(it: Board, lines: list[str]) -> bool:
    return _beside_scrollbars(it) == lines


def _has_size(it: Board, size: tuple[int, int]) -> bool:
    return tuple(it.app.size) == size


def _harmless(it: Board) -> None:
    across, down = it.app.size
    strips = it.app.screen._compositor.render_strips(it.app.size)
    assert len(strips) == down
    for strip in strips:
        assert strip.cell_length == across
        for each in strip.text:
            assert unicodedata.category(each) not in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp"), repr(strip.text)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_one_harmless_line(name: str) -> None:
    text = clean(HOSTILE[name])
    assert len(text) <= MOST + 1
    assert not any(unicodedata.category(each) in ("Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp") for each in text)
    for cells in (1, 2, 7, 40):
        assert width(fit(text, cells)) == cells
    assert clean(text) == text, "once is enough"
    if name in ("escape", "newline", "bidi"):
        assert IN_PLACE_OF in text


@pytest.mark.parametrize("ascii", [False, True], ids=["glyphs", "ascii"])
def test_hostile_names_break_no_view(ascii: bool) -> None:
    replay = Replay(CASSETTE)
    vm, host, job = replay.told("vm")[0], replay.told("host")[0], replay.told("job")[0]
    volume, group = replay.told("volume")[0], replay.told("group")[0]
    names = list(HOSTILE.values())
    told = {
        "vm": [
            {**vm, "id": name, "name": name, "labels": {name: name}, "story": [name], "host": name} for name in names
        ],
        "host": [{**host, "id": name, "zone": name, "story": [name], "cpu_model": name} for name in names],
        "job": [{**job, "id": name, "why": name, "state": "running", "operation": f"vm.{name}"} for name in names],
        "volume": [{**volume, "id": name, "vm": name} for name in names],
        "group": [{**group, "id": name, "vms": names} for name in names],
        "log": [{"at": 1.0, "who": f"vm/{name}", "event": name, "fields": {"why": name}} for name in names],
    }

    async def main() -> None:
        replay = Replay(CASSETTE)
        async with before(replay, size=(140, 40), ascii=ascii) as it:
            replay.tell("delta", told)
            await it.until(lambda: HOSTILE["emoji"] in it.app.model.docs["group"])
            for view in VIEWS:
                if view == "why":
                    continue  # asks for a VM that nobody has asked for then
                it.app.go_to_view(view)
                await it.settle()
                _harmless(it)
                if view != "pulse":
                    for name in (HOSTILE["markup"], HOSTILE["long"]):
                        it.app.list.move_to(it.app.list.rows.index(name) if name in it.app.list.rows else 0)
                        await it.press("d")
                        _harmless(it)
                        await it.press("escape")
                if ascii:
                    assert it.text().isascii(), [line for line in _screen(it) if not line.isascii()]
            it.app.tell(HOSTILE["markup"] + HOSTILE["escape"])
            await it.press("colon", *"vm r")
            _harmless(it)

    run(main())


def test_twenty_by_five_and_back() -> None:
    async def main() -> None:
        async with before(Replay(CASSETTE), size=(120, 40)) as it:
            for view in VIEWS:
                if view == "why":
                    continue  # asks for a VM that nobody has asked for then
                it.app.go_to_view(view)
                await it.settle()
                first = _beside_scrollbars(it)
                for size in ((20, 5), (1, 1), (240, 60), (120, 40)):
                    await it.pilot.resize_terminal(*size)
                    await it.until(partial(_has_size, it, size))
                    await it.settle()
                    await it.settle()
                    _harmless(it)
                    if size == (20, 5) and view not in ("pulse", "timeline"):
                        assert any("●" in line or "·" in line or "✓" in line for line in _screen(it)), _screen(it)
                await it.until(partial(_is, it, first))
            for keys in (("question_mark",), ("2", "m"), ("exclamation_mark",), ("colon", "v")):
                await it.press(*keys)
                await it.pilot.resize_terminal(20, 5)
                await it.settle()
                _harmless(it)
                await it.pilot.resize_terminal(120, 40)
                await it.press("escape", "escape")

    run(main())


def test_a_lost_connection_is_told_and_freezes_nothing() -> None:
    replay = Replay(CASSETTE)

    async def main() -> None:
        async with before(replay) as it:
            await it.press("2")
            fine = it.app.palette().colour("text")
            replay.silent = True
            await it.until(lambda: it.app.model.state is State.LOST)
            await it.until(lambda: it.app.banner.display)
            await it.settle()
            assert "DISCONNECTED" in it.text()
            assert "what is shown is old" in it.text()
            assert it.app.palette().colour("text") != fine, "it is dimmed"
            index = it.app.list.index
            await it.press("j", "j")
            assert it.app.list.index == index + 2, "keys work"
            await it.press("x")
            await it.press("enter")
            await it.until(lambda: it.app._notifications)
            replay.silent = False
            await it.until(lambda: it.app.model.state is State.LIVE)
            await it.until(lambda: not it.app.banner.display)
            assert it.app.palette().colour("text") == fine

    run(main())


def test_cursor_and_marks_stay_with_their_rows() -> None:
    replay = Replay(CASSETTE)

    async def main() -> None:
        async with before(replay) as it:
            await it.press("2", "N", "j", "j", "space", "space")
            lines = it.app.list
            marked, cursor = set(lines.marks), lines.cursor
            vm = replay.told("vm")[0]
            replay.tell("delta", {"vm": [{**vm, "id": f"aaa-{n}", "state": "unknown"} for n in range(30)]})
            await it.until(lambda: "aaa-7" in lines.rows)
            assert lines.cursor == cursor
            assert set(lines.marks) == marked
            await it.press("S")
            assert lines.cursor == cursor
            gone = next(iter(marked))
            replay.tell("delta", {"gone": [["vm", gone]]})
            await it.until(lambda: gone not in lines.rows)
            assert set(lines.marks) == marked - {gone}, "no dead marks"
            index = lines.index
            replay.tell("delta", {"gone": [["vm", cursor]]})
            await it.until(lambda: cursor not in lines.rows)
            assert lines.index == index, "on what came into its place"

    run(main())


def _many(replay: Replay, count: int) -> list[dict[str, Any]]:
    vm = replay.told("vm")[0]
    hosts = [host["id"] for host in replay.told("host")]
    return [{**vm, "id": f"load-{n:05d}", "host": hosts[n % len(hosts)], "memory_mib": 64} for n in range(count)]


def test_fifty_thousand_vms_are_no_slower_to_move_in() -> None:
    """By the time that the processor takes, for others may want it too."""
    replay = Replay(CASSETTE)

    async def main() -> None:
        async with before(replay, size=(160, 50)) as it:
            docs = _many(replay, 50_000)
            replay.tell("delta", {"vm": docs})
            await it.until(lambda: len(it.app.model.docs["vm"]) >= 50_000)
            began = process_time()
            await it.press("2")
            assert process_time() - began < 2.0, (
                "they are open in a second, and in two where others want the processor too"
            )
            assert len(it.app.list.rows) >= 50_000
            spent: list[float] = []
            for n in range(40):
                replay.tell("delta", {"vm": [{**docs[n], "version": n + 1, "vcpus": 1 + n % 8}]})
                began = process_time()
                await it.press("j")
                spent.append(process_time() - began)
            spent.sort()
            assert spent[len(spent) // 2] < 0.05, spent

    run(main())


def test_ten_thousand_changes_a_second_are_one_change_for_a_screen() -> None:
    replay = Replay(CASSETTE)

    async def main() -> None:
        async with before(replay, size=(120, 40)) as it:
            docs = _many(replay, 1_000)
            await it.press("2", "N")
            revision, painted = it.app.model.revision, it.app.paints
            for n in range(10):
                replay.tell("delta", {"vm": [{**each, "version": n, "vcpus": n} for each in docs]})
            await it.until(lambda: it.app.model.docs["vm"].get("load-00999", {}).get("vcpus") == 9)
            assert it.app.model.revision - revision <= 10
            assert it.app.paints - painted <= 20

    run(main())


@pytest.mark.parametrize("theme", ["ave-dark", "ave-light", "ave-ansi", "gruvbox", "ansi-light"])
def test_every_theme_can_be_put_on(theme: str) -> None:
    async def main() -> None:
        async with before(Replay(CASSETTE), theme=theme) as it:
            for keys in (("2", "j"), ("3",), ("question_mark",), ("escape", "ctrl+p"), ("escape", "colon")):
                await it.press(*keys)
                _harmless(it)

    run(main())


def test_what_is_typed_at_once_goes_where_it_was_meant() -> None:
    async def main() -> None:
        async with before(Replay(CASSETTE)) as it:
            it.send("2", "slash", *"xu-dt", "enter", "slash", *["backspace"] * 5, *"db-", "enter", "j")
            await it.until(lambda: it.app.list.filter.said == "db-" and it.app.list.index == 1)
            assert not it.app.prompt.display
            assert it.app.place.view == "vms"
            assert (it.app.commands, list(it.app.told)) == ([], [])  # x shuts down, u starts, t migrates
            it.send("colon", *"vm web-5", "enter", "escape", "2", "e", *"priority=high", "escape", "3")
            await it.until(lambda: it.app.place.view == "hosts")
            assert (it.app.commands, it.app.screen_stack[1:]) == ([], [])

    run(main())


def test_a_key_that_nobody_deals_with_stops_no_other_and_the_waiting_are_so_many() -> None:
    async def main() -> None:
        async with before(Replay(CASSETTE)) as it:
            freed = asyncio.Event()
            it.app.screen.call_later(freed.wait)  # whoever has the keys hangs
            it.send(*["2"] * (WAITING_MOST * 2))
            await it.until(lambda: it.app.typed_ahead)
            assert it.app.typed_ahead <= WAITING_MOST
            waiting = it.app.typed_ahead
            await it.until(lambda: it.app.typed_ahead < waiting)
            freed.set()
            await it.press("3")
            await it.until(lambda: not it.app.typed_ahead and it.app.place.view == "hosts")

    run(main())
