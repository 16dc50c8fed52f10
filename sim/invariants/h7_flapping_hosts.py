from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from ave.model.host import Host
from ave.model.vm import VM
from ave.model.work import Work
from ave.operations import OPERATIONS
from drivers.sim.facts import Disturbed, Gone, Powered, Resumed, Revoked, Started
from sim.invariants.shape import Stage, Violation

HOUR_SECONDS = 3600.0
RESTARTS = 2
RESCUE = "ha.rescue"  # who is revived was not lost with its host: its guest had fallen silent
STEADY_SECONDS = 297.0  # who has stood so long before it dies again does not flap; a clock may be one per cent slow


class FlappingHosts:
    """Armed by every restart of a VM within an hour of an earlier one on account of the same host, if that has not stood for
    five minutes since. A user who brings a VM to that host wants it there, whatever became of it before.
    """

    id = "H7"
    phrase = "a host that dies again and again, within minutes, costs a VM at most two restarts an hour"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._on: dict[str, tuple[str, float, int]] = {}  # VM -> where it began to run last, when, and its epoch
        self._ended: dict[
            str, None
        ] = {}  # VMs whose last end was their own or their user's, and not on account of their host
        self._lost: dict[str, float] = {}  # host -> when something last befell it
        self._back: dict[str, tuple[int, float]] = {}  # host -> its epoch, and since when it stands in that
        self._restarts: dict[tuple[str, str], deque[float]] = {}  # VM and host on whose account -> when

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {
            "host": self.host,
            "vm": self.vm,
            Powered: self.lost,
            Revoked: self.lost,
            Disturbed: self.disturbed,
            Started: self.started,
            Resumed: self.arrived,
            Gone: self.gone,
        }

    def host(self, change: tuple[str, Host | None]) -> None:
        id, host = change
        if host is not None and self._back.get(id, (0, 0.0))[0] != host.epoch:
            self._back[id] = host.epoch, self._stage.now()

    def vm(self, change: tuple[str, VM | None]) -> None:
        """Another VM may come to have its name."""
        id, vm = change
        if vm is None:
            for key in [key for key in self._restarts if key[0] == id]:
                del self._restarts[key]

    def lost(self, fact: Powered | Revoked) -> None:
        now = self._lost[fact.host] = self._stage.now()
        if isinstance(fact, Powered) and fact.on:
            return
        epoch, since = self._back.get(fact.host, (0, math.inf))
        if now - since >= STEADY_SECONDS:
            for key in [key for key in self._restarts if key[1] == fact.host]:
                del self._restarts[key]
        self._back[fact.host] = epoch, math.inf  # of one loss, what it begins with counts

    def disturbed(self, fact: Disturbed) -> None:
        self._lost |= dict.fromkeys(fact.harms, self._stage.now())

    def gone(self, fact: Gone) -> None:
        if fact.itself or self._asked_for(fact.vm):
            self._ended[fact.vm] = None

    def arrived(self, fact: Resumed) -> None:
        host, _, epoch = self._on.get(fact.vm, ("", 0.0, 0))
        if host != fact.host and fact.epoch >= epoch:  # else a copy wakes that is no longer the VM
            self._on[fact.vm] = (fact.host, self._stage.now(), fact.epoch)
            self._forgive(fact)

    def started(self, fact: Started) -> None:
        if fact.incoming:
            return
        now = self._stage.now()
        old, since, _ = self._on.get(fact.vm, ("", now, 0))
        self._on[fact.vm] = (fact.host, now, fact.epoch)
        self._forgive(fact)
        if fact.vm in self._ended:
            del self._ended[fact.vm]
        elif fact.job.startswith(RESCUE) and self._lost.get(old, -1.0) >= since:
            self._count(fact.vm, old)

    def _count(self, vm: str, host: str) -> None:
        now = self._stage.now()
        restarts = self._restarts.setdefault((vm, host), deque())
        while restarts and restarts[0] < now - HOUR_SECONDS:
            restarts.popleft()
        self.armed += bool(restarts)
        restarts.append(now)
        if len(restarts) > RESTARTS:
            what = f"{vm} was restarted {len(restarts)} times within an hour because of {host}"
            raise Violation(self.id, what, (vm, host))

    def _forgive(self, fact: Started | Resumed) -> None:
        if self._asked_for(fact.vm):
            self._restarts.pop((fact.vm, fact.host), None)

    def _asked_for(self, vm: str) -> bool:
        """Is a Job of its user at work on it?"""
        work = self._stage.store.ledger.get(Work, self._stage.lock_holder(f"vm/{vm}"))
        return work is not None and OPERATIONS[work.operation].by_user
