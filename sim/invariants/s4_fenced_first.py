from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ave.model.host import Report
from ave.model.volume import Volume
from ave.ports.hypervisor import DomainState
from drivers.sim.facts import Gone, Joined, Owned, Resumed, Revoked, Started
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
        self._joins: dict[str, int] = {}
        self._on_its_word: dict[
            str, None
        ] = {}  # hosts whose lease was revoked because they said that nothing runs there
        self._revoked: dict[str, int] = {}  # host -> how often it had joined when its lease was revoked

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {
            Started: self.started,
            Resumed: self.resumed,
            Owned: self.owned,
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

    def joined(self, fact: Joined) -> None:
        self._on_its_word.pop(fact.host, None)
        self._joins[fact.host] = self._joins.get(fact.host, 0) + 1

    def gone(self, fact: Gone) -> None:
        """A confirmed end: nothing of it is left to fence."""
        if self._stage.machines[fact.host].powered and self._since.get(fact.vm, ("", 0))[0] == fact.host:
            del self._since[fact.vm]

    def resumed(self, fact: Resumed) -> None:
        """Where it was, or where it has migrated to: a copy that never ran is nobody's last domain."""
        self._require_still(fact)
        self._since[fact.vm] = (fact.host, self._joins.get(fact.host, 0))

    def owned(self, fact: Owned) -> None:
        """With the volume the right goes to the host where a migration's copy waits for it, whole: the source cannot go on,
        and who is to be proved lost from now on is that host."""
        volume = self._stage.store.ledger.get(Volume, fact.volume)
        machine = self._stage.machines.get(fact.owner)
        copy = machine.guests.get(volume.vm) if volume is not None and machine is not None else None
        if copy is not None and copy.state is DomainState.INCOMING and copy.epoch == fact.epoch:
            self._since[copy.vm] = (fact.owner, self._joins.get(fact.owner, 0))

    def started(self, fact: Started) -> None:
        if fact.incoming:
            return
        self._require_still(fact)
        old, joins = self._since.get(fact.vm, ("", 0))
        self._since[fact.vm] = (fact.host, self._joins.get(fact.host, 0))
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
