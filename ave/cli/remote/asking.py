"""An operation of the catalogue, asked for: a request or several, a question before what cannot be undone, and a wait."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_args

import msgspec
from cyclopts import Group, Parameter

from ave.api.nouns import NOUNS, Noun
from ave.api.routes import Entry, Route, routes, several
from ave.cli.remote.connection import Client
from ave.cli.remote.failures import Exit, Failure, Usage, complain, meant, printable
from ave.cli.remote.fields import Flag, body_of, flags_of
from ave.cli.remote.output import Look, columns_of, show_data, show_list, show_one, show_table
from ave.cli.remote.pacing import Sent, in_turn
from ave.cli.remote.picking import better, fetched, path_of, shown
from ave.cli.remote.waiting import show_results, wait_for
from ave.cli.remote.words import cell, iec
from ave.model.work import OnConflict
from ave.operations import Operation

DESTRUCTIVE = ("delete", "poweroff", "reset")  # verbs after which something is lost
WRONG_IF: Mapping[str, str] = {"audit.check": "broken"}  # the field of an answer that is empty if all is well
LISTED_MOST = 200  # of what goes
ONE_BY_ONE = 10  # so many are looked up by name, more of them in a list
_GROUP = Group("Job", sort_key=10)


@Parameter(name="*", group=_GROUP)
@dataclass(frozen=True)
class Manner:
    """How it is asked for, whatever it is."""

    no_wait: Annotated[
        bool, Parameter(negative="", show_default=False, help="Print the Job's id, and do not wait.")
    ] = False
    timeout: Annotated[float, Parameter(help="Wait so many seconds; the Job goes on. 0: no limit.")] = 0.0
    dry_run: Annotated[bool, Parameter(negative="", show_default=False, help="Do nothing: say what would be done.")] = (
        False
    )
    on_conflict: Annotated[
        OnConflict, Parameter(help="If somebody else is at it: wait for him, fail, or leave that one out.")
    ] = OnConflict.QUEUE
    parallel: Annotated[
        int, Parameter(show_default=False, help="A Job for each, so many at a time. 0: one Job for all of them.")
    ] = 0
    fail_fast: Annotated[
        bool, Parameter(negative="", show_default=False, help="Once one has failed, begin no more. A Job for each.")
    ] = False
    if_match: Annotated[
        int | None, Parameter(name="--if-version", show_default=False, help="Only if it still has this version.")
    ] = None

    @property
    def one_by_one(self) -> bool:
        """Does each get a Job of its own?"""
        return self.parallel > 0 or self.fail_fast


@Parameter(name="*", group=_GROUP)
@dataclass(frozen=True)
class Sure:
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], negative="", show_default=False, help="Do not ask.")] = False


class Form(msgspec.Struct, frozen=True):
    """How it is asked for. ``each``: what one of several is in a request: a name, or a struct, or a value of a dict. ``named``:
    do names say what it is about?"""

    entry: Entry
    noun: Noun
    one: Route | None
    many: Route | None
    field: str
    each: Any
    own: tuple[Flag, ...]  # of each thing
    rest: tuple[Flag, ...]  # of the request
    named: bool

    @property
    def flags(self) -> tuple[Flag, ...]:
        return (*self.own, *self.rest)

    @property
    def creates(self) -> bool:
        return self.entry.verb == "create"

    @property
    def destroys(self) -> bool:
        return self.entry.verb in DESTRUCTIVE

    @property
    def job(self) -> bool:
        return isinstance(self.entry, Operation)


def form_of(entry: Entry) -> Form:
    noun = NOUNS[entry.noun]
    found = routes((entry,))
    one = next((route for route in found if route.one), None)
    many = next((route for route in found if not route.one), None)
    field, each = several(entry.request) or ("", None)
    own: tuple[Flag, ...] = ()
    if each is dict:
        kind = get_args({item.name: item.type for item in msgspec.structs.fields(entry.request)}[field])[1]
        own = (Flag((field.replace("sizes", "size"),), kind, True, msgspec.UNSET, False),)
    elif each not in (None, str):
        own = tuple(flags_of(each, without=("id",)))
    rest = tuple(flags_of(entry.request, without=(field, "id", noun.name)))
    known = {item.name for item in msgspec.structs.fields(entry.request)}
    named = not noun.only and bool(one is not None or field or "id" in known)
    return Form(entry, noun, one, many, field, each, own, rest, named)


def requests(form: Form, ids: Sequence[str], given: Mapping[str, Any]) -> list[Sent]:
    """One about all of them if the API has it, else one about each; which may be wanted too."""
    manner = given.get("manner", Manner())
    if manner.parallel < 0:
        raise Usage("--parallel: how many at a time")
    if manner.one_by_one and len(ids) > 1:
        return [sent for id in ids for sent in _requests(form, [id], given)]
    return _requests(form, ids, given)


def _requests(form: Form, ids: Sequence[str], given: Mapping[str, Any]) -> list[Sent]:
    own, rest = body_of(form.own, given), body_of(form.rest, given)
    if form.entry.verb == "edit" and not own and not rest:
        raise Usage("what shall be changed?", f"ave {form.noun.name} edit --help shows what can be")
    if form.many is not None and (form.one is None or len(ids) > 1):
        if form.each is str:
            entries: Any = list(ids)
        elif form.each is dict:
            entries = dict.fromkeys(ids, next(iter(own.values())))
        elif form.field:
            entries = [{"id": id, **own} for id in ids]
        else:
            about = [{"id": id} for id in ids] if form.named else [{}]
            return [
                Sent(form.many.method, form.many.path, {**rest, **each} or None, tuple(each.values())) for each in about
            ]
        return [Sent(form.many.method, form.many.path, {**rest, form.field: entries}, tuple(ids))]
    assert form.one is not None
    suffix = form.one.path.partition("{id}")[2]
    body = {**own, **rest} or None
    return [Sent(form.one.method, path_of(form.noun, id) + suffix, body, (id,)) for id in ids or [""]]


class Asking:
    """Sends one of them, and answers what was said. Raises Failure, with the name that was probably meant."""

    def __init__(self, client: Client, form: Form, manner: Manner) -> None:
        self._client, self._form = client, form
        self._query: dict[str, Any] = {"dry_run": "true"} if manner.dry_run else {}
        if manner.on_conflict != OnConflict.QUEUE:
            self._query["on_conflict"] = manner.on_conflict.value
        self._headers = {} if manner.if_match is None else {"If-Match": f'"{manner.if_match}"'}

    def __call__(self, sent: Sent) -> dict[str, Any]:
        form, query = self._form, self._query
        read = sent.method == "GET"
        said = {"query": {**query, **(sent.body or {})}} if read else {"query": query, "body": sent.body}
        try:
            answer = self._client.ask(sent.method, sent.path, headers=self._headers, again=form.job, **said)
        except Failure as failure:
            raise (
                better(self._client, form.noun, sent.about[0], failure) if len(sent.about) == 1 else failure
            ) from None
        return answer.body  # type: ignore[no-any-return]


def perform(client: Client, form: Form, sent: Sequence[Sent], manner: Manner, sure: Sure, look: Look) -> Exit:
    """Raises Failure."""
    if manner.one_by_one and manner.no_wait:
        raise Usage("--no-wait goes with neither --parallel nor --fail-fast: they wait for one to begin the next")
    if manner.if_match is not None and (len(sent) > 1 or len(sent[0].about) > 1):
        raise Usage("--if-version is about one thing")
    if form.destroys and not manner.dry_run:
        _ask(client, form, [id for each in sent for id in each.about], sure)
    asking = Asking(client, form, manner)
    if manner.one_by_one and not manner.dry_run:
        jobs, left, exit = in_turn(client, asking, sent, manner.parallel or 1, manner.timeout, manner.fail_fast)
        if left:
            complain(Failure(Exit.FAILED, f"not begun, because one failed: {', '.join(left)}"))
        return max(exit, Exit.FAILED if left else Exit.OK, show_results(jobs, look, client.now))
    jobs, exit = [], Exit.OK
    for each in sent:
        try:
            jobs.append(asking(each))
        except Failure as failure:
            if len(sent) == 1:
                raise
            exit = complain(failure)
    if not form.job:
        return max(exit, _show_answers(form, jobs, look, client.now))
    if manner.dry_run:
        return max(exit, _show_plans(jobs, look))
    if manner.no_wait:
        if look.table:
            for job in jobs:
                print(job["id"])
        else:
            show_results(jobs, look, client.now)
        return exit
    jobs = wait_for(client, jobs, manner.timeout)
    return max(exit, show_results(jobs, look, client.now))


def _show_answers(form: Form, answers: Sequence[dict[str, Any]], look: Look, now: float) -> Exit:
    """What is answered at once: a list, or one thing; which need not be of the noun's own type: a token is told but once."""
    if len(answers) == 1 and "items" in answers[0]:
        if look.data:
            show_data(answers[0], look)
        else:
            show_list(form.noun, answers[0]["items"], look, now)
    elif len(answers) == 1:
        show_one(form.noun, answers[0], look, now)
    elif answers:
        show_list(form.noun, answers, look, now)
    bad = WRONG_IF.get(form.entry.name, "")
    return Exit.FAILED if any(answer.get(bad) for answer in answers) else Exit.OK


