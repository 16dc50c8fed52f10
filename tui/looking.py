"""Looking closer, and taking along what is seen: descriptions, YAML, help, copies, exports, pictures."""

from __future__ import annotations

import csv
import json
from io import StringIO
from itertools import zip_longest
from pathlib import Path
from textwrap import wrap
from time import strftime
from typing import TYPE_CHECKING, Any, cast

from tui.clean import clean, width
from tui.columns import Span
from tui.keys import GROUPS
from tui.modals import Reader
from tui.views.base import Place

if TYPE_CHECKING:
    from tui.app import Dashboard

YAML_MOST = 60_000  # characters
HELP_BROAD, HELP_KEYS = 100, 16  # cells: from how many on help has two columns, and what keys take of one


class Looking:
    """A part of the dashboard."""

    @property
    def board(self) -> Dashboard:
        return cast("Dashboard", self)

    def action_describe(self) -> None:
        board = self.board
        lines = board.beside()
        if lines:
            _, id = board.about()
            plain = "\n".join("".join(text for text, _ in line) for line in lines)
            board.push_screen(Reader(board, id or board.place.crumb, lines, plain))

    def action_yaml(self) -> None:
        import yaml

        board = self.board
        noun, id = board.about()
        doc = self._doc()
        if doc is None:
            board.tell("there is nothing to show as YAML here")
            return
        text = yaml.safe_dump(doc, sort_keys=False, allow_unicode=True, width=100)[:YAML_MOST]
        lines: list[list[Span]] = []
        for line in text.splitlines():
            key, colon, rest = line.partition(":")
            if colon and not key.lstrip().startswith("- ") and (not rest or rest.startswith(" ")):
                lines.append([(key + colon, "accent"), (rest, "text")])
            else:
                lines.append([(line, "text")])
        board.push_screen(Reader(board, f"{noun} {id}", lines, text))

    def _doc(self) -> Any:
        board = self.board
        noun, id = board.about()
        doc = board.model.docs.get(noun, {}).get(id)
        if doc is None:
            row = board.lines.current if board.place.view != "pulse" else None
            return dict(row) if isinstance(row, dict) else None
        if noun == "job":
            return {**doc, "tasks": board.model.parts(id)}
        return doc

    def action_log(self) -> None:
        """Everything that was said of it."""
        board = self.board
        noun, id = board.about()
        if noun:
            board.go(Place("events", (("thing", f"{noun}/{id}"),), f"log of {id}"))

    def action_why(self) -> None:
        board = self.board
        noun, id = board.about()
        vm = id if noun == "vm" else board.place.of("vm")
        if vm:
            board.go(Place("why", (("vm", vm),), f"why {vm}"))

    def action_help(self) -> None:
        board = self.board
        board.push_screen(Reader(board, f"keys of {board.place.view}", self._help(), broad=True))

    def _help(self) -> list[list[Span]]:
        board = self.board
        broad = board.size.width >= HELP_BROAD
        room = min(board.size.width - 8, 150) - 4
        cells = room // 2 if broad else room
        groups: list[list[list[Span]]] = []
        for group in GROUPS:
            lines: list[list[Span]] = []
            for key in board.usable():
                if key.group == group:
                    words = wrap(key.words, max(20, cells - HELP_KEYS - 1)) or [""]
                    lines.append([(f"{key.shown:<{HELP_KEYS}}", "strong"), (words[0], "dim")])
                    lines += [[(" " * HELP_KEYS, "text"), (more, "dim")] for more in words[1:]]
            if lines:
                groups.append([[(group, "accent!")], *lines, []])
        if not broad:
            return [line for part in groups for line in part][:-1]
        left: list[list[Span]] = []
        right: list[list[Span]] = []
        for part in groups:
            shorter = left if len(left) <= len(right) else right
            shorter += part
        none: list[Span] = []
        return [[*cut(first, cells), *second] for first, second in zip_longest(left, right, fillvalue=none)]

    def action_history(self) -> None:
        """What was done here, as commands; and what was told of it."""
        board = self.board
        lines: list[list[Span]] = [[("$ ", "dim"), (line, "text")] for line in board.commands]
        if board.told:
            lines += [[], [("Told", "accent!")], *([(each.replace("\n", " · "), "dim")] for each in board.told)]
        board.push_screen(
            Reader(board, "what was done here", lines or [[("nothing so far", "dim")]], "\n".join(board.commands))
        )

    # Taking along

    def action_copy(self, what: str) -> None:
        lines = self.board.lines
        laid = lines.laid()
        cells = lines.cells(lines.cursor)
        if not cells or not laid or lines.listing is None:
            return
        if what == "row":
            self.copy("\t".join(cells), "the row")
            return
        titles = [column.title for column in lines.listing.columns]
        title = laid[min(lines.column, len(laid) - 1)].column.title
        if not lines.column and "NAME" in titles:
            title = "NAME"
        self.copy(cells[titles.index(title)], title.lower())

    def copy(self, text: str, what: str) -> None:
        board = self.board
        board.copy_to_clipboard(text)
        shown = clean(text.replace("\n", " "))
        board.tell(f"copied {what}: {shown if len(shown) < 60 else shown[:57] + '…'}")

    def action_export(self) -> None:
        """The rows as they are shown, filtered and sorted; beside it the documents."""
        board, lines = self.board, self.board.lines
        if lines.listing is None:
            return
        text = StringIO()
        writer = csv.writer(text)
        writer.writerow([column.title for column in lines.listing.columns])
        docs = []
        for key in lines.rows:
            writer.writerow([_harmless(cell) for cell in lines.cells(key)])
            row = lines.listing.row(key)
            docs.append(row if isinstance(row, dict) else [clean(cell) for cell in lines.cells(key)])
        name = f"ave-{board.place.view}-{strftime('%Y%m%d-%H%M%S')}"
        try:
            folder = Path(board.liked.folder).expanduser()
            (folder / f"{name}.csv").write_text(text.getvalue())
            (folder / f"{name}.json").write_text(json.dumps(docs, indent=1, default=str))
        except OSError as error:
            board.tell(f"{error}", severity="error")
            return
        board.tell(f"{len(lines.rows):,} rows are in {name}.csv and .json")

    def action_picture(self) -> None:
        board = self.board
        try:
            path = board.save_screenshot(
                f"ave-{board.place.view}-{strftime('%Y%m%d-%H%M%S')}.svg", str(Path(board.liked.folder).expanduser())
            )
        except OSError as error:
            board.tell(f"{error}", severity="error")
            return
        board.tell(f"the screen is in {Path(path).name}")


def _harmless(cell: str) -> str:
    """A spreadsheet takes what begins so for a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@") else cell


def cut(line: list[Span], cells: int) -> list[Span]:
    """The line in exactly so many cells."""
    made: list[Span] = []
    left = cells
    for text, tone in line:
        text = clean(text)
        if width(text) > left:
            text = text[: max(0, left - 1)] + "…"
        made.append((text, tone))
        left -= width(text)
        if left <= 0:
            break
    return [*made, (" " * max(0, left), "text")]
