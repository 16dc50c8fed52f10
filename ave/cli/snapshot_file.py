"""Snapshot files and VMs as they are given on the command line, with mistakes told by line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ave.errors import Refused
from ave.model.group import Group
from ave.model.host import Host, Zone
from ave.model.vm import VM
from ave.placement.batch import require_size
from ave.placement.snapshot import MOST_MIB, BadSnapshot, Snapshot, mib, read, written

MOST_BYTES = 1 << 28
MOST_NODES = 5_000_000
_KEYS = "name, vcpus, memory, cpu-model, network, volume, group, pinned and host"


def load(path: Path, coming: Iterable[str] = ()) -> Snapshot:
    """Raises Refused with a line per mistake. JSON is read as such: it is much faster, and as large as clusters get."""
    if path.suffix == ".json":
        return _load_json(path, coming)
    from sim.scenario import nodes

    document = nodes.read(path, nodes.Limits(MOST_BYTES, MOST_NODES))
    told = [(problem.line, problem.col, str(problem)) for problem in document.repeated]
    try:
        snapshot = read(nodes.plain(document.root), coming)
    except BadSnapshot as bad:
        for mistake in bad.mistakes:
            line, col = nodes.place_of(document.root, mistake.path)
            told.append((line, col, f"{path}:{line}:{col} {mistake}"))
    if told:
        raise Refused("\n".join(line for _, _, line in sorted(told)))
    return snapshot


def _load_json(path: Path, coming: Iterable[str]) -> Snapshot:
    try:
        return read(msgspec.json.decode(path.read_bytes()), coming)
    except OSError as error:
        raise Refused(f"{path}: cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: {error}") from None
    except BadSnapshot as bad:
        raise Refused("\n".join(f"{path}: {mistake}" for mistake in bad.mistakes)) from None


def text(snapshot: Snapshot) -> str:
    """As YAML that ``load`` reads, one line per object."""
    lines = []
    for key, value in written(snapshot).items():
        if isinstance(value, list):
            lines += [f"{key}:", *(f"  - {_flow(entry)}" for entry in value)]
        else:
            lines.append(f"{key}: {value}")
    return "\n".join(lines) + "\n"


def live(url: str, config: Path | None) -> Snapshot:
    """The cluster as its store has it now. Refused if there is none, Unavailable if it does not answer."""
    import asyncio
    import os

    from drivers.asyncio_runtime import AsyncioRuntime
    from drivers.config import load_store
    from drivers.stores import open_store
    from drivers.urls import SQLITE

    found = load_store(config, os.environ, url)
    if found.url.startswith(SQLITE) and not Path(found.url.removeprefix(SQLITE)).is_file():
        raise Refused(f"there is no store {found.url}")

    async def read() -> Snapshot:
        store = await open_store(found, AsyncioRuntime("snapshot"))
        try:
            return Snapshot(
                hosts=tuple(await store.find(Host)),
                zones=tuple(await store.find(Zone)),
                groups=tuple(await store.find(Group)),
                vms=tuple(await store.find(VM)),
            )
        finally:
            await store.close()

    return asyncio.run(read())


def _flow(entry: dict[str, Any]) -> str:
    import yaml

    dumped: str = yaml.safe_dump(entry, default_flow_style=True, sort_keys=False, width=1 << 20, allow_unicode=True)
    return dumped.rstrip("\n")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The VMs of one command."""

    vms: tuple[VM, ...]
    groups: dict[str, list[str]]  # group -> those that join it
    host: str = ""  # the only one asked


