"""The questions of the catalogue, asked: lists, single things, and what only some nouns have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ave.api.nouns import Noun
from ave.api.questions import PAGE_MOST, Select
from ave.api.routes import routes
from ave.cli.remote.connection import Client
from ave.cli.remote.failures import Exit, Failure, Usage, complain, printable
from ave.cli.remote.output import Look, field_of, show_csv, show_data, show_list, show_one, show_table
from ave.cli.remote.picking import better, fetched, literal, path_of, shown
from ave.cli.remote.words import cell
from ave.placement.explanation import Explanation

LINE = ("at", "step", "what")


def list_(client: Client, noun: Noun, names: Sequence[str], asked: Select, look: Look, *, follow: bool) -> Exit:
    """Those that are asked for, of all pages. Raises Failure."""
    from fnmatch import fnmatchcase

    words = literal(noun, names)
    if asked.sort:
        field = field_of(noun, asked.sort.removeprefix("-"))
        asked = msgspec.structs.replace(asked, sort=("-" if asked.sort.startswith("-") else "") + field)
    if follow:
        from ave.cli.remote.watching import watch

        return watch(client, noun, msgspec.structs.replace(asked, limit=PAGE_MOST), words, look)
    query: dict[str, str | tuple[str, ...]] = {**asked.where}
    query |= {"label": asked.label} if asked.label else {}
    query |= {"q": asked.q} if asked.q else {}
    query |= {"sort": asked.sort} if asked.sort else {}
    docs = fetched(client, noun, query, asked.limit)
    exit = Exit.OK
    if words:
        docs = [doc for doc in docs if any(fnmatchcase(doc["id"], word) for word in words)]
        for word in words:
            if not any(fnmatchcase(doc["id"], word) for doc in docs):
                missing = Failure(Exit.NOT_FOUND, f"there is no {noun.name} {word} among these")
                exit = complain(better(client, noun, word, missing))
    show_list(noun, docs, look, client.now)
    return exit


def show(client: Client, noun: Noun, names: Sequence[str], look: Look, *, follow: bool) -> Exit:
    """Raises Failure."""
    words = [noun.only] if noun.only else literal(noun, names)
    if not words:
        raise Usage(f"which {noun.name}?", f"ave {noun.name} ls shows what there is")
    if follow:
        from ave.cli.remote.watching import watch

        return watch(client, noun, Select(limit=PAGE_MOST), words, look)
    docs, exit = [], Exit.OK
    for word in words:
        try:
            docs.append(shown(client, noun, word))
        except Failure as failure:
            if len(words) == 1:
                raise
            exit = complain(failure)
    _show(client, noun, docs, look)
    return exit


def _show(client: Client, noun: Noun, docs: Sequence[dict[str, Any]], look: Look) -> None:
    if len(docs) != 1:
        show_list(noun, docs, look, client.now)
        return
    (doc,) = docs
    show_one(noun, doc, look, client.now, hide=("tasks", "results"))
    if noun.name == "job" and look.output == "table" and not look.columns:
        for id, result in doc["results"].items():
            print(printable(f"{id}: {'ok' if result['ok'] else result['why']}"))
        show_tasks(doc["tasks"], look, client.now)


def show_tasks(tasks: Sequence[Mapping[str, Any]], look: Look, now: float) -> None:
    """A Job's tree: what is in a group stands below it."""
    fields = ("function", "host", "state", "attempt", "finished", "why")
    rows = [
        [("  " if task["group"] else "") + task["step"], *(cell(field, task[field], now) for field in fields)]
        for task in sorted(tasks, key=lambda task: task["group"])
    ]
    if rows:
        print()
        show_table(("TASK", *(field.upper() for field in fields)), rows, look)


def log(client: Client, noun: Noun, names: Sequence[str], look: Look) -> Exit:
    """Raises Failure."""
    words = literal(noun, names)
    if not words:
        raise Usage(f"which {noun.name}?", f"ave {noun.name} ls shows what there is")
    exit = Exit.OK
    for word in words:
        try:
            told = client.ask("GET", f"{path_of(noun, word)}:log").body
        except Failure as failure:
            exit = complain(better(client, noun, word, failure))
            continue
        if look.data:
            show_data(told, look)
        elif look.output == "csv":
            show_csv(LINE, told["items"], look)
        else:
            rows = [(cell("at", line["at"], client.now), line["step"] or word, line["what"]) for line in told["items"]]
            show_table([field.upper() for field in LINE], rows, look)
    return exit


def cancel(client: Client, noun: Noun, names: Sequence[str], look: Look) -> Exit:
    """Raises Failure."""
    words = literal(noun, names)
    if not words:
        raise Usage(f"which {noun.name}?", f"ave {noun.name} ls shows what there is")
    docs, exit = [], Exit.OK
    for word in words:
        try:
            docs.append(client.ask("DELETE", path_of(noun, word)).body)
        except Failure as failure:
            exit = complain(better(client, noun, word, failure))
    if docs:
        show_list(noun, docs, look, client.now)
    return exit


def explain(client: Client, noun: Noun, id: str, body: dict[str, Any], look: Look, *, every_host: bool) -> Exit:
    """Of one that is there; or, if the body has what a new one would be, of that. Raises Failure."""
    from ave.api.questions import QUESTIONS

    one, new = sorted(routes((QUESTIONS["vm.explain-placement"],)), key=lambda route: not route.one)
    verb = one.path.partition("{id}")[2]
    try:
        if "new" in body:
            asked = {**body, "new": {**body["new"], "id": id}}
            answer = client.ask(new.method, new.path, body=asked).body
        else:
            answer = client.ask(one.method, path_of(noun, id) + verb, body=body or None).body
    except Failure as failure:
        raise better(client, noun, id, failure) from None
    if look.table:
        from ave.cli.placement_table import show as show_explained

        show_explained(msgspec.convert(answer, Explanation), every_host=every_host, says=printable(answer["says"]))
    else:
        show_data(answer, look)
    return Exit.OK if answer.get("choice") else Exit.FAILED
