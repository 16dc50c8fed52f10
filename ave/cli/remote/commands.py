"""The commands of the catalogue: one group for each noun, one command for each of its entries. ``ave.cli.remote.commands:vm``
is the group of VMs; it is built when somebody asks for it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import App, Group, Parameter

from ave.api.nouns import NOUNS, Noun
from ave.api.questions import ExplainVM, Question, Select
from ave.api.routes import Entry, catalogue
from ave.cli.remote import reading
from ave.cli.remote.asking import Form, Manner, Sure, form_of, perform, requests
from ave.cli.remote.connection import Client
from ave.cli.remote.failures import Exit, Usage
from ave.cli.remote.fields import body_of, completer_of, flags_of
from ave.cli.remote.names import NOUN_ALIASES, VERBS, VIRSH
from ave.cli.remote.output import Look
from ave.cli.remote.parameters import Where, command, conversation, names_of, of_flags, parameter
from ave.cli.remote.picking import Pick, literal, picked
from ave.cli.remote.waiting import wait_for
from ave.operations import Operation

Reading = Callable[[Client, Noun, Sequence[str], Look], Exit]

_FILTERS = Group("Which", sort_key=5)


def _change(entry: Entry) -> Callable[..., int]:
    form = form_of(entry)
    noun = form.noun
    parameters: list[inspect.Parameter] = []
    if form.named:
        help = "Of the new ones." if form.creates else "Names, globs such as 'web-*', or - to read them from stdin."
        parameters.append(names_of(noun, help))
    parameters += of_flags(form.flags)
    if form.named and not form.creates:
        parameters.append(parameter("pick", Pick, Pick()))
    if form.job:
        parameters.append(parameter("manner", Manner, Manner()))
    if form.destroys:
        parameters.append(parameter("sure", Sure, Sure()))
    parameters += [parameter("look", Look, Look()), parameter("where", Where, Where())]

    def run(names: tuple[str, ...], given: dict[str, Any]) -> Exit:
        with conversation(given["where"]) as client:
            ids = _ids(client, form, names, given)
            sent = requests(form, ids, given)
            return perform(client, form, sent, given.get("manner", Manner()), given.get("sure", Sure()), given["look"])

    return command(entry.verb, _sentence(entry.phrase), parameters, run)


def _ids(client: Client, form: Form, names: tuple[str, ...], given: Mapping[str, Any]) -> list[str]:
    if not form.named:
        return []
    if not form.creates:
        return picked(client, form.noun, names, given["pick"])
    found = literal(form.noun, names)
    if not found:
        raise Usage(f"what shall the new {form.noun.plural} be called?", f"ave {form.noun.name} create NAME …")
    return found


def _list(question: Question) -> Callable[..., int]:
    noun = NOUNS[question.noun]
    filters = _filters(noun)
    labelled = "labels" in {field.name for field in msgspec.structs.fields(noun.type)}
    empty: tuple[str, ...] = ()
    label = Annotated[
        tuple[str, ...],
        Parameter(
            name=["--selector", "-l"],
            negative="",
            show_default=False,
            group=_FILTERS,
            help="app=web, tier!=db, app in (a,b), app, !app",
        ),
    ]
    parameters = [
        names_of(noun, "Only these; globs such as 'web-*' too."),
        *(parameter(field, annotation, empty) for field, annotation in filters.items()),
        *([parameter("selector", label, empty)] if labelled else []),
        parameter(
            "q",
            Annotated[str, Parameter(name="-q", show_default=False, group=_FILTERS, help="A part of the name.")],
            "",
        ),
        parameter(
            "limit",
            Annotated[int, Parameter(show_default=False, group=_FILTERS, help="Not more than so many; 0: all.")],
            0,
        ),
        parameter(
            "sort",
            Annotated[
                str,
                Parameter(
                    help="By this column or field; -FIELD: the largest first.",
                    show_default=False,
                    allow_leading_hyphen=True,
                ),
            ],
            "",
        ),
        parameter("watch", _WATCH, False),
        parameter("look", Look, Look()),
        parameter("where", Where, Where()),
    ]

    def run(names: tuple[str, ...], given: dict[str, Any]) -> Exit:
        where = {field: given[field] for field in filters if given[field]}
        asked = Select(
            where=where, label=given.get("selector", ()), q=given["q"], sort=given["sort"], limit=max(given["limit"], 0)
        )
        with conversation(given["where"]) as client:
            return reading.list_(client, noun, names, asked, given["look"], follow=given["watch"])

    return command("list", _sentence(question.phrase), parameters, run)


_WATCH = Annotated[
    bool, Parameter(name=["--watch", "-w"], negative="", show_default=False, help="Go on: a line for whatever changes.")
]


def _filters(noun: Noun) -> dict[str, Any]:
    """A flag for each column that is one word."""
    shown = [field for _, field in (*noun.columns, *noun.wide)]
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(noun.type):
        words = field.type in (str, bool) or (isinstance(field.type, type) and issubclass(field.type, Enum))
        if field.name in shown and words and field.name not in ("id", "why", "what"):
            name = f"--{field.name.replace('_', '-')}"
            known: Any = str
            if field.type is not str:
                known = Literal[("true", "false") if field.type is bool else tuple(each.value for each in field.type)]
            found[field.name] = Annotated[
                tuple[known, ...],
                Parameter(
                    name=name,
                    negative="",
                    show_default=False,
                    group=_FILTERS,
                    completer=completer_of(_named(field.name)),
                ),
            ]
    return found


def _named(field: str) -> str:
    return field if field in NOUNS else ""


def _show(question: Question) -> Callable[..., int]:
    noun = NOUNS[question.noun]
    parameters = [] if noun.only else [names_of(noun, "Which.")]
    parameters += [
        parameter("watch", _WATCH, False),
        parameter("look", Look, Look()),
        parameter("where", Where, Where()),
    ]

    def run(names: tuple[str, ...], given: dict[str, Any]) -> Exit:
        with conversation(given["where"]) as client:
            return reading.show(client, noun, names, given["look"], follow=given["watch"])

    return command("show", _sentence(question.phrase), parameters, run)


def _read(read: Reading, question: Question) -> Callable[..., int]:
    """What is about things by their names, and takes nothing else."""
    noun = NOUNS[question.noun]
    parameters = [names_of(noun, "Which."), parameter("look", Look, Look()), parameter("where", Where, Where())]

    def run(names: tuple[str, ...], given: dict[str, Any]) -> Exit:
        with conversation(given["where"]) as client:
            return read(client, noun, names, given["look"])

    return command(question.verb, _sentence(question.phrase), parameters, run)


def _explain(question: Question) -> Callable[..., int]:
    noun = NOUNS[question.noun]
    flags = tuple(flags_of(ExplainVM, without=("id",)))
    every = Annotated[bool, Parameter(name="--all", negative="", show_default=False, help="Show every host.")]
    parameters = [names_of(noun, "Which; or what a new one would be called."), *of_flags(flags)]
    parameters += [
        parameter("all", every, False),
        parameter("look", Look, Look()),
        parameter("where", Where, Where()),
    ]

    def run(names: tuple[str, ...], given: dict[str, Any]) -> Exit:
        words = literal(noun, names)
        if len(words) != 1:
            raise Usage("one VM", "ave vm ls shows what there is")
        with conversation(given["where"]) as client:
            body = body_of(flags, given)
            return reading.explain(client, noun, words[0], body, given["look"], every_host=given["all"])

    return command("explain-placement", _sentence(question.phrase), parameters, run)


def _wait(names: tuple[str, ...], given: dict[str, Any]) -> Exit:
    from ave.cli.remote.picking import shown
    from ave.cli.remote.waiting import JOB, show_results

    words = literal(JOB, names)
    if not words:
        raise Usage("which Job?", "ave job ls shows what there is")
    with conversation(given["where"]) as client:
        jobs = wait_for(client, [shown(client, JOB, word) for word in words], given["timeout"])
        return show_results(jobs, given["look"], client.now)


def _job_wait() -> Callable[..., int]:
    limit = Annotated[float, Parameter(help="Not longer than so many seconds; the Job goes on. 0: no limit.")]
    parameters = [names_of(NOUNS["job"], "Which."), parameter("timeout", limit, 0.0)]
    parameters += [parameter("look", Look, Look()), parameter("where", Where, Where())]
    return command("wait", "Wait for the end of Jobs.", parameters, _wait)


_BY_REQUEST: Mapping[type[Any], Callable[[Question], Callable[..., int]]] = {Select: _list, ExplainVM: _explain}
_BY_VERB: Mapping[str, Callable[[Question], Callable[..., int]]] = {
    "show": _show,
    "cancel": partial(_read, reading.cancel),
    "log": partial(_read, reading.log),
}


def command_of(entry: Entry) -> Callable[..., int]:
    """A question that is none of the usual ones is asked as a change is: by its fields."""
    if isinstance(entry, Operation):
        return _change(entry)
    return (_BY_REQUEST.get(entry.request) or _BY_VERB.get(entry.verb) or _change)(entry)


def words_of(entry: Entry) -> tuple[str, ...]:
    """What it is called on the command line, its best name first."""
    return VERBS.get(entry.name) or VERBS.get(entry.verb) or (entry.verb,)


def group_of(noun: Noun, name: str) -> App:
    app = App(name=name, help=_sentence("what holds for all of it" if noun.only else f"{noun.plural} of a cluster"))
    for entry in catalogue().values():
        if entry.noun == noun.name:
            app.command(f"{__name__}:{entry.name}", name=words_of(entry), help=_sentence(entry.phrase))
    if noun.name == "job":
        app.command(_job_wait(), name="wait")
    return app


def _sentence(phrase: str) -> str:
    words = phrase.replace("vms", "VMs")
    return f"{words[0].upper()}{words[1:]}."


def _as_virsh(word: str) -> Callable[..., int]:
    entry = catalogue()[VIRSH[word]]
    usual = command_of(entry)
    if word == words_of(entry)[0]:
        return usual

    def saying_so(*names: str, **given: Any) -> int:
        print(f"{word} is ave {entry.noun} {words_of(entry)[0]}", file=sys.stderr)
        return usual(*names, **given)

    saying_so.__name__, saying_so.__doc__ = word, usual.__doc__
    saying_so.__signature__ = inspect.signature(usual)  # type: ignore[attr-defined]
    saying_so.__annotations__ = usual.__annotations__
    return saying_so


def __getattr__(name: str) -> Any:
    """The group of a noun, by any of its names; the command of an entry; or the one that virsh calls so."""
    if name in VIRSH:
        return _as_virsh(name)
    if name in catalogue():
        return command_of(catalogue()[name])
    for noun in NOUNS.values():
        if name in (noun.name, *NOUN_ALIASES.get(noun.name, ())):
            return group_of(noun, name)
    raise AttributeError(name)
