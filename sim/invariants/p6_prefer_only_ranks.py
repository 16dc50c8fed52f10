from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ave.model.group import Aspect, Group
from ave.model.host import Host
from ave.model.vm import VM, VMState
from ave.model.work import ENDED, Work, WorkState
from ave.operations import OPERATIONS
from ave.placement.purpose import Purpose
from ave.scheduler.steps import PLACE
from drivers.sim.facts import Disturbed, Gone, Powered, Resumed, Revoked, Started
from sim.invariants.hard_rules import fits, groups_of
from sim.invariants.shape import Stage, Violation

BACK_SECONDS = 1800.0  # so long nobody but a user or a loss brings a VM back to where it was


class PreferOnlyRanks:
    """Armed by every answer about a VM with a prefer rule, and by every move that no user asked for.

    Of a refusal: while it was asked for, was there a host that fitted all the time? Then only a preference can have kept
    the VM from it. VMs that must share a host with others are left out: one alone may fit where all do not.
    """

    id = "P6"
    phrase = "a prefer rule leaves no VM off that could run, and nobody but its user moves a VM to and fro"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._fit: dict[str, dict[str, dict[str, None]]] = {}  # place task -> VM -> hosts that fitted all the time
        self._on: dict[str, tuple[str, float]] = {}  # VM -> where it runs, and since when
        self._before: dict[str, tuple[str, float]] = {}  # VM -> where it was before that, and until when
        self._epochs: dict[str, int] = {}  # VM -> the newest in which it ran
        self._ended: dict[str, None] = {}  # VMs that a Job of their user ended where they ran
        self._sent: dict[
            str, tuple[str, int]
        ] = {}  # VM -> where its user's migration gave it the right to run, and epoch
        self._lost: dict[str, float] = {}  # host -> when something last befell it

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {
            "work": self.work,
            "vm": self.recorded,
            **dict.fromkeys(("host", "group"), self.moved),
            Powered: self.lost,
            Revoked: self.lost,
            Disturbed: self.disturbed,
            Started: self.runs,
            Resumed: self.runs,
            Gone: self.gone,
        }

    # Refusals

    def work(self, change: tuple[str, Work | None]) -> None:
        id, work = change
        if work is None or work.function != PLACE:
            return
        if work.state is WorkState.RUNNING and id not in self._fit:
            concerned = [vm for vm in work.arguments["vms"] if self._only_prefers(vm)]
            if concerned:
                self._fit[id] = {vm: dict.fromkeys(self._fitting(vm, work)) for vm in concerned}
        if id in self._fit and work.state in ENDED:
            self._narrow(id)
            self._judge(work, self._fit.pop(id))

    def moved(self, change: tuple[str, Any]) -> None:
        for task in self._fit:
            self._narrow(task)

    def recorded(self, change: tuple[str, VM | None]) -> None:
        id, vm = change
        if vm is None:
            self._sent.pop(id, None)
        else:
            self._hand_over(vm)
        self.moved(change)

    def _narrow(self, task: str) -> None:
        work = self._stage.store.ledger.get(Work, task)
        for vm, hosts in self._fit[task].items():
            fitting = dict.fromkeys(self._fitting(vm, work)) if hosts else {}
            self._fit[task][vm] = {host: None for host in hosts if host in fitting}

    def _judge(self, work: Work, fitted: Mapping[str, Mapping[str, None]]) -> None:
        for vm, hosts in fitted.items():
            if vm not in work.facts:
                continue
            self.armed += 1
            if work.facts[vm].refusal and hosts:
                host = next(iter(hosts))
                what = f"{vm} was refused while {host} fitted: {work.facts[vm].refusal}"
                raise Violation(self.id, what, (vm, host, work.job))

    def _only_prefers(self, vm: str) -> bool:
        groups = groups_of(self._stage, vm)
        bound = any(group.rule.must and group.rule.aspect is Aspect.SAME_HOST for group in groups)
        return not bound and any(_prefers(group) for group in groups)

    def _fitting(self, name: str, work: Work | None) -> Iterator[str]:
        vm = self._stage.vm(name)
        if vm is None or work is None:
            return
        asked = work.arguments
        for host in self._stage.store.ledger.find(Host, {}, (), 0, None):
            ruled_out = asked.get("host") not in (None, "", host.id) or (asked.get("leave") and vm.host == host.id)
            if not ruled_out and fits(self._stage, vm, host, rescue=asked["purpose"] == Purpose.RESCUE):
                yield host.id

    # Moves

    def _hand_over(self, vm: VM) -> None:
        """From then on it is where its user sent it, though its copy may be lost before it runs there: whoever then starts it
        at that place brings it nowhere else."""
        newest = max(self._sent.get(vm.id, ("", 0))[1], self._epochs.get(vm.id, 0))
        moved = vm.state is VMState.RUNNING and vm.epoch > newest and vm.host != self._on.get(vm.id, ("", 0.0))[0]
        if moved and self._asked_for(vm.id):
            self._sent[vm.id] = (vm.host, vm.epoch)

    def lost(self, fact: Powered | Revoked) -> None:
        self._lost[fact.host] = self._stage.now()

    def disturbed(self, fact: Disturbed) -> None:
        self._lost |= dict.fromkeys(fact.harms, self._stage.now())

    def runs(self, fact: Started | Resumed) -> None:
        if isinstance(fact, Started) and fact.incoming:
            return  # it runs there when it is resumed
        if fact.epoch < self._epochs.get(fact.vm, 0):
            return  # a copy that has no right any more: the VM has not moved with it
        self._epochs[fact.vm] = fact.epoch
        now = self._stage.now()
        last, since = self._on.get(fact.vm, (fact.host, now))
        if last == fact.host:
            self._ended.pop(fact.vm, None)
            self._on.setdefault(fact.vm, (fact.host, now))
            return
        was, until = self._before.get(fact.vm, ("", 0.0))
        self._on[fact.vm], self._before[fact.vm] = (fact.host, now), (last, now)
        ended = fact.vm in self._ended
        self._ended.pop(fact.vm, None)
        sent, _ = self._sent.pop(fact.vm, ("", 0))
        if self._asked_for(fact.vm) or sent == fact.host:
            return
        self.armed += 1
        if ended and isinstance(fact, Started):
            return  # its user's restart got no further than the stop: who ends it does not move it
        if was == fact.host and now - until < BACK_SECONDS and self._lost.get(last, -1.0) < since:
            what = f"{fact.vm} went from {was} to {last} and back within {now - until:.0f} s, and nobody asked for it"
            raise Violation(self.id, what, (fact.vm, was, last))

    def gone(self, fact: Gone) -> None:
        if self._on.get(fact.vm, ("", 0.0))[0] == fact.host and self._asked_for(fact.vm):
            self._ended[fact.vm] = None

    def _asked_for(self, vm: str) -> bool:
        """By a user, in the Job that holds it."""
        work = self._stage.store.ledger.get(Work, self._stage.lock_holder(f"vm/{vm}"))
        return work is not None and OPERATIONS[work.operation].by_user


def _prefers(group: Group) -> bool:
    return not group.rule.must
