"""VMs: what they are, where they are, and why there."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from tui.ages import gib
from tui.columns import Column, Row, Span, state_cell
from tui.glyphs import sign
from tui.views.base import Docs, Lines, Place, Plain, events_of, heading, natural, pair, why

_PRIORITIES = {"high": 0, "medium": 1, "low": 2}


class VMs(Plain):
    noun = "vm"
    order = ("STATE", False)

    def made_columns(self) -> Sequence[Column]:
        return (
            Column("STATE", 11, lambda vm: state_cell("vm", vm["state"]), _by_state, "S"),
            Column("NAME", 26, lambda vm: (vm["id"], "text"), lambda vm: natural(vm["id"]), "N", name=True),
            Column("HOST", 10, lambda vm: (vm["host"] or "–", "text"), lambda vm: natural(vm["host"]), "H", stays=1),
            Column("ZONE", 9, lambda vm: (self.zone(vm), "dim"), self.zone, "Z", stays=6),
            Column("CPU", 3, lambda vm: (str(vm["vcpus"]), "text"), lambda vm: vm["vcpus"], "U", stays=3, right=True),
            Column("MEM", 5, _memory, lambda vm: vm["memory_mib"], "M", stays=2, right=True),
            Column("HA", 4, _ha, lambda vm: (not vm["ha"], _PRIORITIES.get(vm["priority"], 9)), "A", stays=7),
            Column("LABELS", 14, _labels, lambda vm: _labels(vm)[0], "B", stays=8),
            Column(
                "DISKS",
                5,
                lambda vm: (str(len(vm["volumes"])), "dim"),
                lambda vm: len(vm["volumes"]),
                "D",
                stays=9,
                right=True,
            ),
            Column("EPOCH", 5, lambda vm: (str(vm["epoch"]), "dim"), lambda vm: vm["epoch"], "E", stays=10, right=True),
            Column("WHY HERE", 28, lambda vm: (why(vm), "dim"), why, "W", stays=5, grows=True),
        )

    def zone(self, vm: Row) -> str:
        host = self.model.docs["host"].get(vm["host"])
        return str(host["zone"]) if host is not None else ""

    def keys(self) -> Sequence[str]:
        zone, group = self.place.of("zone"), self.place.of("group")
        docs = self.model.docs["vm"]
        if zone:
            return sorted((id for id, vm in docs.items() if self.zone(vm) == zone), key=natural)
        if group:
            found = self.model.docs["group"].get(group)
            return sorted((id for id in found["vms"] if id in docs), key=natural) if found is not None else []
        return super().keys()

    def text(self, key: str) -> str:
        """In one go: it is asked of each of 50,000 when somebody begins to filter."""
        vm = self.row(key)
        if vm is None:
            return key.lower()
        labels = " ".join(f"{name}={value}" for name, value in vm["labels"].items())
        lists = " ".join((*vm["volumes"], *vm["networks"]))
        return f"{key} {vm['state']} {vm['host']} {vm['name']} {vm['priority']} {lists} {labels}".lower()

    def into(self, key: str) -> Place | None:
        return Place("parts", (("vm", key),), key)

    def panel(self, key: str) -> Lines:
        vm = self.row(key)
        return [] if vm is None else told(self, vm)


def told(view: Docs, vm: Any) -> Lines:
    """A VM in words."""
    model = view.model
    host = model.docs["host"].get(vm["host"])
    lines: Lines = [
        [*state_cell("vm", vm["state"]), (", wanted off" if not vm["on"] else "", "dim")],
        [],
        pair(
            "host", [(vm["host"] or "none", "text"), (f"  zone {host['zone']}" if host and host["zone"] else "", "dim")]
        ),
        pair("size", f"{vm['vcpus']} vCPU, {gib(vm['memory_mib'])}" + (", pinned" if vm["pinned"] else "")),
        pair("ha", f"{vm['priority']} priority" if vm["ha"] else ("not brought back", "dim")),
        pair("disks", ", ".join(vm["volumes"]) or "none"),
        pair("networks", ", ".join(vm["networks"]) or "none"),
    ]
    if vm["labels"]:
        lines.append(pair("labels", " ".join(f"{key}={value}" for key, value in vm["labels"].items())))
    lines.append(pair("epoch", f"{vm['epoch']}"))
    lines += [[], heading("Why here")]
    story: Sequence[str] = vm.get("story") or ()
    lines += [[(each, "text" if each is story[-1] else "dim")] for each in story[-3:]] or [[("nothing is told", "dim")]]
    if host is not None:
        held = model.held.get(host["id"])
        used = held.memory_mib if held else 0
        free = host["memory_mib"] - host["reserve_mib"]
        lines += [[], heading("Its host")]
        lines.append([*state_cell("host", host["state"]), (f"  {gib(used)} of {gib(free)} held by VMs", "dim")])
    groups = [group for group in model.docs["group"].values() if vm["id"] in group["vms"]]
    if groups:
        lines += [[], heading("Groups")]
        lines += [[(group["id"], "text"), (f"  {group['rule']}", "dim")] for group in groups]
    if said := events_of(view.context, [("vm", vm["id"]), ("host", vm["host"])], 6):
        lines += [[], heading("Events"), *said]
    return lines


def _by_state(vm: Row) -> tuple[int, str]:
    """Trouble first."""
    return _rank(vm["state"])


@lru_cache(64)
def _rank(state: str) -> tuple[int, str]:
    return -sign("vm", state).trouble, state


def _memory(vm: Row) -> Span:
    return gib(vm["memory_mib"]), "text"


def _ha(vm: Row) -> Span:
    return (
        ({"high": "high", "medium": "med", "low": "low"}.get(vm["priority"], vm["priority"]), "dim")
        if vm["ha"]
        else ("–", "faint")
    )


def _labels(vm: Row) -> Span:
    return " ".join(f"{key}={value}" for key, value in vm["labels"].items()), "dim"
