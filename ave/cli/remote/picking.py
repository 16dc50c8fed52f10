"""Which things a command is about: names, globs, labels, all of them, or what stands on stdin."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any
from urllib.parse import quote

from cyclopts import Parameter

from ave.api.nouns import NOUNS, Noun
from ave.api.routes import ROOT
from ave.cli.remote.connection import Client
from ave.cli.remote.failures import Exit, Failure, Usage, meant

PAGE = 1000
STDIN_MOST = 8 << 20  # characters
_GLOB = "*?["


@Parameter(name="*")
@dataclass(frozen=True)
class Pick:
    """Beside names."""

    selector: Annotated[
        tuple[str, ...],
        Parameter(
            name=["--selector", "-l"], negative="", help="Those with these labels: app=web, tier!=db, app in (a,b)."
        ),
    ] = ()
    all: Annotated[bool, Parameter(name="--all", negative="", show_default=False, help="All that there are.")] = False


def literal(noun: Noun, names: Sequence[str]) -> list[str]:
    """Each once, in the order in which they were said. ``vm/web-1`` is ``web-1``, ``-`` is what stands on stdin."""
    words: list[str] = []
    for name in names:
        if name == "-":
            words += sys.stdin.read(STDIN_MOST).split()
        else:
            words.append(name)
    return list(dict.fromkeys(bare(noun, word) for word in words))


def bare(noun: Noun, word: str) -> str:
    before, slash, after = word.partition("/")
    return after if slash and before in (noun.name, noun.plural) else word


def picked(client: Client, noun: Noun, names: Sequence[str], pick: Pick) -> list[str]:
    """Raises Usage, Failure: none is meant, or none is there."""
    if names and (pick.selector or pick.all):
        raise Usage("names, or --selector, or --all: one of them")
    if not (names or pick.selector or pick.all):
        raise Usage(
            f"which {noun.plural}?", "name them, or say --selector app=web, or --all; '-' reads names from stdin"
        )
    if not names:
        found = [doc["id"] for doc in fetched(client, noun, {"label": pick.selector})]
        return _some(found, f"there are no {noun.plural} with {', '.join(pick.selector)}" if pick.selector else "")
    words = literal(noun, names)
    if not any(mark in word for word in words for mark in _GLOB):
        return _some(words, "")
    known = [doc["id"] for doc in fetched(client, noun, {})]
    found = []
    for word in words:
        hits = [id for id in known if fnmatchcase(id, word)] if any(mark in word for mark in _GLOB) else [word]
        found += _some(hits, f"there is no {noun.name} {word}")
    return list(dict.fromkeys(found))


def _some(found: list[str], otherwise: str) -> list[str]:
    if not found:
        raise Failure(Exit.NOT_FOUND, otherwise or "there are none")
    return found


def fetched(
    client: Client, noun: Noun, query: Mapping[str, str | tuple[str, ...]], limit: int = 0
) -> list[dict[str, Any]]:
    """Of all pages; or the first ``limit``."""
    docs: list[dict[str, Any]] = []
    token = ""
    while True:
        size = min(PAGE, limit - len(docs)) if limit else PAGE
        page = client.ask(
            "GET",
            f"{ROOT}/{noun.plural}",
            query={**query, "limit": size, **({"page_token": token} if token else {})},
        ).body
        docs += page["items"]
        token = page["next_page_token"]
        if not token or not page["items"] or (limit and len(docs) >= limit):
            return docs


def path_of(noun: Noun, id: str) -> str:
    return f"{ROOT}/{noun.plural}" + ("" if noun.only else f"/{quote(id, safe='')}")


def shown(client: Client, noun: Noun, id: str) -> dict[str, Any]:
    """Raises Failure; if there is none of that name, one that was probably meant is its hint."""
    try:
        return client.ask("GET", path_of(noun, id)).body  # type: ignore[no-any-return]
    except Failure as failure:
        raise better(client, noun, id, failure) from None


def better(client: Client, noun: Noun, id: str, failure: Failure) -> Failure:
    """With the name that was probably meant, if there was none of that name."""
    if failure.exit is not Exit.NOT_FOUND or noun.only:
        return failure
    try:
        known = [doc["id"] for doc in fetched(client, noun, {"fields": "id"}, limit=PAGE)]
    except Failure:
        return failure
    return Failure(
        failure.exit, failure.what, meant(id, known) or failure.hint or f"ave {noun.name} ls shows what there is"
    )


def noun_of(word: str) -> Noun:
    """By its name, or its plural. Raises Usage."""
    for noun in NOUNS.values():
        if word in (noun.name, noun.plural):
            return noun
    raise Usage(f"there is nothing called {word}", meant(word, NOUNS) or f"there are {', '.join(NOUNS)}")
