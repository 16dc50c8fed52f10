from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ave.ha.timing import RENEW_SECONDS
from drivers.sim.facts import Deposed, Disturbed, Elected, Gone, Paused, Powered, Resumed, Started
from sim.invariants.shape import Stage, Violation

AFTERMATH_SECONDS = 300.0  # how long after its end a harm may still show


class StaticStability:
    """Armed by every disturbance that harms no host while VMs run.

    A host is harmed by what was done to itself, or when it has been without the storage or its leader for nearly a lease.
    """

    id = "H2"
    phrase = "no VM stops or pauses because of something that does not harm its own host"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._harmed: dict[str, float] = {}  # host, or "vm/" and a VM -> until when
        self._under_way: dict[str, int] = {}  # the same -> harms that will have an end
        self._copies: dict[int, None] = {}  # incoming domains
        self._epochs: dict[int, int] = {}  # domain -> the VM's epoch in which it was started
        self._paused: dict[int, None] = {}
        #: host -> since when it is without storage or its leader, and since when it has both again: only for so long that it
        #: may not have renewed its lease
        self._without: dict[str, tuple[float, float]] = {}
        self._network = next((machine.network for machine in stage.machines.values()), None)
        if self._network is not None:
            self._network.on_change(lambda: self.look(None))

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {
            Powered: self.powered,
            Disturbed: self.disturbed,
            Elected: self.look,
            Deposed: self.look,
            Started: self.started,
            Resumed: self.ran,
            Paused: self.stopped,
            Gone: self.stopped,
        }

    def powered(self, fact: Powered) -> None:
        if self._stage.now() > 0.0:  # where the story begins nobody comes back from anything
            self._harm(fact.host, for_ever=not fact.on)
        self.look(fact)

    def disturbed(self, fact: Disturbed) -> None:
        for key in (*fact.harms, *(f"vm/{vm}" for vm in fact.vms)):
            if fact.lasting:
                self._under_way[key] = self._under_way.get(key, 0) + (-1 if fact.over else 1)
            self._harm(key, for_ever=not fact.over)
        if not fact.harms and not fact.over:
            self.armed += any(machine.guests for machine in self._stage.machines.values())
        self.look(fact)

    def look(self, _: object) -> None:
        """Who is without storage now, and for whom is that over? On a slow line a connection lasts, but no other is made."""
        storage = self._stage.storage
        whole = self._network is not None and self._network.whole
        if whole and storage.leader is not None and not self._without:
            return  # nobody is, nor was: the usual case, with a thousand hosts powered on one by one
        now = self._stage.now()
        for host in self._stage.machines:
            since, again = self._without.get(host, (now, math.inf))
            if now - again >= RENEW_SECONDS:
                since, again = now, math.inf
                self._without.pop(host, None)
            led = storage.led_for(host) and (host not in self._without or storage.connects(host))
            if not storage.reached_by(host) or not led:
                self._without[host] = since, math.inf
            elif host in self._without and again == math.inf:
                if self._lease_could_end(host):
                    self._harm(host, for_ever=False)
                self._without[host] = since, now

    def started(self, fact: Started) -> None:
        self._epochs[fact.instance] = fact.epoch
        if fact.incoming:
            self._copies[fact.instance] = None

    def ran(self, fact: Resumed) -> None:
        self._copies.pop(fact.instance, None)
        self._paused.pop(fact.instance, None)

    def stopped(self, fact: Paused | Gone) -> None:
        if fact.instance in self._copies:
            return  # a migration's copy that never ran: nobody's VM stops with it
        if isinstance(fact, Gone) and fact.itself:
            return  # nothing out here had a part in it
        if isinstance(fact, Paused):
            self._paused[fact.instance] = None
        elif self._given_away(fact):
            return
        harmed = max(self._harmed.get(key, -1.0) for key in (fact.host, f"vm/{fact.vm}"))
        if self._stage.now() <= harmed or self._lease_could_end(fact.host):
            return
        if self._stage.lock_holder(f"vm/{fact.vm}"):
            return  # a Job that somebody asked for is at work on it
        verb = "paused" if isinstance(fact, Paused) else "ended"
        raise Violation(self.id, f"{fact.vm} {verb} on {fact.host}, which nothing had harmed", (fact.vm, fact.host))

    def _given_away(self, fact: Gone) -> bool:
        """Did it stand still, and was the right to run given elsewhere since, or was it deleted there? What migrated has not
        stopped with it."""
        vm = self._stage.vm(fact.vm)
        epoch = self._epochs.pop(fact.instance, 0)
        still = fact.instance in self._paused
        self._paused.pop(fact.instance, None)
        return still and (vm is None or vm.epoch > epoch)

    def _lease_could_end(self, host: str) -> bool:
        since, again = self._without.get(host, (math.inf, math.inf))
        now = self._stage.now()
        return now - again < RENEW_SECONDS and now - since >= self._stage.timing.give_up - 2 * RENEW_SECONDS

    def _harm(self, key: str, *, for_ever: bool) -> None:
        """The end of one harm is not the end of another."""
        lasts = for_ever or self._under_way.get(key, 0) > 0
        self._harmed[key] = math.inf if lasts else self._stage.now() + AFTERMATH_SECONDS