def _show_plans(plans: Sequence[dict[str, Any]], look: Look) -> Exit:
    for plan in plans:
        if not look.table:
            show_data(plan, look)
            continue
        rows = [
            (task["step"], task["function"], task["resource"] or "-", task["where"], ",".join(task["needs"]) or "-")
            for task in plan["tasks"]
        ]
        show_table(("STEP", "WHAT", "OF", "WHERE", "AFTER"), rows, look)
        for id, result in plan["refused"].items():
            print(printable(f"{id} would fail: {result['why']}"))
        for id, place in plan["places"].items():
            where = f"would go to {place['host']}" if place["host"] else f"would go nowhere: {place['why']}"
            print(printable(f"{id} {where}"))
        print(f"nothing was done; this would lock {', '.join(plan['locks']) or 'nothing'}", file=sys.stderr)
    return Exit.FAILED if any(plan["refused"] for plan in plans) else Exit.OK


def _ask(client: Client, form: Form, ids: Sequence[str], sure: Sure) -> None:
    """Show what goes, and ask. Raises Failure: not wanted, or nobody is there to ask."""
    if sure.yes:
        return
    noun, verb = form.noun, form.entry.verb
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Usage(
            f"{verb} of {len(ids)} {noun.plural} needs a yes, and nobody can be asked here",
            "--yes, or --dry-run to look",
        )
    docs = _docs(client, noun, ids)
    print(f"{form.entry.phrase}:", file=sys.stderr)
    for doc in docs[:LISTED_MOST]:
        columns = [cell(field, doc.get(field), client.now) for _, field in columns_of(noun, Look())]
        print("  " + "  ".join(columns), file=sys.stderr)
        for line in _lost_with(client, form, doc):
            print(f"      {line}", file=sys.stderr)
    if len(docs) > LISTED_MOST:
        print(f"  … and {len(docs) - LISTED_MOST:,} more", file=sys.stderr)
    print(f"{verb} these {len(docs)}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Failure(Exit.FAILED, "nothing was done")


def _docs(client: Client, noun: Noun, ids: Sequence[str]) -> list[dict[str, Any]]:
    if len(ids) <= ONE_BY_ONE:
        return [shown(client, noun, id) for id in ids]
    known = {doc["id"]: doc for doc in fetched(client, noun, {})}
    if missing := [id for id in ids if id not in known]:
        raise Failure(Exit.NOT_FOUND, f"there is no {noun.name} {missing[0]}", meant(missing[0], known))
    return [known[id] for id in ids]


def _lost_with(client: Client, form: Form, doc: Mapping[str, Any]) -> list[str]:
    """What goes with a thing that is deleted: of a VM its volumes."""
    if form.entry.verb != "delete" or form.noun.name != "vm":
        return []
    volume = NOUNS["volume"]
    found = []
    for id in doc["volumes"]:
        try:
            found.append(f"volume {id}, {iec(shown(client, volume, id)['size_gib'] << 30)}")
        except Failure:
            found.append(f"volume {id}")
    return found
