"""What can go wrong for a client, and the exit code for each. A program reads the code, a person the line and its hint."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    OK = 0
    FAILED = 1  # the operation, or a part of it
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4  # its state, or a precondition
    DENIED = 5
    UNREACHABLE = 6
    TIMEOUT = 7
    INTERRUPTED = 130


class Failure(Exception):
    """Ends a command. ``hint``: the one next step."""

    def __init__(self, exit: Exit, what: str, hint: str = "") -> None:
        super().__init__(exit, what, hint)
        self.exit, self.what, self.hint = exit, what, hint

    def __str__(self) -> str:
        return self.what


class Usage(Failure):
    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(Exit.USAGE, what, hint)


# What the code of a problem (docs/api.md, Errors) is for a shell.
EXITS: Mapping[str, Exit] = {
    "invalid": Exit.USAGE,
    "unauthenticated": Exit.DENIED,
    "denied": Exit.DENIED,
    "foreign": Exit.DENIED,
    "not-found": Exit.NOT_FOUND,
    "conflict": Exit.CONFLICT,
    "no-fit": Exit.CONFLICT,
    "changed": Exit.CONFLICT,
    "key-reused": Exit.CONFLICT,
    "only-simulated": Exit.CONFLICT,
    "only-real": Exit.CONFLICT,
    "paused": Exit.CONFLICT,
    "no-such-method": Exit.USAGE,
    "too-large": Exit.USAGE,
    "not-json": Exit.USAGE,
    "too-many": Exit.UNREACHABLE,
    "unavailable": Exit.UNREACHABLE,
    "too-late": Exit.TIMEOUT,
    "unknown-outcome": Exit.TIMEOUT,
    "bug": Exit.FAILED,
}
# Hints of the API that a shell has a better one for.
_HINTS: Mapping[str, str] = {
    "unauthenticated": "AVE_TOKEN, or ave context add NAME URL --token-file FILE; ave init makes the first token",
    "changed": "look at it again, and say the version that it has now",
    "conflict": "look at its state: ave NOUN show NAME",
}


def of_problem(problem: Any, status: int) -> Failure:
    """What an API that did not do it said."""
    if not isinstance(problem, dict) or "code" not in problem:
        return Failure(Exit.FAILED, f"the answer was {status}, and no problem that AVE knows", "is it an AVE host?")
    exit = EXITS.get(problem["code"], Exit.USAGE if 400 <= status < 500 else Exit.FAILED)
    what = problem.get("detail") or problem.get("title") or problem["code"]
    hint = _HINTS.get(problem["code"], problem.get("hint", ""))
    if problem["code"] == "bug":
        what = f"{what}, request id {problem.get('request_id', '?')}"
    return Failure(exit, what, hint)


def printable(text: str) -> str:
    """What others have written, without what would steer a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)


def complain(failure: Failure) -> Exit:
    print(printable(f"ave: {failure.what}"), file=sys.stderr)
    if failure.hint:
        print(printable(f"hint: {failure.hint}"), file=sys.stderr)
    return failure.exit


def meant(word: str, known: Iterable[str]) -> str:
    """The one that was probably meant, as a hint; "" if none is close."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else ""
