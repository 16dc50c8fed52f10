"""Explanations of placements on a terminal: the best hosts first, the others by what was against them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ave.cli.listing import console, new_table
from ave.placement.account import memory
from ave.placement.explanation import TURNED_AWAY, Explanation, HostRecord

if TYPE_CHECKING:
    from ave.placement.batch import Batch  # what decides takes half a second to load, and most of this only shows

BEST = 5  # hosts that fit
MOST = 20  # VMs of a batch


def show(explained: Explanation, *, every_host: bool, says: str = "", on: Console | None = None) -> None:
    """The answer in a sentence (``says``, if a host has already put it into words), then the hosts."""
    out = on or console()
    out.print(says or _sentence(explained), markup=False)
    if not explained.hosts:
        return
    fitting = [each for each in explained.hosts if each.outcome != TURNED_AWAY]
    shown = list(explained.hosts) if every_host else fitting[:BEST]
    out.print()
    if shown:
        out.print(_hosts(shown))
    if every_host:
        return
    if more := len(fitting) - len(shown):
        out.print(f"… and {more:,} more that could take it", markup=False)
    if shown and len(fitting) < len(explained.hosts):
        out.print()
    _rest(explained, out)
    if len(shown) < len(explained.hosts):
        out.print("(--all shows every host)", style="dim")


def _rest(explained: Explanation, out: Console) -> None:
    """One host of each kind that was turned away, with its numbers."""
    turned: dict[str, list[HostRecord]] = {}
    for each in explained.hosts:
        if each.outcome == TURNED_AWAY:
            turned.setdefault(each.by, []).append(each)
    if not turned:
        return
    table = new_table("TURNED AWAY BY", "HOSTS", "FOR EXAMPLE")
    table.columns[1].justify = "right"
    for by, records in turned.items():
        first = records[0]
        table.add_row(by, f"{len(records):,}", escape(f"{first.host}: {first.why}"))
    out.print(table)


def _hosts(records: Sequence[HostRecord]) -> Table:
    table = new_table("HOST", "OUTCOME", "CPU", "MEMORY", "SCORE", "FREE", "VMS", "WHY")
    for column in table.columns[2:7]:
        column.justify, column.no_wrap = "right", True
    size = memory(0)
    for each in records:
        score = each.score
        numbers = (f"{score.cpu:.3f}", f"{score.memory:.3f}", f"{score.score:.3f}")
        why = f"{each.by}: {each.why}" if each.outcome == TURNED_AWAY else each.why
        row = (escape(each.host), each.outcome, *numbers, size.down(each.free_mib), f"{each.vms:,}", escape(why))
        table.add_row(*row, style="green" if each.outcome == "chosen" else "")
    return table


def show_batch(batch: Batch, *, every_vm: bool) -> None:
    """Where each goes, in the order of decision, and the answer for all of them."""
    from ave.placement.told import told

    out = console()
    table = new_table("VM", "HOST", "SCORE", "COULD TAKE IT")
    table.columns[2].justify = table.columns[3].justify = "right"
    rows = list(batch.placed.items())
    for vm, choice in rows if every_vm else rows[:MOST]:
        hosts = choice.fitting + sum(choice.rejected.values())
        table.add_row(escape(vm), escape(choice.host), f"{choice.score:.3f}", f"{choice.fitting:,} of {hosts:,} hosts")
    if rows:
        out.print(table)
    if not every_vm and len(rows) > MOST:
        out.print(f"… and {len(rows) - MOST:,} more (--all shows every VM)", style="dim")
    if rows:
        out.print()
    out.print(told(batch), markup=False)


def plain(explained: Explanation) -> dict[str, Any]:
    """All of it, and the sentence: for JSON."""
    return {"says": _sentence(explained), **msgspec.to_builtins(explained)}


def _sentence(explained: Explanation) -> str:
    from ave.placement.told import sentence

    return sentence(explained)
