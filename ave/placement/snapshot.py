"""A cluster on paper: hosts, zones, groups and VMs as one document, to ask about placements without a cluster.

The document comes as plain data, from whatever text it was written in. All its mistakes are found at once, each with its
place, the object and the field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import EnumType
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta
from msgspec.structs import asdict, fields

from ave.errors import Refused
from ave.model.group import Aspect, Group, GroupState, Rule
from ave.model.host import Host, HostState, Zone
from ave.model.vm import VM, Priority, VMState
from ave.placement.view import View

API_VERSION: Final = "ave/v1"
KIND: Final = "Snapshot"
SCHEMA: Final = 1  # grows with every change that an older reader would misread
MOST_MIB: Final = 1 << 40  # sums of many such sizes still fit into the columns of a view

_SIZE: Final = r"^[0-9]+(MiB|GiB|TiB)$"
_MIB: Final = {"MiB": 1, "GiB": 1 << 10, "TiB": 1 << 20}
_AS_SIZE: Final = "such as 64GiB, 512MiB or a whole number of MiB"

Name = Annotated[str, Meta(min_length=1, max_length=255)]
Count = Annotated[int, Meta(ge=0, le=1 << 20)]
Some = Annotated[int, Meta(ge=1, le=1 << 20)]
Size = Annotated[int, Meta(ge=1, le=MOST_MIB, description="MiB")] | Annotated[str, Meta(pattern=_SIZE)]
Part = Annotated[int, Meta(ge=0, le=MOST_MIB, description="MiB")] | Annotated[str, Meta(pattern=_SIZE)]
Names = tuple[Name, ...]


class HostEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Name
    cpus: Some
    memory: Size
    reserve: Part = 0
    state: HostState = HostState.ONLINE
    zone: str = ""
    cpu_model: Name = "any"
    networks: Names = ()
    exclusive_cpus: Count = 0
    nics_max: Count = 0
    volumes_max: Count = 0


class ZoneEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Name
    primary: bool = False


class GroupEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Name
    rule: Rule
    vms: Names = ()
    hosts: Names = ()
    zone: str = ""
    state: GroupState = GroupState.ENABLED


class VMEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Name
    vcpus: Some
    memory: Size
    host: str = ""
    reserved: str = ""
    state: VMState | None = None  # running if it has a host, else stopped
    cpu_model: Name = "any"
    networks: Names = ()
    volumes: Names = ()
    cdrom: str = ""
    pinned: bool = False
    unpinned: bool = False
    priority: Priority = Priority.MEDIUM


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file as it is written."""

    apiVersion: Literal["ave/v1"]
    kind: Literal["Snapshot"]
    schema: Annotated[int, Meta(ge=1, le=SCHEMA)] = SCHEMA
    hosts: tuple[HostEntry, ...] = ()
    zones: tuple[ZoneEntry, ...] = ()
    groups: tuple[GroupEntry, ...] = ()
    vms: tuple[VMEntry, ...] = ()


class Mistake(msgspec.Struct, frozen=True):
    path: str  # "groups[0].hosts[1]"
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}" if self.path else self.what