def wanted(specs: Sequence[str], count: int) -> Wanted:
    """``name=web-7,vcpus=4,memory=64GiB``, each ``count`` times. Raises Refused with a line per mistake."""
    if count < 1:
        raise Refused(f"--count: must be 1 or more, not {count}")
    require_size(len(specs) * count)
    told: list[str] = []
    vms: list[VM] = []
    groups: dict[str, list[str]] = {}
    hosts: dict[str, None] = {}
    for number, spec in enumerate(specs):
        try:
            vm, joins, host = _vm(spec)
        except Refused as refusal:
            told += [f"--vm[{number}]: {line}" for line in str(refusal).splitlines()]
            continue
        made = [vm] if count == 1 else [msgspec.structs.replace(vm, id=f"{vm.id}-{n}") for n in range(1, count + 1)]
        vms += made
        hosts[host] = None
        for group in joins:
            groups.setdefault(group, []).extend(each.id for each in made)
    names: dict[str, None] = {}
    for vm in vms:
        if vm.id in names:
            told.append(f"--vm: {vm.id} is named twice")
        names[vm.id] = None
    if len(hosts) > 1:
        told.append(f"--vm: a batch asks for one host or for none, not for {', '.join(h or 'any' for h in hosts)}")
    if told:
        raise Refused("\n".join(told))
    return Wanted(vms=tuple(vms), groups=groups, host=next(iter(hosts), ""))


def _vm(spec: str) -> tuple[VM, list[str], str]:
    told: list[str] = []
    facts: dict[str, list[str]] = {}
    for part in spec.split(","):
        key, equals, value = part.partition("=")
        if key not in ("name", "vcpus", "memory", "cpu-model", "network", "volume", "group", "pinned", "host"):
            told.append(f"unknown key {key!r}; known are {_KEYS}")
        elif not equals or not value:
            told.append(f"{key} needs a value: {key}=…")
        elif key in facts and key not in ("network", "volume", "group"):
            told.append(f"{key} is given twice")
        else:
            facts.setdefault(key, []).append(value)
    told += [f"{key} is missing" for key in ("name", "vcpus", "memory") if key not in facts]
    one = {key: values[0] for key, values in facts.items()}
    vcpus = _number(one.get("vcpus", "1"), "vcpus", 1 << 20, told)
    memory_mib = _number(one.get("memory", "1"), "memory", MOST_MIB, told)
    if one.get("pinned", "no") not in ("yes", "no"):
        told.append(f"pinned is yes or no, not {one['pinned']!r}")
    if told:
        raise Refused("\n".join(told))
    vm = VM(
        id=one["name"],
        vcpus=vcpus,
        memory_mib=memory_mib,
        cpu_model=one.get("cpu-model", "any"),
        pinned=one.get("pinned") == "yes",
        networks=tuple(facts.get("network", ())),
        volumes=tuple(facts.get("volume", ())),
    )
    return vm, facts.get("group", []), one.get("host", "")


def _number(given: str, key: str, most: int, told: list[str]) -> int:
    """A whole number, or for memory also a size with a unit."""
    try:
        number = mib(given) if key == "memory" and not given.lstrip("-").isdecimal() else int(given)
    except ValueError as error:
        told.append(f"{key} {error}, not {given!r}" if key == "memory" else f"{key} must be a number, not {given!r}")
        return 1
    if not 1 <= number <= most:
        told.append(f"{key} must be from 1 to {most:,}, not {given}")
    return number


def joined(snapshot: Snapshot, wanted: Wanted) -> Snapshot:
    """With the new VMs in their groups; the VMs themselves are still to be placed."""
    known = {group.id for group in snapshot.groups}
    told = [f"--vm: there is no group {group} in the snapshot" for group in wanted.groups if group not in known]
    there = {vm.id for vm in snapshot.vms}
    told += [
        f"--vm: there is a VM {vm.id} already; ave explain placement {vm.id} asks about it"
        for vm in wanted.vms
        if vm.id in there
    ]
    if not snapshot.hosts:
        told.append("hosts: is empty, so there is nothing to place on")
    elif wanted.host and all(host.id != wanted.host for host in snapshot.hosts):
        told.append(f"--vm: there is no host {wanted.host} in the snapshot")
    if told:
        raise Refused("\n".join(told))
    groups = tuple(
        msgspec.structs.replace(group, vms=tuple(dict.fromkeys((*group.vms, *wanted.groups.get(group.id, ())))))
        for group in snapshot.groups
    )
    if wanted.groups:
        from ave.placement.contradictions import contradictions

        if torn := contradictions(groups, snapshot.hosts):
            raise Refused("\n".join(torn))
    return msgspec.structs.replace(snapshot, groups=groups)
