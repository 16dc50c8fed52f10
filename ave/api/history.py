"""Figures over time, for charts: counted change by change, and kept for some hours by each host. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Any

from ave.api.shown import is_job
from ave.model.host import Host, HostState
from ave.model.vm import VM, VMState
from ave.model.work import ENDED, Work
from ave.operations import OPERATIONS, JobType

EVERY_SECONDS = 10.0  # of the store's clock
POINTS = 4_320  # 12 hours of them

Row = dict[str, float]
Change = tuple[Any, Any]  # what was and what is; None: nothing


class History:
    """``taken``: how many points so far; those that are forgotten too."""

    def __init__(self) -> None:
        self.taken = 0
        self._rows: deque[Row] = deque(maxlen=POINTS)
        self._sums: Counter[str] = Counter()
        self._next = 0.0

    def begin(self, docs: Iterable[Any]) -> None:
        """All that there is; what was counted before stands no more, the points do."""
        self._sums.clear()
        for doc in docs:
            self._add(doc, 1)

    def change(self, at: float, changes: Iterable[Change]) -> None:
        """``at``: the store's time. The first change of an interval closes the one before it."""
        if at >= self._next:
            self._take(at)
        for old, new in changes:
            self.count(old, new)

    def count(self, old: Any, new: Any) -> None:
        if old is not None:
            self._add(old, -1)
        if new is not None:
            self._add(new, 1)

    def since(self, taken: int) -> list[Row]:
        """The points after that many."""
        new = min(self.taken - taken, len(self._rows))
        return list(self._rows)[len(self._rows) - new :] if new > 0 else []

    def columns(self) -> dict[str, list[float]]:
        """Of equal length; "t" is when, in seconds of the store's clock."""
        return {name: [row[name] for row in self._rows] for name in self._rows[-1]} if self._rows else {"t": []}

    def _take(self, at: float) -> None:
        self._next = at - at % EVERY_SECONDS + EVERY_SECONDS
        self._rows.append({"t": round(at, 3), **self.row()})
        self.taken += 1

    def row(self) -> Row:
        """What a point would be now; shares are of what hosts that are online have for VMs."""
        sums = self._sums
        return {
            "vms.total": sums["vms"],
            "vms.running": sums["vms running"],
            "vms.unknown": sums["vms unknown"],
            "hosts.total": sums["hosts"],
            "hosts.online": sums["hosts online"],
            "jobs.active": sums["jobs"],
            "cpu.share": _share(sums["vcpus"], sums["cpus"]),
            "memory.share": _share(sums["memory held"], sums["memory"]),
        }

    def _add(self, doc: Any, sign: int) -> None:
        sums = self._sums
        if isinstance(doc, VM):
            sums["vms"] += sign
            sums["vms running"] += sign * (doc.state is VMState.RUNNING)
            sums["vms unknown"] += sign * (doc.state is VMState.UNKNOWN)
            if doc.holds_memory:
                sums["vcpus"] += sign * doc.vcpus
                sums["memory held"] += sign * doc.memory_mib
        elif isinstance(doc, Host):
            sums["hosts"] += sign
            if doc.state is HostState.ONLINE:
                sums["hosts online"] += sign
                sums["cpus"] += sign * doc.cpus
                sums["memory"] += sign * (doc.memory_mib - doc.reserve_mib)
        elif isinstance(doc, Work) and is_job(doc) and doc.state not in ENDED:
            operation = OPERATIONS.get(doc.operation)
            if operation is None or operation.type is not JobType.SCHEDULED:
                sums["jobs"] += sign


def _share(part: float, whole: float) -> float:
    return round(part / whole, 4) if whole else 0.0
