"""What belongs to one VM: its place, its disks and NICs, its groups, its Jobs, and what was decided about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tui.ages import age, gib
from tui.columns import Column, Row, Span, state_cell
from tui.views.base import Docs, Lines, Place, why
from tui.views.events import place_of
from tui.views.jobs import title
from tui.views.vms import told

EVENTS_MOST = 200


class Part(NamedTuple):
    kind: str  # what stands in the first column
    noun: str
    id: str
    name: str
    state: tuple[Span, ...]
    note: str


class Parts(Docs):
    noun = "vm"
    order = ("", False)

    def __init__(self, context: Any, place: Place) -> None:
        self.vm = place.of("vm")
        self._rows: dict[str, Part] = {}
        super().__init__(context, place)

    def made_columns(self) -> Sequence[Column]:
        return (
            Column("WHAT", 9, lambda part: (part.kind, "dim"), None),
            Column("NAME", 29, lambda part: (part.name, "text"), None),
            Column("STATE", 14, lambda part: list(part.state), None, stays=1),
            Column("NOTE", 20, lambda part: (part.note, "dim"), None, stays=2, grows=True),
        )

    def seen(self) -> Any:
        counts = self.model.counts
        return (
            *(counts[noun] for noun in ("vm", "volume", "group", "job", "host")),
            self.model.logged,
            self.model.resets,
        )

    def keys(self) -> Sequence[str]:
        self._rows = {f"{number:04d}/{part.kind}/{part.id}": part for number, part in enumerate(self._parts())}
        return list(self._rows)

    def row(self, key: str) -> Row | None:
        return self._rows.get(key)

    def stamp(self, key: str) -> Any:
        return self._rows.get(key)

    def text(self, key: str) -> str:
        part = self._rows.get(key)
        return "" if part is None else f"{part.kind} {part.name} {part.note}".lower()

    def labels(self, key: str) -> Mapping[str, str]:
        return {}

    def thing(self, key: str) -> tuple[str, str]:
        part = self._rows.get(key)
        return (part.noun, part.id) if part is not None else ("vm", self.vm)

    def into(self, key: str) -> Place | None:
        noun, id = self.thing(key)
        return None if noun == "vm" else place_of(noun, id)

    def panel(self, key: str) -> Lines:
        vm = self.model.docs["vm"].get(self.vm)
        return told(self, vm) if vm is not None else [[("it is gone", "dim")]]

    def _parts(self) -> list[Part]:
        docs = self.model.docs
        vm = docs["vm"].get(self.vm)
        if vm is None:
            return [Part("gone", "vm", self.vm, self.vm, (("○ gone", "dim"),), "there is no such VM any more")]
        parts = [
            Part(
                "vm",
                "vm",
                self.vm,
                self.vm,
                tuple(state_cell("vm", vm["state"])),
                f"{vm['vcpus']} vCPU, {gib(vm['memory_mib'])}; {why(vm)}",
            )
        ]
        if (host := docs["host"].get(vm["host"])) is not None:
            parts.append(
                Part(
                    "host",
                    "host",
                    host["id"],
                    host["id"],
                    tuple(state_cell("host", host["state"])),
                    f"zone {host['zone'] or 'none'}, {host['cpus']} CPUs, {gib(host['memory_mib'])}",
                )
            )
        for id in (*vm["volumes"], *([vm["cdrom"]] if vm["cdrom"] else [])):
            volume = docs["volume"].get(id)
            state = tuple(state_cell("volume", volume["state"])) if volume is not None else (("? not known", "warn"),)
            policy = volume["policy"] if volume is not None else {}
            note = (
                f"{gib(volume['size_gib'] * 1024)}, {policy['replicas']} copies, {'thin' if policy['thin'] else 'thick'}"
                if volume is not None
                else ""
            )
            parts.append(Part("cd-rom" if id == vm["cdrom"] else "disk", "volume", id, id, state, note))
        for number, id in enumerate(vm["networks"]):
            network = docs["network"].get(id)
            state = (
                tuple(state_cell("network", network["state"])) if network is not None else (("· not declared", "dim"),)
            )
            note = (f"VLAN {network['vlan']}" if network["vlan"] else "") if network is not None else ""
            parts.append(Part("nic", "network", id, f"nic-{number} {id}", state, note))
        for group in docs["group"].values():
            if self.vm in group["vms"]:
                parts.append(
                    Part(
                        "group",
                        "group",
                        group["id"],
                        group["id"],
                        tuple(state_cell("group", group["state"])),
                        group["rule"],
                    )
                )
        parts += self._jobs()
        parts += [
            Part("decided", "vm", f"{number}", each.partition(": ")[0], (), each.partition(": ")[2])
            for number, each in enumerate(reversed(vm.get("story", ())))
        ]
        return parts

    def _jobs(self) -> list[Part]:
        found = []
        for job in self.model.docs["job"].values():
            parts = self.model.parts(job["id"])
            if self.vm in job["results"] or any(task["resource"] == self.vm for task in parts):
                found.append((job["submitted"], job, parts))
        found.sort(key=lambda each: -each[0])
        now = self.context.now()
        return [
            Part(
                "job",
                "job",
                job["id"],
                title(job, parts),
                tuple(state_cell("job", job["state"])),
                f"{age(now - submitted)} ago; {job['why']}",
            )
            for submitted, job, parts in found[:20]
        ]
