"""``ave vm ls``, ``ave host show NAME`` and so on: what the store says, by one table of what is worth a column."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ave.cli.cluster import HERE, Output, Where, not_found, visit

if TYPE_CHECKING:
    from ave.ports.together import Ports

TIMES = ("submitted", "assigned", "started", "modified", "finished", "raised")  # fields that are store times

Column = Callable[[Any], object]


class Noun(NamedTuple):
    kind: str  # in ave.kinds
    columns: Mapping[str, Column]


def _size(mib: int) -> str:
    return f"{mib // 1024} GiB" if mib % 1024 == 0 else f"{mib} MiB"


def _last(of: Any) -> str:
    return of.story[-1] if of.story else ""


NOUNS = {
    "vm": Noun(
        "vm",
        {
            "VM": lambda vm: vm.id,
            "STATE": lambda vm: vm.state,
            "HOST": lambda vm: vm.host if vm.holds_memory else "",
            "VCPUS": lambda vm: vm.vcpus,
            "MEMORY": lambda vm: _size(vm.memory_mib),
            "HA": lambda vm: vm.priority if vm.ha else "no",
            "LAST": _last,
        },
    ),
    "host": Noun(
        "host",
        {
            "HOST": lambda host: host.id,
            "STATE": lambda host: host.state,
            "ZONE": lambda host: host.zone,
            "CPUS": lambda host: host.cpus,
            "MEMORY": lambda host: _size(host.memory_mib),
            "LAST": _last,
        },
    ),
    "volume": Noun(
        "volume",
        {
            "VOLUME": lambda volume: volume.id,
            "STATE": lambda volume: volume.state,
            "SIZE": lambda volume: f"{volume.size_gib} GiB",
            "VM": lambda volume: volume.vm,
        },
    ),
    "network": Noun(
        "network",
        {
            "NETWORK": lambda network: network.id,
            "STATE": lambda network: network.state,
            "VLAN": lambda network: network.vlan or "",
            "TRUNK": lambda network: ",".join(map(str, network.trunk)),
        },
    ),
    "alarm": Noun("alarm", {"ALARM": lambda alarm: alarm.id, "WHAT": lambda alarm: alarm.what}),
    "job": Noun(
        "work",
        {
            "JOB": lambda job: job.id,
            "STATE": lambda job: job.state,
            "DONE": lambda job: f"{job.plan.progress:.0%}" if job.plan else "",
            "WAITS FOR": lambda job: job.waits,
            "LAST": _last,
        },
    ),
}


def ls(noun: str, where: Where, output: str) -> int:
    async def deed(ports: Ports) -> int:
        print_all(noun, await ports.store.find(_type(noun)), output)
        return 0

    return visit(where, deed)


def show(noun: str, name: str, where: Where, output: str) -> int:
    async def deed(ports: Ports) -> int:
        found: Any = await ports.store.get(_type(noun), name)
        if found is None or (noun == "job" and found.table.noun != "Job"):
            return not_found(noun, name)
        _print_one(found, output)
        return 0

    return visit(where, deed)


def _type(noun: str) -> type[Any]:
    from ave.kinds import KINDS

    return next(kind.type for kind in KINDS if kind.name == NOUNS[noun].kind)


def print_all(noun: str, found: list[Any], output: str) -> None:
    if output == "json":
        _print_json(found)
        return
    from rich.markup import escape

    from ave.cli.listing import WHOLE, console, new_table

    columns = NOUNS[noun].columns
    table = new_table(*columns)
    for each in found:
        table.add_row(*(escape(str(column(each))) for column in columns.values()))
    console(WHOLE).print(table)


def _print_one(found: Any, output: str) -> None:
    if output == "json":
        _print_json(found)
        return
    import msgspec

    plain = msgspec.to_builtins(found)
    width = max(map(len, plain))
    for key, value in plain.items():
        lines = value if isinstance(value, list | tuple) and key == "story" else [value]
        for number, line in enumerate(lines):
            print(f"{key if not number else '':{width}}  {_text(key, line)}".rstrip())


def _text(key: str, value: Any) -> str:
    from datetime import UTC, datetime

    import msgspec

    if key in TIMES:
        return datetime.fromtimestamp(value, UTC).isoformat(timespec="seconds") if value else ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _print_json(found: Any) -> None:
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())


# What the command line calls; a function for each noun, since help is made of signatures.


def ls_vms(*, where: Where = HERE, output: Output = "table") -> int:
    """Every VM. Exit 0, 6 the store cannot be reached."""
    return ls("vm", where, output)


def show_vm(name: str, /, *, where: Where = HERE, output: Output = "table") -> int:
    """All that the store says of a VM, and its story. Exit 0, 3 there is no such VM."""
    return show("vm", name, where, output)


def ls_hosts(*, where: Where = HERE, output: Output = "table") -> int:
    """Every host. Exit 0, 6 the store cannot be reached."""
    return ls("host", where, output)


def show_host(name: str, /, *, where: Where = HERE, output: Output = "table") -> int:
    """All that the store says of a host, and its story. Exit 0, 3 there is no such host."""
    return show("host", name, where, output)


def ls_volumes(*, where: Where = HERE, output: Output = "table") -> int:
    """Every volume. Exit 0, 6 the store cannot be reached."""
    return ls("volume", where, output)


def ls_networks(*, where: Where = HERE, output: Output = "table") -> int:
    """Every network that was declared. Exit 0, 6 the store cannot be reached."""
    return ls("network", where, output)


def ls_alarms(*, where: Where = HERE, output: Output = "table") -> int:
    """What somebody must look at: the cluster does not put it right by itself. Exit 0, 6 the store cannot be reached."""
    return ls("alarm", where, output)
