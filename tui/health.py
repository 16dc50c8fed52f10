"""How the cluster is, in one word and what is wrong. Pure, of what the model counts anyway."""

from __future__ import annotations

from typing import NamedTuple

from tui.model import Model
from tui.views.hosts import alive

# States of hosts by how bad they are, and the word for them.
_BAD = {"fenced": "dead", "recovered": "dead"}
_WARN = {"suspect": "late", "unmanaged": "unmanaged", "quarantined": "quarantined", "read-only": "read-only"}
_BY_THE_WAY = {"maintenance": "in maintenance", "entering-maintenance": "being emptied", "joining": "joining"}


class Health(NamedTuple):
    word: str
    tone: str
    glyph: str
    wrong: tuple[str, ...]  # what a person must know, the worst first
    noted: tuple[str, ...]  # what is meant to be so


class Totals(NamedTuple):
    hosts: int
    alive: int
    vcpus: int
    cpus: int
    memory_mib: int
    room_mib: int

    @property
    def cpu(self) -> float:
        return self.vcpus / self.cpus if self.cpus else 0.0

    @property
    def memory(self) -> float:
        return self.memory_mib / self.room_mib if self.room_mib else 0.0


def health(model: Model) -> Health:
    hosts, vms = model.states["host"], model.states["vm"]
    bad = [_say(number, word, "host") for word, number in _counted(hosts, _BAD)]
    if lost := model.states["zone"]["lost"]:
        bad.insert(0, _say(lost, "lost", "zone"))
    if unknown := vms["unknown"]:
        bad.append(f"{unknown:,} {'VM' if unknown == 1 else 'VMs'} down")
    warn = [_say(number, word, "host") for word, number in _counted(hosts, _WARN)]
    if alarms := len(model.docs["alarm"]):
        warn.append(_say(alarms, "", "alarm").strip())
    noted = tuple(_say(number, word, "host") for word, number in _counted(hosts, _BY_THE_WAY))
    if not model.docs["host"]:
        return Health("NO HOSTS", "dim", "○", (), ())
    if bad:
        return Health("DEGRADED", "bad", "▲", (*bad, *warn), noted)
    if warn:
        return Health("WARNING", "warn", "▲", tuple(warn), noted)
    return Health("HEALTHY", "good", "●", (), noted)


def totals(model: Model) -> Totals:
    """Of hosts that are alive."""
    hosts = model.docs["host"].values()
    up = [host for host in hosts if alive(host)]
    held = [model.held[host["id"]] for host in up if host["id"] in model.held]
    return Totals(
        hosts=len(hosts),
        alive=len(up),
        vcpus=sum(each.vcpus for each in held),
        cpus=sum(host["cpus"] for host in up),
        memory_mib=sum(each.memory_mib for each in held),
        room_mib=sum(host["memory_mib"] - host["reserve_mib"] for host in up),
    )


def _counted(states: dict[str, int], words: dict[str, str]) -> list[tuple[str, int]]:
    found: dict[str, int] = {}
    for state, word in words.items():
        if states[state]:
            found[word] = found.get(word, 0) + states[state]
    return list(found.items())


def _say(number: int, word: str, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'} {word}"