class BadSnapshot(Refused):
    """Carries every mistake, in the order of the document."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__(mistakes)
        self.mistakes = tuple(mistakes)

    def __str__(self) -> str:
        return "\n".join(map(str, self.mistakes))


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    hosts: tuple[Host, ...] = ()
    zones: tuple[Zone, ...] = ()
    groups: tuple[Group, ...] = ()
    vms: tuple[VM, ...] = ()

    def view(self) -> View:
        made = View()
        for zone in self.zones:
            made.put_zone(zone)
        for group in self.groups:
            made.bonds.put(group)
        for host in self.hosts:
            made.put_host(host)
        for vm in self.vms:
            made.put_vm(vm)
        return made

    def vm(self, id: str) -> VM:
        found = next((vm for vm in self.vms if vm.id == id), None)
        if found is None:
            raise Refused(f"there is no VM {id} in the snapshot")
        return found


def read(raw: object, coming: Iterable[str] = ()) -> Snapshot:
    """The snapshot, or BadSnapshot. ``coming``: VMs that are not in it, and that its groups may name all the same."""
    found = _Reader()
    found.read(raw)
    found.ids["vms"] |= dict.fromkeys(coming, -1)
    for check in CHECKS:
        found.mistakes += check(found)
    if found.mistakes:
        raise BadSnapshot(found.mistakes)
    return Snapshot(
        hosts=tuple(map(_host, found.hosts.values())),
        zones=tuple(Zone(id=zone.id, primary=zone.primary) for zone in found.zones.values()),
        groups=tuple(Group(**asdict(group)) for group in found.groups.values()),
        vms=tuple(map(_vm, found.vms.values())),
    )


def written(snapshot: Snapshot) -> dict[str, Any]:
    """As plain data, without what is as usual; reading it gives the same snapshot."""
    lists = {
        "hosts": [_entry(HostEntry, host, memory=host.memory_mib, reserve=host.reserve_mib) for host in snapshot.hosts],
        "zones": [_entry(ZoneEntry, zone) for zone in snapshot.zones],
        "groups": [_entry(GroupEntry, group) for group in snapshot.groups],
        "vms": [_entry(VMEntry, vm, memory=vm.memory_mib) for vm in snapshot.vms],
    }
    head = {"apiVersion": API_VERSION, "kind": KIND, "schema": SCHEMA}
    return head | {name: entries for name, entries in lists.items() if entries}


def mib(size: int | str) -> int:
    """``64GiB``, ``512MiB`` or MiB. Raises ValueError with the words for a message."""
    if isinstance(size, int) and not isinstance(size, bool):
        return size
    if not isinstance(size, str) or not (found := re.fullmatch(r"([0-9]{1,15})([MGT]iB)", size)):
        raise ValueError(f"must be a size {_AS_SIZE}")
    return int(found[1]) * _MIB[found[2]]


def _entry(type: Any, of: Any, **facts: object) -> dict[str, Any]:
    """Its fields that are not as usual, in the order of the type."""
    values = {field.name: facts.get(field.name, getattr(of, field.name, field.default)) for field in fields(type)}
    usual = {field.name: None if field.required else field.default for field in fields(type)}
    made: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(values))
    return {name: value for name, value in made.items() if values[name] != usual[name]}


def _host(entry: HostEntry) -> Host:
    facts = asdict(entry)
    return Host(memory_mib=mib(facts.pop("memory")), reserve_mib=mib(facts.pop("reserve")), **facts)


def _vm(entry: VMEntry) -> VM:
    facts = asdict(entry) | {"state": entry.state or (VMState.RUNNING if entry.host else VMState.STOPPED)}
    return VM(memory_mib=mib(facts.pop("memory")), **facts)


# Reading: one field after the other, so that one mistake hides no other.

_E = TypeVar("_E")
_LISTS: Final = ("hosts", "zones", "groups", "vms")
_LEAST: Final = {"memory": 1, "reserve": 0}


class _Reader:
    """What could be read, by its number in the file, and what could not."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self.ids: dict[str, dict[str, int]] = {name: {} for name in _LISTS}  # also of entries with mistakes
        self.hosts: dict[int, HostEntry] = {}
        self.zones: dict[int, ZoneEntry] = {}
        self.groups: dict[int, GroupEntry] = {}
        self.vms: dict[int, VMEntry] = {}

    def read(self, raw: object) -> None:
        if not isinstance(raw, dict):
            self._wrong("", f"a snapshot is a mapping: apiVersion: {API_VERSION}, kind: {KIND}, hosts: […], vms: […]")
            return
        schema = raw.get("schema", SCHEMA)
        if isinstance(schema, int) and schema > SCHEMA:
            self._wrong("schema", f"{schema} is newer than {SCHEMA}, the newest that this ave reads: use a newer ave")
            return
        self._entry(Document, {key: value for key, value in raw.items() if key not in _LISTS}, "")
        self.hosts = self._list(raw, "hosts", HostEntry)
        self.zones = self._list(raw, "zones", ZoneEntry)
        self.groups = self._list(raw, "groups", GroupEntry)
        self.vms = self._list(raw, "vms", VMEntry)

    def _list(self, raw: dict[str, Any], name: str, entry: type[_E]) -> dict[int, _E]:
        given, read = raw.get(name) or [], {}
        if not isinstance(given, list):
            self._wrong(name, "must be a list")
            return {}
        for number, each in enumerate(given):
            path = f"{name}[{number}]"
            made = self._entry(entry, each, path)
            if made is not None:
                read[number] = made
            id = each.get("id") if isinstance(each, dict) else None
            if isinstance(id, str) and self.ids[name].setdefault(id, number) != number:
                self._wrong(f"{path}.id", f"{id} is already {name}[{self.ids[name][id]}]")
        return read

    def _entry(self, type: type[_E], raw: object, path: str) -> _E | None:
        if not isinstance(raw, dict):
            self._wrong(path, "must be a mapping")
            return None
        try:  # much faster than field by field, which is for entries with mistakes
            whole = msgspec.convert(raw, type)
            if all(least <= mib(getattr(whole, name, least)) <= MOST_MIB for name, least in _LEAST.items()):
                return whole
        except ValueError:
            pass  # told below, field by field
        before = len(self.mistakes)
        known = {field.name: field for field in fields(type)}  # type: ignore[arg-type]
        of = f"{raw['id']}: " if isinstance(raw.get("id"), str) else ""
        dot = f"{path}." if path else ""
        for key in raw:
            if key not in known:
                self._wrong(f"{dot}{key}", f"{of}unknown key; known are {', '.join(known)}")
        made: dict[str, Any] = {}
        for name, field in known.items():
            if name in raw:
                try:
                    made[name] = _value(name, field.type, raw[name])
                except ValueError as error:  # which msgspec's errors are
                    what, _, where = str(error).partition(" - at `$")
                    self._wrong(f"{dot}{name}{where.rstrip('`')}", f"{of}{_words(what, field.type, raw[name])}")
            elif field.required:
                self._wrong(f"{dot}{name}", f"{of}is missing")
        return type(**made) if len(self.mistakes) == before else None

    def _wrong(self, path: str, what: str) -> None:
        self.mistakes.append(Mistake(path, what))


