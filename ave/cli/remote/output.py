"""What goes to stdout: the same things as a table for people, and as data for programs, in the shape that the API has."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Group, Parameter

from ave.api.nouns import Column, Noun
from ave.cli.listing import WHOLE, colour, console, new_table
from ave.cli.remote.failures import Usage, meant, printable
from ave.cli.remote.words import cell

FORMATS = ("table", "wide", "json", "yaml", "csv", "name")
STYLED = ("STATE", "RESULT")  # titles of columns that have a colour, which is never all that tells
STYLES: Mapping[str, str] = {
    **dict.fromkeys(("running", "online", "available", "done", "ok"), "green"),
    **dict.fromkeys(("failed", "lost", "fenced", "quarantined"), "red"),
    **dict.fromkeys(("unknown", "suspect", "recovered", "read-only", "cancelled"), "yellow"),
}
_JSONPATH = "jsonpath="
_GROUP = Group("Output", sort_key=20)


def _known(type: Any, value: str) -> None:
    if value not in FORMATS and not value.startswith(_JSONPATH):
        raise ValueError(f"one of {', '.join(FORMATS)}, or jsonpath=EXPRESSION")


@Parameter(name="*", group=_GROUP)
@dataclass(frozen=True)
class Look:
    """How it is shown."""

    output: Annotated[
        str,
        Parameter(
            name=["--output", "-o"],
            validator=_known,
            help="table, wide, json, yaml, csv, name, or jsonpath=EXPRESSION (RFC 9535).",
        ),
    ] = "table"
    columns: Annotated[str, Parameter(help="These columns, with commas: fields of the JSON.", show_default=False)] = ""
    no_headers: Annotated[bool, Parameter(negative="", show_default=False, help="No line of titles.")] = False
    color: Annotated[
        Literal["", "auto", "always", "never"],
        Parameter(show_default=False, help="auto (on a terminal, without NO_COLOR), always or never."),
    ] = ""

    def __post_init__(self) -> None:
        if self.color:
            colour(self.color)

    @property
    def table(self) -> bool:
        return self.output in ("table", "wide")

    @property
    def data(self) -> bool:
        """In the shape that the API has."""
        return self.output not in ("table", "wide", "csv", "name")


def columns_of(noun: Noun, look: Look) -> tuple[Column, ...]:
    """Raises Usage: there is no such field."""
    known = (*noun.columns, *noun.wide)
    if not look.columns:
        return known if look.output in ("wide", "csv") else noun.columns
    return tuple(_column(noun, word.strip(), known) for word in look.columns.split(","))


def _column(noun: Noun, word: str, known: Sequence[Column]) -> Column:
    field = field_of(noun, word)
    return next((column for column in known if column[1] == field), (field.upper().replace("_", " "), field))


def field_of(noun: Noun, word: str) -> str:
    """The field that a word is for: the title of its column, or its own name. Raises Usage."""
    titles = {title.lower(): field for title, field in (*noun.columns, *noun.wide)}
    fields = [each.name for each in msgspec.structs.fields(noun.type) if each.name not in noun.hidden]
    if word.lower() in titles:  # first: NAME is what a thing is known by, and a VM has a field called name too
        return titles[word.lower()]
    if word in fields:
        return word
    raise Usage(
        f"{noun.plural} have no field {word}", meant(word, [*fields, *titles]) or f"there are {', '.join(fields)}"
    )


def show_list(noun: Noun, docs: Sequence[Mapping[str, Any]], look: Look, now: float) -> None:
    """As the API's page if it is data."""
    if not look.data:
        show_rows(noun, docs, look, now)
    else:
        show_data({"items": list(docs), "next_page_token": "", "total": len(docs)}, look)


def show_one(noun: Noun, doc: Mapping[str, Any], look: Look, now: float, *, hide: tuple[str, ...] = ()) -> None:
    """Everything of one, a line for each field."""
    if look.output == "table" and not look.columns:
        table = new_table("FIELD", "VALUE")
        table.show_header = False
        for field, value in doc.items():
            if field not in hide:
                text = "\n".join(value) if field == "story" else cell(field, value, now)
                table.add_row(plain(field), plain(text))
        to_console(table)
    elif not look.data:
        show_rows(noun, (doc,), look, now)
    else:
        show_data(doc, look)


def show_rows(noun: Noun, docs: Sequence[Mapping[str, Any]], look: Look, now: float) -> None:
    if look.output == "name":
        for doc in docs:
            print(f"{noun.name}/{doc['id']}")
        return
    columns = columns_of(noun, look)
    if look.output == "csv":
        show_csv([field for _, field in columns], docs, look)
        return
    rows = [[cell(field, doc.get(field), now) for _, field in columns] for doc in docs]
    show_table([title for title, _ in columns], rows, look)


def show_table(titles: Sequence[str], rows: Iterable[Sequence[str]], look: Look) -> None:
    table = new_table(*titles)
    table.show_header = not look.no_headers
    for row in rows:
        styles = (STYLES.get(text, "") if title in STYLED else "" for title, text in zip(titles, row, strict=True))
        table.add_row(*(plain(text, style) for text, style in zip(row, styles, strict=True)))
    if table.row_count or table.show_header:
        to_console(table)


def show_csv(fields: Sequence[str], docs: Iterable[Mapping[str, Any]], look: Look) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if not look.no_headers:
        writer.writerow(fields)
    for doc in docs:
        writer.writerow([_flat(doc.get(field)) for field in fields])
    sys.stdout.write(text.getvalue())


def _flat(value: Any) -> Any:
    if isinstance(value, list):
        return ",".join(str(each) for each in value)
    if isinstance(value, Mapping):
        return ",".join(f"{key}={each}" for key, each in value.items())
    return str(value).lower() if isinstance(value, bool) else value


def show_data(value: Any, look: Look) -> None:
    """Raises Usage: an expression that is none."""
    if look.output.startswith(_JSONPATH):
        for found in _found(look.output.removeprefix(_JSONPATH), value):
            print(found if isinstance(found, str) else msgspec.json.encode(found).decode())
    elif look.output == "yaml":
        import yaml

        sys.stdout.write(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))
    else:
        print(msgspec.json.format(msgspec.json.encode(value), indent=1).decode())


def _found(expression: str, value: Any) -> list[Any]:
    """``{.items[*].id}``, as kubectl writes it, is understood too."""
    import jsonpath

    try:
        return jsonpath.findall(expression.strip().removeprefix("{").removesuffix("}"), value)
    except jsonpath.JSONPathError as error:
        raise Usage(f"jsonpath: {error}", "as jsonpath=$.items[*].id") from None


def plain(text: str, style: str = "") -> Any:
    """Not markup, whatever it looks like."""
    from rich.text import Text

    return Text(printable(text), style)


def to_console(table: Any) -> None:
    console(WHOLE).print(table)
