from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ave.model.cluster import lock_name
from ave.model.host import Host, HostState
from ave.model.vm import VM, VMState
from ave.ports.store import Change, Check, Delete, Insert, Replace, Write
from ave.scheduler.role import MONITOR, SCHEDULER
from sim.invariants.shape import Stage, Violation

JUDGED = (HostState.FENCED, HostState.RECOVERED)

Conditions = Mapping[tuple[str, str], tuple[str, ...]]  # (kind, id) -> the fields on which the commit depends


class DecidedOnWhatHolds:
    """A list may be read from a member that lags, so a decision must not rest on what was read, but on what still holds in
    its commit. Looked at are the conditions that the store was given: a place depends on the very versions of the VM and
    of the host that it was found on, and on the scheduler's role; the right to run a VM on that of the VM, on its Job's
    lock, and on its host's version; a verdict on the host's version and the monitor's role. Armed by every such decision
    while members lag or a primary does not know that it is none."""

    id = "D3"
    phrase = "a place, a right to run and a verdict are committed only if what they were decided on still holds"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._vms: dict[str, VM] = {}
        self._hosts: dict[str, HostState] = {}

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {"vm": self.vm, "host": self.host}

    def vm(self, change: tuple[str, VM | None]) -> None:
        id, vm = change
        before = self._vms.pop(id, None)
        if vm is None:
            return
        self._vms[id] = vm
        if before is None:
            return
        itself = ("vm", id, "version")
        if vm.reserved and vm.reserved != before.reserved:
            found_on = ("host", vm.reserved, "version"), ("role", SCHEDULER, "version")
            self._judge(f"{id} was placed on {vm.reserved}", id, itself, *found_on)
        if vm.epoch > before.epoch:
            needed = [itself, ("lock", lock_name(VM, id), "job")]
            if vm.host != before.host or vm.state is VMState.STARTING:
                needed.append(("host", vm.host, "version"))
            self._judge(f"the right to run {id} was given to {vm.host}", id, *needed)

    def host(self, change: tuple[str, Host | None]) -> None:
        id, host = change
        before = self._hosts.pop(id, None)
        if host is None:
            return
        self._hosts[id] = host.state
        if before is not None and host.state is not before and host.state in JUDGED:
            self._judge(f"{id} was judged {host.state}", id, ("host", id, "version"), ("role", MONITOR, "version"))

    def _judge(self, what: str, id: str, *needed: tuple[str, str, str]) -> None:
        self.armed += self._stage.store.misleading
        given = conditions(self._stage.store.ledger.writes)
        for kind, about, field in needed:
            if field not in given.get((kind, about), ()):
                raise Violation(self.id, f"{what} whatever the {field} of {kind} {about} is by then", (id, about))


def conditions(writes: Sequence[Write]) -> Conditions:
    given: dict[tuple[str, str], tuple[str, ...]] = {}
    for write in writes:
        for key, fields in _condition(write):
            given[key] = (*given.get(key, ()), *fields)
    return given


def _condition(write: Write) -> Iterator[tuple[tuple[str, str], tuple[str, ...]]]:
    if isinstance(write, Insert | Replace | Delete):
        yield (type(write.doc).__name__.lower(), write.doc.id), ("version",)
    elif isinstance(write, Change | Check):
        yield (write.type.__name__.lower(), write.id), tuple(write.where or {})
