"""What hands do to a real simulated cluster, and what is told of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from textual.app import App

from ave.cli.remote.failures import Failure, Usage
from drivers.rest.app import application
from drivers.rest.bridge import Bridge
from drivers.rest.served import Jumps, ServedHost
from drivers.rest.stepper import Stepper
from drivers.rest.within import Within
from sim.serve import scenario_of
from sim.served import Served
from tests.tui.board import Board, before, board, raised, run
from tui import deeds
from tui.asking import form
from tui.config import load, themes
from tui.faults import Faults
from tui.filters import parse
from tui.questions import Confirm
from tui.theme import TONES, Palette, theme_of
from tui.views.base import Place


def _toasts(it: Board) -> str:
    return "\n".join(it.app.told)


async def _jump(it: Board, line: str) -> None:
    await it.press("colon", *line, "enter")


def _vm(it: Board, id: str) -> dict[str, Any]:
    return it.app.model.docs["vm"].get(id, {})


def test_vms_are_stopped_and_started_and_the_command_is_told() -> None:
    async def main() -> None:
        async with board(paused=False, speed=300.0, crash=False) as it:
            await _jump(it, "vm web-1")
            assert it.app.place.view == "parts"
            await it.press("2", "slash", *"^web-1\\s", "enter")
            assert it.app.list.rows == ["web-1"]
            await it.press("x")
            await it.until(lambda: "$ ave vm shutdown web-1" in _toasts(it))
            await it.until(lambda: _vm(it, "web-1")["state"] == "stopped")
            await it.press("u")
            await it.until(lambda: _vm(it, "web-1")["state"] == "running")
            assert it.app.commands == ["ave vm shutdown web-1", "ave vm start web-1"]
            await it.press("u")
            await it.until(lambda: "nothing to start: web-1 is running" in _toasts(it))

    run(main())


def test_what_will_happen_to_all_that_are_marked_is_listed_before() -> None:
    async def main() -> None:
        async with board(paused=False, speed=300.0, crash=False) as it:
            await _jump(it, "shutdown web-2")
            await it.until(lambda: _vm(it, "web-2")["state"] == "stopped")
            await it.press("2", "N", "slash", *"^web-[1-4]\\s", "enter", "asterisk", "x")
            screen = it.app.screen
            assert isinstance(screen, Confirm)
            said = "\n".join("".join(text for text, _ in line) for line in screen._head)
            assert all(f"web-{n}" in said for n in (1, 3, 4))
            assert "left out, 1" in said
            assert "is stopped" in said
            await it.until(lambda: "3 tasks of 1 Job" in it.text())
            assert _vm(it, "web-1")["state"] == "running", "nothing yet"
            await it.press("enter")
            await it.until(lambda: all(_vm(it, f"web-{n}")["state"] == "stopped" for n in (1, 3, 4)))
            assert not it.app.list.marks
            await it.press("asterisk", "ctrl+d")
            assert "and volume web-1-disk-1" in it.text()
            await it.until(lambda: "--yes" in it.text())
            await it.press("escape")
            assert _vm(it, "web-1"), "it was left"

    run(main())


def test_what_is_asked_for_can_be_said_in_a_line() -> None:
    async def main() -> None:
        async with board(paused=False, speed=300.0, crash=False) as it:
            await it.press("2", "slash", *"^web-5\\s", "enter", "e", *"priority=hihg", "enter")
            assert isinstance(it.app.screen, Confirm), "it cannot be so"
            await it.press(*["backspace"] * 20, *"nothing=3")
            await it.until(lambda: "nothing is nothing that can be said here" in it.text())
            await it.press(*["backspace"] * 20, *"priority=high")
            assert "ave vm edit web-5 --priority high" in it.text()
            await it.press("enter")
            await it.until(lambda: _vm(it, "web-5")["priority"] == "high")
            host = _vm(it, "web-5")["host"]
            there = next(id for id in it.app.model.docs["host"] if id != host)
            await it.press("t", *f"host={there}", "enter")
            await it.until(lambda: _vm(it, "web-5")["host"] == there)
            await _jump(it, "create vm mine cpus=1 memory=1GiB")
            await it.until(lambda: _vm(it, "mine").get("state") == "running")

    run(main())


def test_a_host_is_drained_its_job_cancelled_and_a_group_changed() -> None:
    async def main() -> None:
        async with board(paused=False, speed=5.0, crash=False) as it:
            await it.press("3", "j", "x", "enter")
            await it.until(lambda: it.app.model.docs["host"]["host-2"]["state"] == "entering-maintenance")
            await it.press("4")
            rows = it.app.list.rows
            await it.until(lambda: any(row.startswith("host.enter-maintenance") for row in it.app.list.rows))
            drain = next(row for row in it.app.list.rows if row.startswith("host.enter-maintenance"))
            it.app.list.move_to(it.app.list.rows.index(drain))
            assert rows
            await it.press("x", "enter")
            await it.until(lambda: it.app.model.docs["job"][drain]["state"] in ("cancelled", "failed", "done"))
            await it.press("7", "x", "enter")
            await it.until(lambda: it.app.model.docs["group"]["db-apart"]["state"] == "disabled")
            await it.press("u")
            await it.until(lambda: it.app.model.docs["group"]["db-apart"]["state"] == "enabled")

    run(main())


@pytest.mark.parametrize("read_only", [False, True])
def test_a_real_cluster_that_can_be_changed_says_so_in_red(read_only: bool) -> None:
    async def main() -> None:
        with Served(scenario_of("sim:2-host")) as served:
            stepper = Stepper(served, speed=60.0)
            running = asyncio.ensure_future(stepper.run())
            host = ServedHost(served, Bridge(stepper, served), Jumps())
            async with (
                Within(application(host, bug=raised)) as transport,
                before(transport, read_only=read_only) as it,
            ):
                assert it.app.source.kind == "live"
                assert (" LIVE " in it.text(), "READ-ONLY" in it.text()) == (not read_only, read_only)
                label = [each for each in it.app.header._right(it.app.model) if each[0] == " LIVE "]
                assert [each[2] for each in label] == ([] if read_only else ["bad"])
            running.cancel()

    run(main())


def test_read_only_changes_nothing() -> None:
    async def main() -> None:
        async with board(read_only=True) as it:
            await it.press("2", "x", "u", "m", "ctrl+d")
            assert len(it.app.screen_stack) == 1
            assert "READ-ONLY" in it.text()
            await _jump(it, "shutdown web-1")
            await it.until(lambda: "read-only" in _toasts(it))
            assert "menu" not in it.text().split("\n")[-1]
            await it.press("ctrl+r", "m")
            assert len(it.app.screen_stack) == 2, "who may, may switch it off"

    run(main())


def test_a_fault_is_let_loose_and_ended() -> None:
    async def main() -> None:
        async with board(crash=False) as it:
            await it.press("3", "j", "exclamation_mark")
            await it.until(lambda: isinstance(it.app.screen, Faults))
            await it.settle()
            assert "host-2" in it.text(), "who is under the cursor"
            assert "hits " in it.text()
            await it.press("enter")
            await it.until(lambda: "fault-1: host-crash hits host-2" in _toasts(it))
            await it.until(lambda: it.app.model.marks)
            assert '"fault": "host-crash"' in it.app.commands[-1]
            await it.press("exclamation_mark")
            await it.until(lambda: isinstance(it.app.screen, Faults))
            await it.press("up", "enter")
            await it.until(lambda: "fault-1 has ended" in _toasts(it))
            await it.press("exclamation_mark")
            await it.until(lambda: isinstance(it.app.screen, Faults))
            await it.press(*["backspace"] * 10, *"for=nonsense", "enter")
            await it.until(lambda: "nonsense" in _toasts(it))

    run(main())


def test_what_was_asked_of_the_clock_counts_at_once() -> None:
    async def main() -> None:
        async with board() as it:
            for _ in range(3):
                it.app.action_speed(1)
            assert it.app.speed == "max", "60, 300, 1000, max, though nobody has answered yet"
            await it.until(lambda: it.app.model.clock is not None and it.app.model.clock.speed == "max")
            await it.press("p")
            await it.until(lambda: it.app.model.clock is not None and it.app.model.clock.paused)
            await _jump(it, "speed 5")
            await it.until(lambda: it.app.model.clock is not None and it.app.model.clock.speed == 5)
            await _jump(it, "speed fast")
            await it.until(lambda: "a number, or max" in _toasts(it))

    run(main())


def test_places_and_filters_are_typed() -> None:
    async def main() -> None:
        async with board() as it:
            await _jump(it, "host host-2")
            assert it.app.place == Place("vms", (("host", "host-2"),), "host-2")
            assert all(_vm(it, row)["host"] == "host-2" for row in it.app.list.rows)
            await it.press("enter")
            assert [place.view for place in it.app.trail] == ["pulse", "vms", "parts"]
            await it.press("escape", "escape")
            assert it.app.place.view == "pulse"
            await _jump(it, "vm fleet=db")
            assert len(it.app.list.rows) == 5
            await _jump(it, "zone b")
            assert it.app.list.rows == ["host-4", "host-5", "host-6"]
            await _jump(it, "group web-in-a")
            await _jump(it, "nonsense")
            await it.until(lambda: "nonsense is nothing that there is" in _toasts(it))
            await it.press("colon", *"vm web-2", "tab")
            assert it.app.prompt.input.value.startswith("vm web-2")
            await it.press("escape", "2", "N")
            total = len(it.app.list.rows)
            for said, expected in (
                ("^db", 5),
                ("!^db", total - 5),
                ("-l fleet=db", 5),
                ("-l fleet!=db", total - 5),
                ("-f d5", 1),
            ):
                await it.press("slash", *said)
                assert len(it.app.list.rows) == expected, said
                await it.press("escape")
                assert len(it.app.list.rows) == total, "esc leaves it as it was"
            await it.press("slash", *"web-[", "enter")
            await it.until(lambda: "unterminated character set" in _toasts(it))
            await it.press("escape", "slash", *"^db", "enter", "3", "2")
            assert len(it.app.list.rows) == 5, "a filter stays with its view"
            await it.press("escape")
            assert len(it.app.list.rows) == total

    run(main())


def test_the_mouse() -> None:
    async def main() -> None:
        async with board() as it:
            await it.pilot.click("#heat", offset=(14, 2))
            await it.until(lambda: it.app.place.of("host") == "host-1")
            await it.press("2", "N")
            await it.until(lambda: "NAME▲" in it.text())
            await it.pilot.click("#list", offset=(20, 4))
            await it.until(lambda: it.app.list.index == 3)
            await it.pilot.click("#list", offset=(4, 0))
            await it.until(lambda: it.app.list.sort[0] == "STATE")
            await it.pilot.click("#timeline", offset=(40, 0))
            await it.until(lambda: "time only goes on here" in _toasts(it))

    run(main())


def test_the_palette_finds_what_a_key_does() -> None:
    async def main() -> None:
        async with board() as it:
            await it.press("2", "ctrl+p", *"the view hosts")
            await it.until(lambda: "the view hosts" in it.text())
            await it.press("down", "enter")
            await it.until(lambda: it.app.place.view == "hosts")

    run(main())


def test_what_a_user_likes(tmp_path: Path) -> None:
    file = tmp_path / "tui.toml"
    file.write_text(
        'theme = "mine"\nascii = true\nnonsense = 1\n[keymap]\nvm-start = "x"\n[themes.mine]\naccent = "#ffb000"\n'
        '[themes.bad]\nhair = "red"\n'
    )

    async def main() -> None:
        async with board(config=file) as it:
            assert it.app.theme == "mine"
            assert it.app.palette().colour("accent").hex in ("#FFB000", "#FEB000"), "but for rounding"
            assert it.app.in_ascii()
            told = _toasts(it)
            assert "nonsense is nothing that can be said there" in told
            assert "x is both vm-start and vm-stop" in told
            assert "theme bad: there is no tone hair" in told

    run(main())
    assert load(tmp_path / "none.toml").wrong == ()
    file.write_text("theme = ")
    assert "tui.toml" in load(file).wrong[0]


@pytest.mark.parametrize("name", ["ave-dark", "ave-light", "ave-ansi", "textual-light", "nord", "gruvbox"])
def test_every_theme_has_every_tone(name: str) -> None:
    async def main() -> None:
        themed: App[None] = App()
        for theme in themes(load(Path("none.toml")))[0]:
            themed.register_theme(theme)
        themed.theme = name
        for faded in (False, True):
            palette = Palette(themed.get_css_variables(), faded=faded)
            for tone in TONES:
                for look in ("", "!", "~"):
                    assert palette.style(tone + look, "base").color is not None, tone

    run(main())


def test_a_theme_of_ones_own_says_what_is_wrong() -> None:
    base = themes(load(Path("none.toml")))[0][0]
    assert theme_of("mine", {"good": "#00ff00", "dim": "#888888"}, base).success == "#00ff00"
    with pytest.raises(ValueError, match="is no colour"):
        theme_of("mine", {"good": "greenish"}, base)


def test_deeds_are_of_the_catalogue_and_have_a_letter_each() -> None:
    for deed in deeds.DEEDS:
        assert form(deed.name).entry.name == deed.name
        assert deed.phrase
    for noun in {deed.noun for deed in deeds.DEEDS}:
        letters = [deed.letter for deed in deeds.of_noun(noun)]
        assert len(set(letters)) == len(letters), noun


@pytest.mark.parametrize("deed", [deed for deed in deeds.DEEDS if "=" in deed.hint], ids=lambda deed: deed.name)
def test_the_hint_of_a_line_can_be_typed(deed: deeds.Deed) -> None:
    words = [word for word in deed.hint.replace(",", " ").split() if "=" in word]
    assert deeds.given_of(deed, " ".join(words))


def test_what_cannot_be_said_is_told() -> None:
    edit = deeds.find("vm", "edit")
    assert edit is not None
    for line in ("cpus", "cpus=many", "ha=perhaps", "'open"):
        with pytest.raises(Failure):
            deeds.given_of(edit, line)
    grow = deeds.find("volume", "grow")
    assert grow is not None
    with pytest.raises(Usage, match="is needed"):
        deeds.given_of(grow, "")


def test_a_filter_that_is_half_typed_filters_nothing_and_says_why() -> None:
    for said in ("[", "-l app=", "-l ===", "(", "!*"):
        found = parse(said)
        assert found.passes(lambda: "anything", dict) or not found.wrong
    assert parse("[").wrong
    assert parse("-l ===").wrong
    assert not parse("-l").wrong
