"""One operation of the catalogue on one or several things: its requests, and the equal line of the command line."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ave.api.routes import catalogue
from ave.cli.remote.asking import Form, form_of
from ave.cli.remote.asking import requests as requests_of
from ave.cli.remote.failures import Usage
from ave.cli.remote.pacing import Sent


def form(name: str) -> Form:
    """Of an operation or question, as vm.start. Raises Usage: there is none."""
    entry = catalogue().get(name)
    if entry is None:
        raise Usage(f"there is no operation {name}")
    return form_of(entry)


def requests(name: str, ids: Sequence[str], given: Mapping[str, Any]) -> list[Sent]:
    """``given``: by the variable of a flag, in the words of the command line (a size is "4GiB"). Raises Usage."""
    return requests_of(form(name), ids, given)


def line(name: str, ids: Sequence[str], given: Mapping[str, Any], *, context: str = "", dry_run: bool = False) -> str:
    """``ave vm migrate web-1 --host host-2``: what does the same in a shell."""
    asked = form(name)
    words = ["ave", *(["--context", context] if context else []), asked.noun.name, asked.entry.verb, *ids]
    for flag in asked.flags:
        value = given.get(flag.variable)
        if value is None or value == flag.default:
            continue
        if isinstance(value, bool):
            words.append(flag.name if value else f"--no-{flag.name.removeprefix('--')}")
            continue
        for each in value if isinstance(value, tuple | list) else (value,):
            words += [flag.name, str(each)]
    if dry_run:
        words.append("--dry-run")
    elif asked.destroys:
        words.append("--yes")
    return shlex.join(words)
