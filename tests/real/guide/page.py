"""The operator's guide as a list of things to do: blocks of commands, what they print, and what befalls a host in between."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

GUIDE = Path(__file__).parents[3] / "docs/operators-guide.md"
MACHINES = ("h1", "h2", "h3", "box")
ANYTHING = "…"

_FENCE = re.compile(r"^```(.*)$")
_MACHINE = f"(?:{'|'.join(MACHINES)})"
_WHERE = re.compile(
    rf"# on ({_MACHINE}(?:, {_MACHINE})*)(?:; again, for up to (\d+) s)?\n(?:# not run by the test: (.+)\n)?"
)
_EVENT = re.compile(r"^<!-- on the bed: (h\d) (loses its power|has its power again) -->$")
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


class BadGuide(Exception):
    """A line of the guide that nobody would run, or understand."""


@dataclass(frozen=True)
class Block:
    """Commands for a shell of each of these machines."""

    line: int
    commands: str
    machines: tuple[str, ...] = ("h1",)
    within: float = 0.0  # seconds, in which it is run again until it prints what stands below it
    not_run: str = ""  # why not
    prints: str | None = None


@dataclass(frozen=True)
class Power:
    line: int
    machine: str
    on: bool


def items(text: str) -> list[Block | Power]:
    """In their order. BadGuide for a fence that is neither a block of commands nor what the last one prints."""
    found: list[Block | Power] = []
    lines = enumerate(text.splitlines(), 1)
    for number, line in lines:
        if event := _EVENT.match(line):
            found.append(Power(number, event[1], event[2] != "loses its power"))
        elif line.startswith("<!--"):
            raise BadGuide(f"line {number}: this comment is no event: {line}")
        elif fence := _FENCE.match(line):
            inside = "".join(f"{each}\n" for each in _until_closed(lines))
            if fence[1] == "text":
                found.append(_printing(number, inside, found.pop() if found else None))
            else:
                found.append(_block(number, fence[1], inside))
    return found


def _until_closed(lines: Iterator[tuple[int, str]]) -> Iterator[str]:
    for _, line in lines:
        if line == "```":
            return
        yield line
    raise BadGuide("the last fence is not closed")


def _printing(number: int, inside: str, before: Block | Power | None) -> Block:
    if not isinstance(before, Block) or before.prints is not None or before.not_run:
        raise BadGuide(f"line {number}: this is text of no block of commands that is run")
    return replace(before, prints=inside)


def _block(number: int, kind: str, inside: str) -> Block:
    if kind != "sh":
        raise BadGuide(f"line {number}: a fence is of sh, or the text that the block above it prints: {kind}")
    where = _WHERE.match(inside)
    if where is None or not inside[where.end() :].strip():
        raise BadGuide(f"line {number}: a block begins with # on {', '.join(MACHINES)}, and has commands")
    return Block(number, inside, tuple(where[1].split(", ")), float(where[2] or 0), where[3] or "")


def unrun(text: str, programs: frozenset[str]) -> list[str]:
    """What the prose names as a command of these programs, with words behind it, though no block that is run begins so."""
    blocks = [item for item in items(text) if isinstance(item, Block) and not item.not_run]
    run = [line.strip() for block in blocks for line in block.commands.splitlines()]
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    named = [code for code in _CODE.findall(prose) if code.split()[0] in programs and " " in code]
    return [code for code in named if not any(line == code or line.startswith(f"{code} ") for line in run)]


def fits(said: str, wanted: str) -> bool:
    """Line by line: … in a line is any text, h1|h3 one of both; a line of … alone is any lines, also none; spaces are one."""
    return _fits([_tidy(line) for line in said.splitlines()], [_tidy(line) for line in wanted.splitlines()])


def _tidy(line: str) -> str:
    return " ".join(line.split())


def _fits(said: list[str], wanted: list[str]) -> bool:
    if not wanted:
        return not any(said)
    first, *rest = wanted
    if first == ANYTHING:
        return any(_fits(said[skipped:], rest) for skipped in range(len(said) + 1))
    return bool(said) and bool(re.fullmatch(_pattern(first), said[0])) and _fits(said[1:], rest)


def _pattern(line: str) -> str:
    parts = [re.escape(part).replace(r"\|", "|") for part in re.split(r"(\S*\|\S*)", line)]
    grouped = [f"(?:{part})" if "|" in part else part for part in parts]
    return "".join(grouped).replace(rf"\ {ANYTHING}", ".*").replace(ANYTHING, ".*")
