"""Draws docs/states.md from the tables in ave/model, which are its only source. After a change to one of them:

.venv/bin/python docs/draw_states.py
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import ave.model
from ave.model.states import Table

FILE = Path(__file__).with_name("states.md")
COMMAND = ".venv/bin/python docs/draw_states.py"
HEAD = f"""\
# States

Drawn from the tables in [ave/model](../ave/model) by `{COMMAND}`. A test fails when this file is out of date.

Every state has one phrase, and every legal move stands in its table. `move` in
[ave/model/states.py](../ave/model/states.py) checks the table: an illegal move raises `IllegalMove` with the last moves
of the object, and changes nothing. A table is the whole vocabulary. No code leads to a lost zone yet.
"""


def tables() -> list[Table]:
    """Every table there is, module by module."""
    found: dict[str, Table] = {}
    for name in sorted(module.name for module in pkgutil.iter_modules(ave.model.__path__)):
        for value in vars(importlib.import_module(f"ave.model.{name}")).values():
            if isinstance(value, Table):
                found.setdefault(value.noun, value)
    return list(found.values())


def draw() -> str:
    """The whole file."""
    return "\n".join([HEAD, *(line for table in tables() for line in _section(table))])


def _section(table: Table) -> Iterator[str]:
    yield f"## {table.noun[0].upper()}{table.noun[1:]}\n"
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield from (f"    {line}" for line in _diagram(table))
    yield "```\n"
    yield "| state | phrase | next |"
    yield "| --- | --- | --- |"
    for state, phrase in table.phrases.items():
        after = ", ".join(table.moves[state]) or "none: it is final"
        yield f"| `{state}` | {phrase} | {after} |"
    yield ""


def _diagram(table: Table) -> Iterator[str]:
    for state in table.phrases:
        if (name := _name(state)) != state:
            yield f'state "{state}" as {name}'
    yield from (f"[*] --> {_name(state)}" for state in table.start)
    for state, following in table.moves.items():
        yield from (f"{_name(state)} --> {_name(other)}" for other in following)
        if table.final(state):
            yield f"{_name(state)} --> [*]"


def _name(state: str) -> str:
    """Mermaid allows no hyphen in a name."""
    return str(state).replace("-", "_")


if __name__ == "__main__":
    FILE.write_text(draw(), encoding="utf-8")
