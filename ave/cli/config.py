"""``ave config``: the configuration of this host as its services would read it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from ave.cli.flags import flags_of
from ave.cli.screen import complain

if TYPE_CHECKING:
    from drivers.config_shown import Row


def show(
    *,
    config: Path | None = None,
    role: Annotated[Literal["node", "storage"] | None, Parameter(name="--for")] = None,
    host: str = "",
    services: str = "",
    store: str = "",
    root: str = "",
    output: Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"])] = "table",
) -> int:
    """Every value that ave node, ave guard or ave storage would use, and where it comes from. Of secrets only whether they are
    set. Exit 0 shown, 2 bad configuration.

    Parameters
    ----------
    config
        A TOML file. Each key may also come from the environment, as AVE_STORE__URL does for [store] url.
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
    from ave.errors import AveError
    from drivers.config_shown import role_of, rows
    from drivers.layers import Layers

    flags = flags_of(host, services, store, root)
    try:
        layers = Layers(config, os.environ, flags)
        found = rows(layers, role or role_of(layers), os.environ)
    except AveError as problem:
        return complain(problem)
    if output == "json":
        _print_json(found)
    else:
        _print_table(found)
    return 0


def _print_table(found: list[Row]) -> None:
    from rich.markup import escape

    from ave.cli.listing import WHOLE, console, new_table

    table = new_table("KEY", "VALUE", "FROM")
    for row in found:
        style = "dim" if row.origin.kind in ("default", "profile") else ""
        table.add_row(row.key, escape(_text(row)), escape(str(row.origin)), style=style)
    console(WHOLE).print(table)


def _text(row: Row) -> str:
    """As it would stand in the file."""
    import json

    if row.secret:
        return "set" if row.value else "not set"
    return "not set" if row.value is None else json.dumps(row.value, ensure_ascii=False)


def _print_json(found: list[Row]) -> None:
    import msgspec

    def plain(row: Row) -> dict[str, Any]:
        origin = {"kind": row.origin.kind, "place": row.origin.place, "line": row.origin.line or None}
        value = {"set": row.value} if row.secret else {"value": row.value}
        return {"key": row.key, **value, "origin": origin}

    print(msgspec.json.format(msgspec.json.encode([plain(row) for row in found]), indent=1).decode())