def _value(name: str, type: Any, given: Any) -> Any:
    if name in _LEAST:
        size = mib(given)
        if not _LEAST[name] <= size <= MOST_MIB:
            raise ValueError(f"must be from {_LEAST[name]} to {MOST_MIB:,} MiB")
        return size
    return msgspec.convert(given, type)


def _words(what: str, type: Any, given: object) -> str:
    what = what.replace("`", "").replace("Expected", "expected")
    if what.startswith("Invalid enum"):
        parts = get_args(type) or (type,)
        choices = [str(value) for part in parts for value in (part if isinstance(part, EnumType) else [part])]
        what = f"must be one of {', '.join(choice for choice in choices if 'NoneType' not in choice)}"
    return what if "got" in what or not isinstance(given, int | str) else f"{what}, not {given!r}"


# What must hold between the entries


def _hosts_are_sound(of: _Reader) -> Iterator[Mistake]:
    for number, host in of.hosts.items():
        path = f"hosts[{number}]"
        if mib(host.reserve) >= mib(host.memory):
            yield Mistake(f"{path}.reserve", f"{host.id}: keeps all of its memory for itself")
        if host.exclusive_cpus > host.cpus:
            yield Mistake(f"{path}.exclusive_cpus", f"{host.id}: {host.exclusive_cpus:,} of {host.cpus:,} CPUs")
        if host.zone and of.zones and host.zone not in of.ids["zones"]:
            yield Mistake(f"{path}.zone", f"{host.id}: there is no zone {host.zone}")


def _groups_make_sense(of: _Reader) -> Iterator[Mistake]:
    zones = of.ids["zones"] or {host.zone for host in of.hosts.values()}
    for number, group in of.groups.items():
        path, aspect = f"groups[{number}]", group.rule.aspect
        if group.hosts and group.zone:
            yield Mistake(path, f"{group.id}: names hosts and a zone: one policy has either")
        elif aspect in (Aspect.HOSTS, Aspect.NOT_HOSTS) and not group.hosts:
            yield Mistake(f"{path}.hosts", f"{group.id}: {group.rule} needs hosts")
        elif aspect is Aspect.ZONE and not group.zone:
            yield Mistake(f"{path}.zone", f"{group.id}: {group.rule} needs a zone")
        elif aspect in (Aspect.SAME_HOST, Aspect.DIFFERENT_HOSTS) and (group.hosts or group.zone):
            yield Mistake(path, f"{group.id}: {group.rule} names neither hosts nor a zone")
        if group.zone and group.zone not in zones:
            yield Mistake(f"{path}.zone", f"{group.id}: there is no zone {group.zone}")
        for field, noun in (("hosts", "host"), ("vms", "VM")):
            named: tuple[str, ...] = getattr(group, field)
            seen: dict[str, None] = {}
            for place, name in enumerate(named):
                if name not in of.ids[field]:
                    yield Mistake(f"{path}.{field}[{place}]", f"{group.id}: there is no {noun} {name}")
                elif name in seen:
                    yield Mistake(f"{path}.{field}[{place}]", f"{group.id}: names {name} twice")
                seen[name] = None


def _vms_are_somewhere(of: _Reader) -> Iterator[Mistake]:
    for number, vm in of.vms.items():
        for field, host in (("host", vm.host), ("reserved", vm.reserved)):
            if host and host not in of.ids["hosts"]:
                yield Mistake(f"vms[{number}].{field}", f"{vm.id}: there is no host {host}")
        if not vm.host and vm.state is not None and _vm(vm).holds_memory:
            yield Mistake(f"vms[{number}].host", f"{vm.id}: is {vm.state}, which it can be only on a host")


def _rules_can_be_kept(of: _Reader) -> list[Mistake]:
    """Asked only of what is sound: with a host left out, rules seem to contradict each other."""
    if of.mistakes or not of.hosts or not of.groups:
        return []
    from ave.placement.contradictions import contradictions  # with a library that is slow to load

    groups = [Group(**asdict(group)) for group in of.groups.values()]
    return [Mistake("groups", text) for text in contradictions(groups, map(_host, of.hosts.values()))]


# A further check of the whole is one more line.
CHECKS: Final[tuple[Callable[[_Reader], Iterable[Mistake]], ...]] = (
    _hosts_are_sound,
    _groups_make_sense,
    _vms_are_somewhere,
    _rules_can_be_kept,
)
