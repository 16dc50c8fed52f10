"""What commands take: parameters put together at run time, and a function that says of itself that it takes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass
from typing import Annotated, Any, get_type_hints

from cyclopts import Group, Parameter

from ave.api.nouns import Noun
from ave.cli.remote import completing
from ave.cli.remote.connection import Client, connect
from ave.cli.remote.failures import Exit, Failure, Usage, complain, meant
from ave.cli.remote.fields import Flag, completer_of


@Parameter(name="*", group=Group("Cluster", sort_key=30))
@dataclass(frozen=True)
class Where:
    context: Annotated[
        str,
        Parameter(
            show_default=False,
            completer=completing.contexts,
            help="Which cluster, instead of AVE_CONTEXT or the current one: ave context ls.",
        ),
    ] = ""


@contextmanager
def conversation(where: Where) -> Iterator[Client]:
    with connect(where.context) as client:
        yield client


def ending(work: Callable[[], Exit]) -> int:
    """The exit code of what a command does."""
    try:
        return int(work())
    except Failure as failure:
        return int(complain(failure))
    except KeyboardInterrupt:
        return int(Exit.INTERRUPTED)


def parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def names_of(noun: Noun, help: str) -> inspect.Parameter:
    annotation = Annotated[
        str, Parameter(name="NAME", allow_leading_hyphen=True, help=help, completer=completer_of(noun.name))
    ]
    return inspect.Parameter("names", inspect.Parameter.VAR_POSITIONAL, annotation=annotation)


def command(name: str, help: str, parameters: list[inspect.Parameter], run: Callable[..., Exit]) -> Callable[..., int]:
    """A function that says of itself what it takes. What was not said is as its default says."""
    defaults = {each.name: each.default for each in parameters if each.default is not inspect.Parameter.empty}

    def called(*names: str, **given: Any) -> int:
        return ending(lambda: run(_no_options(names, parameters), {**defaults, **given}))

    called.__name__, called.__doc__ = name.replace("-", "_"), help
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {each.name: each.annotation for each in parameters}
    return called


def _no_options(names: tuple[str, ...], parameters: list[inspect.Parameter]) -> tuple[str, ...]:
    """A name may be ``-``, and so anything that begins like an option came through as a name. Raises Usage."""
    for name in names:
        if name.startswith("-") and name != "-":
            known = [option for each in parameters for option in _options(each.annotation, each.name)]
            raise Usage(f"unknown option {name}", meant(name, known) or "--help shows them")
    return names


def _options(annotation: Any, name: str) -> list[str]:
    if is_dataclass(annotation):
        hints = get_type_hints(annotation, include_extras=True)
        return [option for field, hint in hints.items() for option in _options(hint, field)]
    said = next((each.name for each in getattr(annotation, "__metadata__", ()) if isinstance(each, Parameter)), ())
    return [option for option in said or (f"--{name.replace('_', '-')}",) if option.startswith("-")]


def of_flags(flags: tuple[Flag, ...]) -> list[inspect.Parameter]:
    ordered = sorted(flags, key=lambda flag: not flag.required)
    empty = inspect.Parameter.empty
    needed = [flag.required and not flag.secret for flag in ordered]
    return [
        parameter(flag.variable, flag.annotation, empty if must else None)
        for flag, must in zip(ordered, needed, strict=True)
    ]
