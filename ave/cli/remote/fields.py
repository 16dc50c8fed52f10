"""Flags, derived from the fields of a request. A field of a new operation gets its flag here, and no line anywhere else."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from cyclopts import Parameter

from ave.api.nouns import NOUNS
from ave.cli.remote.secrets import secret
from ave.cli.remote.words import iec, pairs, size, struct, unit_of

# Nicer words than what the name of a field gives, and what a field is for where its name does not say it.
_NAMES: Mapping[str, str] = {"vcpus": "cpus"}
_HELP: Mapping[str, str] = {
    "disks_gib": "one more volume of this size",
    "networks": "one more NIC, in this network",
    "cpu_model": "hosts with this CPU model or a newer one",
    "ha": "bring it back if its host dies",
    "priority": "who is brought back first",
    "name": "for people",
    "pinned": "with CPUs for it alone",
    "groups": "put it into this placement group",
    "start": "start it at once",
    "host": "on this host, and not on one that the scheduler chooses",
    "seconds": "how long the guest has to shut down",
    "cdrom": "this volume in the CD-ROM drive; '': nothing",
    "attach": "this volume, to those that it has",
    "detach": "this volume no more; it is kept",
    "size_gib": "how large it is, or shall be",
    "check_only": "only say where its VMs would go, or what is in the way",
    "bring_back": "the VMs that were moved away for it",
    "vlan": "its VLAN",
    "grants": "a role on a path",
    "disabled": "shut out",
    "days": "that it is good for; 0: for ever",
    "trunk": "one more VLAN of a trunk",
    "network_failure": "do VMs leave a host where a network of theirs carries nothing?",
    "guest_failure": "is a VM started again when nothing is heard of its guest?",
    "vms": "how many VMs it may have; 0: no limit",
    "volumes_gib": "how large its volumes may be together; 0: no limit",
    "purpose": "what its state suggests if absent",
}


_EXAMPLES: Mapping[int, str] = {2**10: "64KiB", 2**20: "4GiB", 2**30: "20GiB"}  # of sizes, by their unit


class Flag(msgspec.Struct, frozen=True):
    """``path``: where its value goes in the body."""

    path: tuple[str, ...]
    kind: Any  # its type, without UNSET and None
    required: bool
    default: Any  # UNSET: absent means that it stays as it is
    clears: bool  # may an empty list be said?

    @property
    def field(self) -> str:
        return self.path[-1]

    @property
    def name(self) -> str:
        """``memory_mib`` is ``--memory``, and of ``networks`` there is one ``--network`` for each."""
        field = self.field
        if unit_of(field):
            field = field.rpartition("_")[0]
        if get_origin(self.kind) in (tuple, dict):
            field = field.removesuffix("s")
        if self.secret:
            field += "_file"
        return "--" + _NAMES.get(field, field).replace("_", "-")

    @property
    def secret(self) -> bool:
        """It is never said on the command line, which everybody on this machine can read."""
        return self.field.endswith("password")

    @property
    def variable(self) -> str:
        return "__".join(self.path)

    @property
    def annotation(self) -> Any:
        origin = get_origin(self.kind)
        if origin is dict:
            value: Any = tuple[str, ...]
        elif origin is tuple:
            value = tuple[self._of(get_args(self.kind)[0]), ...]  # type: ignore[misc]  # it is a type, found only now
        else:
            value = self._of(self.kind)
        negative = None if self.kind is bool or (self.clears and origin in (tuple, dict)) else ""
        return Annotated[
            value if self.required and not self.secret else value | None,
            Parameter(
                name=self.name,
                negative=negative,
                help=self.help,
                completer=completer_of(self.noun),
                allow_leading_hyphen=self.secret,  # - is stdin
            ),
        ]

    def _of(self, kind: Any) -> Any:
        if unit_of(self.field):
            return str
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return str
        if isinstance(kind, type) and issubclass(kind, Enum):
            return Literal[tuple(each.value for each in kind)]
        return kind

    @property
    def noun(self) -> str:
        """What it names, if it names something that there is: for completion."""
        word = self.name.removeprefix("--")
        return {"attach": "volume", "detach": "volume", "cdrom": "volume"}.get(word, word if word in NOUNS else "")

    @property
    def help(self) -> str:
        said = [_HELP[self.field]] if self.field in _HELP else []
        if self.secret:
            said.append("a file whose first line it is, - for stdin; else it is asked for")
        origin = get_origin(self.kind)
        if unit := unit_of(self.field):
            said.append(f"a size, as {_EXAMPLES[unit]}")
        if origin is dict:
            said.append("key=value")
        if self._parts:
            said.append(",".join(f"{part}=…" for part in self._parts))
        if origin in (tuple, dict):
            said.append("may be repeated")
        if not self.required and self.default not in (msgspec.UNSET, (), {}, "", None):
            said.append(f"[default: {self._shown(self.default)}]")
        return "; ".join(said)

    def _shown(self, value: Any) -> str:
        if isinstance(value, tuple):
            return ",".join(self._shown(each) for each in value)
        if isinstance(value, bool):
            return "yes" if value else "no"
        if unit := unit_of(self.field):
            return iec(value * unit)
        return str(value.value if isinstance(value, Enum) else value)

    def said(self, value: Any) -> Any:
        """The value as it stands in the body. Raises Usage."""
        if self.secret:
            return secret(value, self.field.replace("_", " "), self.name)
        if get_origin(self.kind) is dict:
            return pairs(value, self.name)
        if unit := unit_of(self.field):
            if isinstance(value, tuple):
                return [size(each, unit, self.name) for each in value]
            return size(value, unit, self.name)
        if self._parts:
            return [struct(each, self._parts, self.name) for each in value]
        return value

    @property
    def _parts(self) -> tuple[str, ...]:
        """The fields of what there are several of, if that is a struct."""
        inner = next(iter(get_args(self.kind)), None)
        if not (isinstance(inner, type) and issubclass(inner, msgspec.Struct)):
            return ()
        return tuple(field.name for field in msgspec.structs.fields(inner))


def completer_of(noun: str) -> Any:
    if not noun:
        return None
    from functools import partial

    from ave.cli.remote.completing import names

    return partial(names, noun)


def flags_of(
    request: type[Any], *, without: tuple[str, ...] = (), at: tuple[str, ...] = (), optional: bool = False
) -> Iterator[Flag]:
    """One for each field; those of a struct in a field stand beside them. ``optional``: the whole of it may be absent."""
    for field in msgspec.structs.fields(request):
        if field.name in without:
            continue
        bare, unset = _bare(field.type)
        default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory
        if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
            yield from flags_of(bare, without=without, at=(*at, field.name), optional=optional or not field.required)
            continue
        default = default() if callable(default) else default
        yield Flag(
            path=(*at, field.name),
            kind=bare,
            required=field.required and not optional,
            default=msgspec.UNSET if default is msgspec.NODEFAULT else default,
            clears=unset,
        )


def _bare(kind: Any) -> tuple[Any, bool]:
    """A type without UNSET and None, and whether it had one of them."""
    if get_origin(kind) in (Union, types.UnionType):
        rest = [each for each in get_args(kind) if each not in (msgspec.UnsetType, types.NoneType)]
        return rest[0], True
    return kind, False


def body_of(flags: tuple[Flag, ...], given: Mapping[str, Any]) -> dict[str, Any]:
    """What was said, as JSON; what was not said is not there. Raises Usage."""
    body: dict[str, Any] = {}
    for flag in flags:
        value = given.get(flag.variable)
        if value is None and flag.secret and flag.required:
            value = ""
        if value is None:
            continue
        place = body
        for step in flag.path[:-1]:
            place = place.setdefault(step, {})
        place[flag.field] = flag.said(value)
    return body
