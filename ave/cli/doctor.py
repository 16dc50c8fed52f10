"""``ave doctor``: whether this host has what its services need, and what to do where it has not."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ave.cli.flags import flags_of

if TYPE_CHECKING:
    from drivers.doctor.examine import Row

MARKS = {"ok": "[green]✓[/green]", "warning": "[yellow]![/yellow]", "failed": "[red]✕[/red]"}


def doctor(
    *,
    config: Path | None = None,
    role: Annotated[Literal["node", "storage"] | None, Parameter(name="--for")] = None,
    host: str = "",
    services: str = "",
    store: str = "",
    root: str = "",
    output: Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"])] = "table",
) -> int:
    """Check this host. Nothing is installed, and nothing changed. Exit 0 nothing has failed, 1 something has.

    Parameters
    ----------
    config
        The TOML file of ave node or ave storage. Without it, and without the environment's AVE_…, only what any host of real
        VMs needs is checked.
    role
        node, or storage for the storage box; as the configuration looks if absent.
    host
        As ave node takes it, and so the next three.
    services
        With commas.
    store
        sqlite:FILE or mongodb://…
    root
        The directory of a process cluster.
    output
        What to print.
    """
    from drivers.doctor.examine import admit, examine
    from drivers.doctor.table import CHECKS

    flags = flags_of(host, services, store, root)
    subject, first = admit(config, os.environ, flags, role)
    rows = [first, *examine(subject, CHECKS, _waiting)]
    if output == "json":
        _print_json(rows)
    else:
        _print_table(rows)
    return 1 if any(row.status == "failed" for row in rows) else 0


def _waiting(ids: list[str]) -> None:
    print(f"still waiting for {', '.join(ids)}", file=sys.stderr)


def _print_table(rows: list[Row]) -> None:
    from rich.markup import escape

    from ave.cli.listing import WHOLE, console, new_table

    asked = [row for row in rows if row.status != "not asked"]
    spared: dict[str, list[str]] = {}  # the others, by why they are not asked
    for row in rows:
        if row.status == "not asked":
            spared.setdefault(row.says, []).append(row.id)
    table = new_table("", "CHECK", "WHAT WAS FOUND")
    for row in asked:
        says = escape(row.says) + (f"\n→ {escape(row.fix)}" if row.fix else "")
        table.add_row(MARKS[row.status], row.id, says)
    out = console(WHOLE)
    out.print(table)
    for why, ids in spared.items():
        out.print(f"– {', '.join(ids)}: {why}", style="dim", markup=False)
    counts = {status: sum(row.status == status for row in rows) for status in ("ok", "warning", "failed", "not asked")}
    out.print(", ".join(f"{count} {status}" for status, count in counts.items() if count))


def _print_json(rows: list[Row]) -> None:
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(rows), indent=1).decode())
