"""Every view as a picture, compared with the one that somebody has looked at. ``AVE_PICTURES=write`` writes them anew, and
``AVE_PICTURES=record`` asks a simulated cluster anew before: else what is drawn is what one has answered once.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import httpx2
import pytest

from tests.tui.board import Board, before, board, run
from tests.tui.cassette import Recording, Replay

FOLDER = Path(__file__).with_name("pictures")
SIZES = ((80, 24), (120, 40), (200, 60))
THEMES = ("ave-dark", "ave-light")
CASSETTE = FOLDER / "cassette.json.gz"
UPDATE = os.environ.get("AVE_PICTURES", "") in ("write", "record")
RECORD = os.environ.get("AVE_PICTURES", "") == "record"
# What is pressed from the pulse on to see it, with VMs sorted by name. Views are drawn in every size and theme.
VIEWS = {
    "pulse": (),
    "vms": ("2", "N", "j", "space", "space"),
    "hosts": ("3",),
    "jobs": ("4",),
    "events": ("5",),
    "volumes": ("6",),
    "groups": ("7",),
    "why": ("2", "N", "j", "w"),
    "timeline": ("9",),
    "parts": ("2", "N", "enter"),
}
ONCE = {
    "help": ("2", "question_mark"),
    "menu": ("2", "N", "m"),
    "confirm": ("2", "N", "slash", *"web-1", "enter", "asterisk", "x"),
    "fault": ("exclamation_mark",),
    "jump": ("colon", *"host"),
}


def slim(svg: str) -> str:
    """Without what is the same in every picture and takes half of the file."""
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = re.sub(r"terminal-\d+-", "t-", svg)
    svg = re.sub(r'\s*<clipPath id="t-line-\d+">.*?</clipPath>', "", svg, flags=re.DOTALL)
    svg = re.sub(r' clip-path="url\(#t-line-\d+\)"', "", svg)
    svg = svg.replace("font-family: Fira Code", "font-family: monospace")
    return re.sub(r'"(-?\d+\.\d{1,2})\d*"', r'"\1"', svg) + "\n"


async def see(it: Board, name: str, keys: tuple[str, ...], size: tuple[int, int], theme: str) -> list[str]:
    """Nothing, if it is as it was."""
    await it.press("escape", "escape", "escape", "escape", "escape")
    if it.app.screen_stack[1:]:
        await it.press("escape")
    await it.press("1")
    if keys:
        await it.press(*keys)
    await it.until(lambda: "being asked" not in it.text() and it.app.workers is not None)
    await it.until(lambda: name not in ("confirm",) or "foreseen" in it.text())
    await it.until(lambda: name != "fault" or "host-crash" in it.text())
    await it.settle()
    path = FOLDER / f"{name}-{size[0]}x{size[1]}-{theme.removeprefix('ave-')}.svg"
    drawn = slim(it.app.export_screenshot(title="ave"))
    if UPDATE:
        FOLDER.mkdir(exist_ok=True)
        path.write_text(drawn, encoding="utf-8")
        return []
    if not path.is_file() or path.read_text(encoding="utf-8") != drawn:
        path.with_suffix(".new.svg").write_text(drawn, encoding="utf-8")
        return [f"{path.name} is another: look at {path.with_suffix('.new.svg').name}, then AVE_PICTURES=write"]
    return []


@pytest.fixture(scope="module", autouse=True)
def _cassette() -> None:
    """All that the pictures need is asked for, if it shall be recorded."""
    if not RECORD:
        return

    async def main() -> None:
        FOLDER.mkdir(exist_ok=True)
        recordings: list[Recording] = []

        def through(real: httpx2.AsyncBaseTransport) -> httpx2.AsyncBaseTransport:
            recordings.append(Recording(real))
            return recordings[-1]

        async with board(through=through) as it:
            for name, keys in {**VIEWS, **ONCE}.items():
                await see(it, name, keys, (120, 40), "ave-dark")
        recordings[0].save(CASSETTE)

    run(main())


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("theme", THEMES)
def test_pictures(size: tuple[int, int], theme: str) -> None:
    async def main() -> None:
        wrong: list[str] = []
        async with before(Replay(CASSETTE), size=size, theme=theme) as it:
            views = {**VIEWS, **(ONCE if size == (120, 40) and theme == "ave-dark" else {})}
            for name, keys in views.items():
                wrong += await see(it, name, keys, size, theme)
        assert not wrong, "\n".join(wrong)

    run(main())
