"""Capacity replay: a workload against the placement code of the control plane, with no heartbeat, Job or failure.

VMs arrive, run for their life and leave. Whom nothing fits is refused and does not come again. VMs of one batch that
arrive at one moment are placed together; whoever leaves at that moment has made room before. They are spread as the control
plane does, or packed, single ones too, to see how many hosts that would leave empty.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import Counter
from heapq import heappop, heappush
from itertools import groupby, islice
from math import inf, nextafter
from operator import itemgetter
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from ave.errors import NoFit
from ave.model.host import Host, HostState
from ave.model.vm import VM, VMState
from ave.placement.batch import place_batch
from ave.placement.explanation import Choice
from ave.placement.place import place
from ave.placement.purpose import Purpose
from ave.placement.view import View

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.scenario.model import Topology
    from sim.traces import Row, Workload

STEP_SECONDS = 300.0
TELL_EVERY = 1000  # VMs between two calls of progress


class Moment(msgspec.Struct, frozen=True):
    vcpus: int
    memory_mib: int
    vms: int
    empty_hosts: int


class Series(msgspec.Struct, frozen=True):
    """Moments in columns: entry ``n`` is how things stood after all that happened up to ``n * step`` seconds."""

    step: float
    vcpus: list[int]
    memory_mib: list[int]
    vms: list[int]
    empty_hosts: list[int]


class Utilisation(msgspec.Struct, frozen=True):
    """What became of a workload.

    A refused VM counts once in ``refused_by``, for the filter that turned away most hosts; of equals, for the one
    further down the chain, because its hosts came closer. ``turned_away`` counts hosts: of every refused VM all of
    them, each for the first filter it failed.
    """

    hosts: int
    cpus: int
    memory_mib: int  # without what the hosts keep for themselves
    placed: int
    refused: int
    packed_batches: int  # placed compactly: because spreading would have placed fewer VMs, or because all are
    refused_by: dict[str, int]
    turned_away: dict[str, int]
    series: Series
    peak: Moment  # the most there was at any time of each; of empty hosts, the fewest
    final: Moment
    decisions: str  # SHA-256 of "vm host\n" in the order of decisions, with no host for a refused VM


def empty_cluster(topology: Topology) -> View:
    """The hosts of a scenario, online and without VMs."""
    view = View()
    for host in topology.hosts():
        view.put_host(
            Host(
                id=host.name,
                state=HostState.ONLINE,
                zone=host.zone or "",
                master=host.master,
                cpus=host.cpu,
                memory_mib=host.memory_mib,
                reserve_mib=host.reserve_mib,
                networks=host.networks,
                cpu_model=host.cpu_model,
                exclusive_cpus=host.exclusive_cpus,
                nics_max=host.nics,
                volumes_max=host.volumes,
            )
        )
    return view


def replay(
    view: View,
    workload: Workload,
    *,
    until: float,
    step: float = STEP_SECONDS,
    pack: bool = False,
    progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Utilisation:
    """Plays all that happens up to ``until`` on this view, and leaves there what is there then.

    ``progress`` is told how many VMs have been decided on, of how many. When ``stop`` says so it ends before the next
    batch, with what was known by then.
    """
    run = _Run(view, step, pack)
    total = bisect_right(workload.arrive, until)
    told = 0
    for (moment, _), group in groupby(islice(workload.rows(), total), key=itemgetter(1, 2)):
        if stop():
            return run.utilisation()
        run.leave_up_to(moment)
        run.write_down_before(moment)
        run.arrive(moment, list(group))
        if progress is not None and run.decided - told >= TELL_EVERY:
            told = run.decided
            progress(told, total)
    run.leave_up_to(until)
    run.write_down_before(nextafter(until, inf))
    if progress is not None:
        progress(run.decided, total)
    return run.utilisation()


class _Run:
    def __init__(self, view: View, step: float, pack: bool) -> None:
        self._view, self._pack = view, pack
        self._vcpus = sum(view.running_vcpus.tolist())
        self._memory_mib = sum(view.held_mib.tolist())
        self._vms = sum(view.vm_count.tolist())
        self._empty_hosts = view.vm_count.tolist().count(0)
        self._peak = self._moment()
        self._series = Series(step, [], [], [], [])
        self._leaving: list[tuple[float, int, VM]] = []  # who leaves first, and of those who was decided on first
        self._placed = self._refused = self._packed_batches = 0
        self._refused_by: Counter[str] = Counter()
        self._turned_away: Counter[str] = Counter()
        self._decisions = hashlib.sha256()

    @property
    def decided(self) -> int:
        return self._placed + self._refused

    def leave_up_to(self, moment: float) -> None:
        while self._leaving and self._leaving[0][0] <= moment:
            left, _, vm = heappop(self._leaving)
            self.write_down_before(left)
            self._view.drop_vm(vm.id)
            self._count(vm, -1)

    def write_down_before(self, moment: float) -> None:
        series = self._series
        while len(series.vms) * series.step < moment:
            series.vcpus.append(self._vcpus)
            series.memory_mib.append(self._memory_mib)
            series.vms.append(self._vms)
            series.empty_hosts.append(self._empty_hosts)

    def arrive(self, moment: float, rows: list[Row]) -> None:
        asked = {row[0]: VM(id=row[0], vcpus=row[3], memory_mib=row[4]) for row in rows}
        lives = {row[0]: row[5] for row in rows}
        placed, refused = self._decide(list(asked.values()))
        for name, choice in placed.items():
            vm = replace(asked[name], state=VMState.RUNNING, host=choice.host)
            self._placed += 1
            self._count(vm, 1)
            self._view.put_vm(vm)
            if (life := lives[name]) is not None:
                heappush(self._leaving, (moment + life, self._placed, vm))
            self._decisions.update(f"{name} {choice.host}\n".encode())
        for name, refusal in refused.items():
            self._refuse(refusal)
            self._decisions.update(f"{name} \n".encode())
        self._widen_peak()

    def utilisation(self) -> Utilisation:
        view = self._view
        return Utilisation(
            hosts=len(view),
            cpus=sum(view.cpus.tolist()),
            memory_mib=sum(view.memory_mib.tolist()) - sum(view.reserve_mib.tolist()),
            placed=self._placed,
            refused=self._refused,
            packed_batches=self._packed_batches,
            refused_by=dict(sorted(self._refused_by.items())),
            turned_away=dict(sorted(self._turned_away.items())),
            series=self._series,
            peak=self._peak,
            final=self._moment(),
            decisions=self._decisions.hexdigest(),
        )

    def _decide(self, vms: list[VM]) -> tuple[dict[str, Choice], dict[str, NoFit]]:
        if len(vms) == 1 and not self._pack:
            try:
                return {vms[0].id: place(self._view, vms[0], Purpose.START)}, {}
            except NoFit as refusal:
                return {}, {vms[0].id: refusal}
        batch = place_batch(self._view, vms, Purpose.START, pack=self._pack)
        self._packed_batches += batch.plan == "compact"
        return batch.placed, batch.refused

    def _refuse(self, refusal: NoFit) -> None:
        self._refused += 1
        self._turned_away.update(refusal.rejected)
        if refusal.rejected:  # a cluster may have no hosts at all
            most = max(reversed(list(refusal.rejected)), key=refusal.rejected.__getitem__)
            self._refused_by[most] += 1

    def _count(self, vm: VM, sign: int) -> None:
        """To be called while the VM is not on the view: before it comes, or after it has left."""
        self._vcpus += sign * vm.vcpus
        self._memory_mib += sign * vm.memory_mib
        self._vms += sign
        if not self._view.vm_count[self._view.rows[vm.host]]:
            self._empty_hosts -= sign

    def _moment(self) -> Moment:
        return Moment(self._vcpus, self._memory_mib, self._vms, self._empty_hosts)

    def _widen_peak(self) -> None:
        peak = self._peak
        self._peak = Moment(
            max(peak.vcpus, self._vcpus),
            max(peak.memory_mib, self._memory_mib),
            max(peak.vms, self._vms),
            min(peak.empty_hosts, self._empty_hosts),
        )
