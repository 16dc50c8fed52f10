"""What VMs hold of each host, kept by differences: one change costs the same however many VMs there are."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

from ave.model.vm import VMState

HOLDING = frozenset(
    state.value for state in (VMState.STARTING, VMState.RUNNING, VMState.SUSPENDED, VMState.UNKNOWN)
)  # as VM.holds_memory


class Held:
    """``vms``: ids, in the order in which they came."""

    __slots__ = ("memory_mib", "vcpus", "vms")

    def __init__(self) -> None:
        self.vms: dict[str, str] = {}  # id -> state
        self.vcpus = self.memory_mib = 0


class Holdings:
    def __init__(self) -> None:
        self.by_host: dict[str, Held] = {}

    def change(self, id: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> None:
        if old is not None and new is not None and _of(old) == _of(new):
            return
        if old is not None and old["state"] in HOLDING:
            held = self.by_host[old["host"]]
            del held.vms[id]
            held.vcpus -= old["vcpus"]
            held.memory_mib -= old["memory_mib"]
            if not held.vms:
                del self.by_host[old["host"]]
        if new is not None and new["state"] in HOLDING:
            held = self.by_host.setdefault(new["host"], Held())
            held.vms[id] = new["state"]
            held.vcpus += new["vcpus"]
            held.memory_mib += new["memory_mib"]


_of = itemgetter("state", "host", "vcpus", "memory_mib")
