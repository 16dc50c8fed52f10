from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ave.model.host import Report
from ave.model.vm import VM, VMState
from ave.ports.hypervisor import DomainState
from drivers.sim.facts import Gone, Joined, Resumed, Revoked, Started
from sim.invariants.shape import Stage, Violation


class FencedFirst:
    """Armed by every start that rescues a VM from another host, and by every lease revoked on its host's own word.

    Such a word must have been said, for the turn in which the lease is, and it must be true: nothing of that host runs when
    its lease is revoked, nor later.
    """

    id = "S4"
    phrase = "a rescue starts a VM only when its volumes are fenced and its old host is proved not to run it"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._since: dict[
            str, tuple[str, int]
        ] = {}  # VM -> host of its last domain, and how often that host had joined
        self._copies: dict[
            str, tuple[Started, int]
        ] = {}  # VM -> the copy that a migration may still give the right to, and how often its host had joined
        self._joins: dict[str, int] = {}
        self._on_its_word: dict[
            str, None
        ] = {}  # hosts whose lease was revoked because they said that nothing runs there
        self._revoked: dict[str, int] = {}  # host -> how often it had joined when its lease was revoked

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {
            Started: self.started,
            Resumed: self.resumed,
            "vm": self.recorded,
            Revoked: self.revoked,
            Joined: self.joined,
            Gone: self.gone,
        }

    def revoked(self, fact: Revoked) -> None:
        silent = self._stage.now() - self._stage.storage.leases[fact.host].renewed_at
        if silent < self._stage.timing.revoked_from():
            self._require_its_word(fact.host, f"the lease of {fact.host} was revoked after {silent:.1f} s of silence")
        self._revoked[fact.host] = self._joins.get(fact.host, 0)

    def _require_its_word(self, host: str, what: str) -> None:
        report = self._stage.store.ledger.get(Report, host)
        if report is None or report.given_up < self._stage.storage.leases[host].turn:
            raise Violation(self.id, what, (host,))
        for guest in self._stage.machines[host].guests.values():
            if guest.state is DomainState.RUNNING:
                raise Violation(self.id, f"{what}, on its word, and {guest.vm} runs there", (host, guest.vm))
        self.armed += 1
        self._on_its_word[host] = None

    def _require_still(self, fact: Started | Resumed) -> None:
        if fact.host in self._on_its_word:
            what = f"{fact.vm} begins to run on {fact.host}, whose lease was revoked because it said that nothing does"
            raise Violation(self.id, what, (fact.vm, fact.host))

    def _runs_on(self, fact: Started | Resumed) -> None:
        self._since[fact.vm] = (fact.host, self._joins.get(fact.host, 0))
        self._copies.pop(fact.vm, None)

    def joined(self, fact: Joined) -> None:
        self._on_its_word.pop(fact.host, None)
        self._joins[fact.host] = self._joins.get(fact.host, 0) + 1

    def gone(self, fact: Gone) -> None:
        """A confirmed end: nothing of it is left to fence. A copy that loses its power may have got the right by then, or
        get it still: only its host's next life proves that it does not use it."""
        if not self._stage.machines[fact.host].powered:
            return
        if self._since.get(fact.vm, ("", 0))[0] == fact.host:
            del self._since[fact.vm]
        if fact.vm in self._copies and self._copies[fact.vm][0].instance == fact.instance:
            del self._copies[fact.vm]

    def resumed(self, fact: Resumed) -> None:
        """Where it was, or where it has migrated to: a copy that never ran is nobody's last domain."""
        self._require_still(fact)
        self._runs_on(fact)

    def recorded(self, change: tuple[str, VM | None]) -> None:
        name, vm = change
        if vm is None:
            return
        if vm.state is VMState.UNKNOWN:
            self._found_gone(name)
        self._handed_over(name, vm)

    def _found_gone(self, name: str) -> None:
        """It is recorded that nothing of the VM is where it ran. If that is true, and the host has power, which it may have
        lost and got back since, it is proved: whoever looked need not have the right to run anything to say so."""
        machine = self._stage.machines.get(self._since.get(name, ("", 0))[0])
        if machine is not None and machine.powered and name not in machine.guests:
            del self._since[name]

    def _handed_over(self, name: str, vm: VM) -> None:
        """A migration gives the right away in one commit, while the source stands still: it cannot go on, and who is to be
        proved lost from now on is the host of the copy, be the copy still there or not."""
        if name not in self._copies:
            return
        copy, joins = self._copies[name]
        if (vm.state, vm.host, vm.epoch) != (VMState.RUNNING, copy.host, copy.epoch):
            return
        del self._copies[name]
        machine = self._stage.machines.get(self._since.get(name, ("", 0))[0])
        source = machine.guests.get(name) if machine is not None else None
        if source is None or source.state is not DomainState.RUNNING:
            self._since[name] = (copy.host, joins)

    def started(self, fact: Started) -> None:
        if fact.incoming:
            self._copies[fact.vm] = (fact, self._joins.get(fact.host, 0))
            return
        self._require_still(fact)
        old, joins = self._since.get(fact.vm, ("", 0))
        self._runs_on(fact)
        if not fact.job.startswith("ha."):
            return
        self.armed += 1
        vm = self._stage.vm(fact.vm)
        for name in vm.volumes if vm is not None else ():
            volume = self._stage.storage.volumes[name]
            if (volume.owner, volume.epoch) != (fact.host, fact.epoch):
                what = f"{fact.vm} was started on {fact.host} before {name} was fenced for it"
                raise Violation(self.id, what, (fact.vm, name))
        if old and self._joins.get(old, 0) == joins and self._revoked.get(old) != joins:
            what = f"{fact.vm} was rescued to {fact.host} while {old} still had the right to run it"
            raise Violation(self.id, what, (fact.vm, old))
