from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ave.model.host import HostState
from drivers.sim.facts import Joined, Started
from sim.invariants.shape import Stage, Violation

NOT_CLEARED = (HostState.JOINING, HostState.FENCED, HostState.RECOVERED)


class RejoinsEmpty:
    """Armed by every start on a host that has joined anew. What arrives by migration runs nowhere yet, and is not looked
    at."""

    id = "H4"
    phrase = "a host that joins anew starts VMs only when its older domains are gone, and under its new epoch"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._older: dict[str, dict[int, None]] = {}  # host -> the domains that it had when it joined

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {Joined: self.joined, Started: self.started}

    def joined(self, fact: Joined) -> None:
        guests = self._stage.machines[fact.host].guests.values()
        self._older[fact.host] = dict.fromkeys(guest.instance for guest in guests)

    def started(self, fact: Started) -> None:
        if fact.incoming or not fact.job:
            return
        self.armed += fact.host in self._older
        for what in self._wrong(fact):
            raise Violation(self.id, f"{fact.vm} was started on {fact.host}, {what}", (fact.vm, fact.host))

    def _wrong(self, fact: Started) -> tuple[str, ...]:
        machine = self._stage.machines[fact.host]
        lease = self._stage.storage.leases.get(fact.host)
        host, vm = self._stage.host(fact.host), self._stage.vm(fact.vm)
        older = self._older.get(fact.host, {})
        left = [guest.vm for guest in machine.guests.values() if guest.instance in older]
        said = (
            (lease is None or lease.revoked or lease.boot != machine.facts.boot, "which has no lease"),
            (bool(left), f"which still had {', '.join(left)} from before it joined"),
            (host is None or host.state in NOT_CLEARED, f"which is {host.state if host else 'unknown'}"),
            (
                host is not None and vm is not None and vm.host == host.id and vm.host_epoch != host.epoch,
                "under an epoch of the host that is over",
            ),
        )
        return tuple(what for wrong, what in said if wrong)
