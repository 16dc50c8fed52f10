"""How long the vCPUs of VMs stood still, by what the world shows; the control plane is not asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any

import msgspec

from drivers.sim.facts import Disturbed, Gone, Paused, Resumed, Revoked, Started


class Sample(msgspec.Struct, frozen=True):
    """One VM and what befell it. ``back``: from the fault to the end of its last standstill; 0 if it never stood still."""

    down: float
    back: float
    missing: bool = False  # it still stood still at the end, until which it is counted


class Hit(msgspec.Struct):
    """A fault, and the VMs that it may stop: those that ran on this host, or single ones. If it harms nobody: all there are."""

    what: str
    host: str
    at: float
    harms: bool
    gaps: dict[str, list[tuple[float, float]]]  # by VM: from when to when nothing of it ran
    fenced: bool = False  # its storage lease was revoked because of it

    def samples(self, missing: Collection[str] = ()) -> list[Sample]:
        return [self._sample(gaps, vm in missing) for vm, gaps in self.gaps.items()]

    def _sample(self, gaps: list[tuple[float, float]], missing: bool) -> Sample:
        down = math.fsum(end - begin for begin, end in gaps)
        return Sample(down, max(end for _, end in gaps) - self.at if gaps else 0.0, missing)


class Watch:
    """Listens to a world from before it is powered on. A standstill belongs to the latest hit that its VM has met."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.hits: list[Hit] = []
        self.innocents: list[str] = []  # hosts that were fenced though nothing that may stop VMs had befallen them
        self._now = now
        self._running: dict[str, dict[int, str]] = {}  # VM -> its domains whose vCPUs run, and their hosts
        self._since: dict[str, float] = {}
        self._met: dict[str, Hit] = {}
        self._saw: dict[type[Any], Callable[[Any], None]] = {
            Disturbed: self._disturbed,
            Started: self._started,
            Resumed: self._runs,
            Paused: self._stands,
            Gone: self._stands,
            Revoked: self._revoked,
        }

    def listen(self, fact: Any) -> None:
        handler = self._saw.get(type(fact))
        if handler is not None:
            handler(fact)

    def close(self) -> set[str]:
        """The end of the run: the VMs that stand still are counted up to now, and named."""
        missing = {vm for vm in self._since if vm in self._met}
        for vm in list(self._since):
            self._end(vm)
        return missing

    def _disturbed(self, fact: Disturbed) -> None:
        if fact.over:
            return
        for host in fact.harms:
            on = [vm for vm, domains in self._running.items() if host in domains.values()]
            self._hit(Hit(fact.what, host, self._now(), True, {vm: [] for vm in on}))
        if not fact.harms:
            self._hit(Hit(fact.what, "", self._now(), bool(fact.vms), {vm: [] for vm in fact.vms or self._running}))

    def _hit(self, hit: Hit) -> None:
        self.hits.append(hit)
        for vm in hit.gaps:
            if hit.harms or vm not in self._met:  # what harms nobody takes no standstill from what does
                self._met[vm] = hit

    def _started(self, fact: Started) -> None:
        if not fact.incoming:
            self._runs(fact)

    def _runs(self, fact: Started | Resumed) -> None:
        self._running.setdefault(fact.vm, {})[fact.instance] = fact.host
        if fact.vm in self._since:
            self._end(fact.vm)

    def _stands(self, fact: Paused | Gone) -> None:
        domains = self._running.get(fact.vm, {})
        if domains.pop(fact.instance, None) is not None and not domains:
            self._since[fact.vm] = self._now()

    def _end(self, vm: str) -> None:
        since = self._since.pop(vm)
        if vm in self._met and self._now() > since:
            self._met[vm].gaps[vm].append((since, self._now()))

    def _revoked(self, fact: Revoked) -> None:
        hits = [hit for hit in self.hits if hit.host == fact.host]
        if hits:
            hits[-1].fenced = True
        else:
            self.innocents.append(fact.host)
