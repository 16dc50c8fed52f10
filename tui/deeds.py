"""What can be done to things: a row for each operation of the catalogue that the dashboard offers.

What an operation asks for beyond names is typed in one line, in the words of the command line: ``cpus=4 memory=8GiB``.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple, get_origin

from ave.api.routes import catalogue
from ave.cli.remote.failures import Usage, meant
from tui.asking import form


class Deed(NamedTuple):
    """``letter``: in the menu. ``states``: in which it makes sense; () is any. ``asks``: is it confirmed even for one?
    ``line``: what stands in the line that is typed into at first; None: nothing can be said."""

    name: str
    letter: str
    states: tuple[str, ...] = ()
    asks: bool = False
    line: str | None = None
    hint: str = ""

    @property
    def noun(self) -> str:
        return self.name.partition(".")[0]

    @property
    def verb(self) -> str:
        return self.name.partition(".")[2]

    @property
    def phrase(self) -> str:
        return str(catalogue()[self.name].phrase)

    @property
    def destroys(self) -> bool:
        return bool(form(self.name).destroys)


DEEDS: tuple[Deed, ...] = (
    Deed("vm.start", "s", ("stopped",)),
    Deed("vm.shutdown", "x", ("running",)),
    Deed("vm.restart", "r", ("running",), asks=True),
    Deed(
        "vm.migrate",
        "t",
        ("running", "stopped"),
        asks=True,
        line="",
        hint="host=host-2, or nothing: the scheduler chooses",
    ),
    Deed("vm.suspend", "z", ("running",)),
    Deed("vm.resume", "u", ("suspended",)),
    Deed("vm.edit", "e", (), asks=True, line="", hint="cpus=4 memory=8GiB priority=high ha=no label=app=web"),
    Deed("vm.poweroff", "o", ("running", "suspended", "starting", "unknown"), asks=True),
    Deed("vm.reset", "R", ("running",), asks=True),
    Deed("vm.delete", "d", ("stopped", "creating"), asks=True),
    Deed(
        "host.enter-maintenance",
        "x",
        ("online", "unmanaged", "suspect", "joining", "quarantined", "read-only"),
        asks=True,
    ),
    Deed(
        "host.exit-maintenance",
        "u",
        ("maintenance", "entering-maintenance"),
        asks=True,
        line="",
        hint="bring-back=yes brings its VMs back",
    ),
    Deed("job.cancel", "x", ("queued", "ready", "running", "waiting"), asks=True),
    Deed("volume.grow", "w", ("ready",), asks=True, line="", hint="size=40GiB"),
    Deed("volume.delete", "d", (), asks=True),
    Deed("group.enable", "u", ("disabled",)),
    Deed("group.disable", "x", ("enabled",), asks=True),
    Deed("group.repair", "t", ("enabled",), asks=True),
    Deed("group.edit", "e", (), asks=True, line="", hint="rule=must-different-hosts vm=web-1 vm=web-2"),
    Deed("group.delete", "d", (), asks=True),
)


def of_noun(noun: str) -> tuple[Deed, ...]:
    return tuple(deed for deed in DEEDS if deed.noun == noun)


def find(noun: str, verb: str) -> Deed | None:
    return next((deed for deed in DEEDS if deed.noun == noun and deed.verb == verb), None)


def suits(deed: Deed, doc: Mapping[str, Any] | None) -> str:
    """ "" if it makes sense for that thing as it is now, else why not."""
    if doc is None:
        return "is gone"
    state = str(doc.get("state", ""))
    if deed.states and state not in deed.states:
        return f"is {state}"
    return ""


def at_first(deed: Deed, docs: Sequence[Mapping[str, Any]]) -> str:
    """What stands in the line to begin with: a group is told as a whole, so it is all that it is now."""
    if deed.name == "group.edit" and len(docs) == 1:
        (doc,) = docs
        said = [f"rule={doc['rule']}", *(f"vm={id}" for id in doc["vms"]), *(f"host={id}" for id in doc["hosts"])]
        return shlex.join([*said, *([f"zone={doc['zone']}"] if doc["zone"] else [])])
    return deed.line or ""


def given_of(deed: Deed, line: str) -> dict[str, Any]:
    """What was typed, by the variables of the flags. Raises Usage."""
    flags = {flag.name.removeprefix("--"): flag for flag in form(deed.name).flags}
    given: dict[str, Any] = {}
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise Usage(f"{line[:40]}: {error}", deed.hint) from None
    for word in words:
        name, equals, value = word.partition("=")
        flag = flags.get(name.removeprefix("--"))
        if flag is None or not equals:
            known = list(flags)
            raise Usage(
                f"{name[:40]} is nothing that can be said here",
                meant(name, known) or f"write {', '.join(f'{each}=…' for each in known)}",
            )
        of = flag.kind
        if get_origin(of) in (tuple, dict):
            given[flag.variable] = (*given.get(flag.variable, ()), *([value] if value else []))
        elif of is bool:
            given[flag.variable] = _yes(name, value)
        elif of in (int, float) and not _is_size(flag.field):
            given[flag.variable] = _number(of, name, value)
        elif isinstance(of, type) and issubclass(of, Enum):
            given[flag.variable] = _one_of(name, value, [each.value for each in of])
        else:
            given[flag.variable] = value
    for flag in flags.values():
        if flag.required and flag.variable not in given:
            raise Usage(f"{flag.name.removeprefix('--')}=… is needed", deed.hint)
    return given


def _is_size(field: str) -> bool:
    from ave.cli.remote.words import unit_of

    return bool(unit_of(field))


def _one_of(name: str, value: str, known: Sequence[str]) -> str:
    if value in known:
        return value
    raise Usage(f"{name}={value[:30]} cannot be", meant(value, known) or f"one of {', '.join(known)}")


def _yes(name: str, value: str) -> bool:
    if value.lower() in ("yes", "y", "true", "on", "1"):
        return True
    if value.lower() in ("no", "n", "false", "off", "0"):
        return False
    raise Usage(f"{name}={value[:20]}: yes or no")


def _number(kind: Any, name: str, value: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise Usage(f"{name}={value[:20]}: a number") from None


__all__ = ["DEEDS", "Deed", "at_first", "find", "given_of", "of_noun", "suits"]
