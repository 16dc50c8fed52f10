from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ave.model.cluster import lock_name
from ave.model.vm import VM, VMState
from drivers.sim.facts import Gone, Paused, Resumed
from drivers.sim.guest import Guest
from drivers.sim.machine import Machine
from sim.invariants.shape import Stage, Violation

IN_TIME_SECONDS = 10.0
RENEWED_SECONDS = 5.0  # a lease that was renewed so lately is there
STARTING_SECONDS = 5.0  # a process that was killed is back, and has read what it needs


class PausedNoLonger:
    """Armed by every VM that goes on where it stood still, though no Job resumes it, and by every one that stood still on a
    fenced host and is destroyed there. A host whose lease has ended, and was not revoked, ends nothing: it may come back.

    A host knows by itself what it has paused; what it did not pause itself, it must ask the store about. So time counts
    while its node runs and reaches both, while its hypervisor says what is there, and while the domain's process can be
    moved: one that hangs goes on only when it answers, and one that not even kill -9 ends stays.
    """

    id = "H5"
    phrase = (
        "the end of a lease pauses VMs and ends none; they go on within 10 s when it is back, and are gone within 10 s of "
        "contact if their host was fenced"
    )

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._still: dict[str, dict[str, None]] = {}  # host -> VMs that stand still there
        self._since: dict[int, float] = {}  # domain -> since when its host could deal with it

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {Paused: self.stands, Resumed: self.resumed, Gone: self.gone, "tick": self.tick}

    def stands(self, fact: Paused) -> None:
        self._still.setdefault(fact.host, {})[fact.vm] = None

    def resumed(self, fact: Resumed) -> None:
        self.armed += self._left(fact) and not self._locked(fact.vm)

    def gone(self, fact: Gone) -> None:
        lease = self._stage.storage.leases.get(fact.host)
        self.armed += (
            self._left(fact) and lease is not None and lease.revoked and self._stage.machines[fact.host].powered
        )
        if self._ended_for_its_lease(fact):
            raise Violation(
                self.id, f"{fact.vm} ended on {fact.host}, which had only lost its lease", (fact.vm, fact.host)
            )

    def _ended_for_its_lease(self, fact: Gone) -> bool:
        """Did a host without a lease end what nobody else was given, and no Job is at work on?"""
        machine, lease = self._stage.machines[fact.host], self._stage.storage.leases.get(fact.host)
        vm, host = self._stage.vm(fact.vm), self._stage.host(fact.host)
        if vm is None or host is None or lease is None or self._locked(fact.vm):
            return False
        if self._stage.calm.disturbed_at == self._stage.now():
            return False  # a fault ended it
        over = machine.powered and machine.clock.now() >= machine.held_until
        unrevoked = not lease.revoked and lease.boot == machine.facts.boot
        its_own = vm.host == host.id and vm.host_epoch == host.epoch and vm.state is VMState.RUNNING
        return over and unrevoked and its_own

    def _left(self, fact: Resumed | Gone) -> bool:
        """Is it one that stood still here?"""
        return self._still.get(fact.host, {}).pop(fact.vm, "") is None

    def tick(self, now: float) -> None:
        since: dict[int, float] = {}
        for host, vms in self._still.items():
            machine = self._stage.machines[host]
            if not vms or not self._able(machine):
                continue
            for guest, what in self._waiting(machine, vms):
                began = since[guest.instance] = self._since.get(guest.instance, now)
                if (
                    self._stage.calm.lasted(max(began, self._stage.calm.disturbed_at + STARTING_SECONDS))
                    > IN_TIME_SECONDS
                ):
                    late = now - began
                    raise Violation(self.id, f"{guest.vm} {what} on {host}, {late:.0f} s later", (guest.vm, host))
        self._since = since

    def _able(self, machine: Machine) -> bool:
        stage, host = self._stage, machine.name
        there = machine.powered and machine.network.up(host) and machine.works("node") and machine.listable
        storage = there and stage.storage.led_for(host) and stage.storage.reached_by(host)
        return storage and stage.storage.connects(host) and stage.store.serves(host)

    def _waiting(self, machine: Machine, vms: Mapping[str, None]) -> Iterator[tuple[Guest, str]]:
        lease = self._stage.storage.leases.get(machine.name)
        if lease is None or lease.boot != machine.facts.boot:
            return
        has_it = not lease.revoked and self._stage.now() - lease.renewed_at <= RENEWED_SECONDS
        for name in vms:
            guest = machine.guests.get(name)
            if guest is None or guest.state != "paused" or guest.migrating or self._locked(name):
                continue
            hangs = machine.mute.get(name)  # None: it answers; True: it cannot even be killed
            if lease.revoked and not hangs:
                yield guest, "was not destroyed after its host was fenced"
            elif has_it and hangs is None and not machine.initiator.stuck(guest) and self._should_run(machine, guest):
                yield guest, "stands still though the lease is back"

    def _should_run(self, machine: Machine, guest: Guest) -> bool:
        vm, host = self._stage.vm(guest.vm), self._stage.host(machine.name)
        here = vm is not None and host is not None and vm.host == host.id and vm.host_epoch == host.epoch
        return here and vm is not None and vm.state is VMState.RUNNING and vm.epoch == guest.epoch

    def _locked(self, vm: str) -> bool:
        return self._stage.lock_holder(lock_name(VM, vm)) != ""
