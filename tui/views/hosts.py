"""Hosts: how they are, and how full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tui.ages import gib
from tui.columns import Column, Row, Span, gauge, state_cell
from tui.glyphs import STAR, sign
from tui.model import Model
from tui.views.base import Docs, Lines, Place, events_of, heading, natural, pair, why

GAUGE = 12
_UP = ("online", "unmanaged", "suspect", "entering-maintenance", "quarantined", "read-only")


class Use(NamedTuple):
    """What VMs hold of a host. Shares are of what VMs may have; that of CPUs may be over 1, for they are shared."""

    vms: int
    vcpus: int
    memory_mib: int
    cpu: float
    memory: float


def use(model: Model, host: Mapping[str, Any]) -> Use:
    held = model.held.get(host["id"])
    if held is None:
        return Use(0, 0, 0, 0.0, 0.0)
    room = max(1, host["memory_mib"] - host["reserve_mib"])
    return Use(len(held.vms), held.vcpus, held.memory_mib, held.vcpus / max(1, host["cpus"]), held.memory_mib / room)


def leader(model: Model) -> str:
    """Whose scheduler decides."""
    role = model.docs.get("role", {}).get("scheduler")
    return str(role["holder"]) if role else ""


def alive(host: Mapping[str, Any]) -> bool:
    return host["state"] in _UP


class Hosts(Docs):
    noun = "host"
    order = ("NAME", False)

    def made_columns(self) -> Sequence[Column]:
        model = self.model
        return (
            Column("STATE", 13, lambda host: state_cell("host", host["state"]), _by_state, "S"),
            Column("NAME", 24, self._name, lambda host: natural(host["id"]), "N", name=True),
            Column("ZONE", 9, lambda host: (host["zone"], "dim"), lambda host: host["zone"], "Z", stays=4),
            Column(
                "VMS",
                5,
                lambda host: (f"{use(model, host).vms:,}", "text"),
                lambda host: use(model, host).vms,
                "V",
                right=True,
                stays=2,
            ),
            Column(
                "VCPU",
                7,
                lambda host: (f"{use(model, host).vcpus}/{host['cpus']}", "dim"),
                lambda host: use(model, host).vcpus,
                "U",
                right=True,
                stays=5,
            ),
            Column(
                "CPU",
                GAUGE + 6,
                lambda host: gauge(use(model, host).cpu, GAUGE),
                lambda host: use(model, host).cpu,
                "P",
                stays=3,
            ),
            Column(
                "MEMORY",
                GAUGE + 6,
                lambda host: gauge(use(model, host).memory, GAUGE),
                lambda host: use(model, host).memory,
                "M",
                stays=1,
            ),
            Column("HELD", 9, self._held, lambda host: use(model, host).memory_mib, "H", right=True, stays=6),
            Column("BY STATE", 22, self._by_state, None, stays=7),
            Column("WHY", 20, lambda host: (why(host), "dim"), why, "W", grows=True, stays=8),
        )

    def seen(self) -> Any:
        return self.model.counts["host"], self.model.counts["vm"], self.model.resets

    def stamp(self, key: str) -> Any:
        held = self.model.held.get(key)
        of_vms = (len(held.vms), held.vcpus, held.memory_mib, *Counter(held.vms.values()).values()) if held else ()
        return self.model.stamp["host"].get(key, 0), of_vms, leader(self.model) == key

    def into(self, key: str) -> Place | None:
        return Place("vms", (("host", key),), key)

    def panel(self, key: str) -> Lines:
        host = self.row(key)
        return [] if host is None else told(self, host)

    def _name(self, host: Row) -> list[Span]:
        return [(host["id"], "text"), (f" {STAR}" if leader(self.model) == host["id"] else "", "time")]

    def _held(self, host: Row) -> Span:
        held = use(self.model, host).memory_mib
        return f"{gib(held)}/{gib(host['memory_mib'] - host['reserve_mib'])}", "dim"

    def _by_state(self, host: Row) -> list[Span]:
        held = self.model.held.get(host["id"])
        made: list[Span] = []
        for state, number in sorted(Counter(held.vms.values()).items()) if held else ():
            each = sign("vm", state)
            made += [(f"{each.glyph} ", each.tone), (f"{number} {state}  ", each.word)]
        return made or [("–", "faint")]


def told(view: Docs, host: Any) -> Lines:
    """A host in words."""
    of = use(view.model, host)
    lines: Lines = [
        [*state_cell("host", host["state"]), (f"  {STAR} leader" if leader(view.model) == host["id"] else "", "time")],
        [],
        pair("zone", host["zone"] or "none"),
        pair("cpus", [(f"{host['cpus']}", "text"), (f", {of.vcpus} vCPUs of VMs", "dim")]),
        pair("memory", [(gib(host["memory_mib"]), "text"), (f", {gib(host['reserve_mib'])} its own", "dim")]),
        pair("held", gauge(of.memory, 16)),
        pair("vms", f"{of.vms:,}"),
        pair("networks", ", ".join(host["networks"]) or "none"),
        pair("cpu model", host["cpu_model"]),
        pair("wish", host["wish"]),
        pair("epoch", f"{host['epoch']}"),
    ]
    if host["away"]:
        lines.append(pair("away", ", ".join(host["away"])))
    lines += [[], heading("Its story")]
    lines += [[(each, "dim")] for each in host.get("story", ())[-5:]] or [[("nothing is told", "dim")]]
    if said := events_of(view.context, [("host", host["id"])], 8):
        lines += [[], heading("Events"), *said]
    return lines


def _by_state(host: Row) -> tuple[int, str]:
    return -sign("host", host["state"]).trouble, host["state"]
