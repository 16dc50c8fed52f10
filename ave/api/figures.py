"""Figures for monitoring, from the view alone: one row for each. Pure; names and units are Prometheus's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import msgspec

from ave.api.shown import is_job
from ave.api.view import View
from ave.model.host import HostState
from ave.model.vm import VM, VMState
from ave.model.work import WorkState

MIB, GIB = 1 << 20, 1 << 30

Sample = tuple[tuple[str, ...], float]  # the values of the labels, and the figure


class Figure(msgspec.Struct, frozen=True):
    name: str
    phrase: str
    labels: tuple[str, ...]
    samples: Callable[[View], Iterable[Sample]]


def _states(kind: str, states: Iterable[str]) -> Callable[[View], Iterable[Sample]]:
    """Those that nobody is in are 0, not absent: who watches for trouble sees a line that begins at 0."""

    def samples(view: View) -> Iterable[Sample]:
        counted = Counter(str(doc.state) for doc in view.docs(kind).values())
        return [((str(state),), counted[str(state)]) for state in states]

    return samples


def _jobs(view: View) -> Iterable[Sample]:
    counted = Counter(str(work.state) for work in view.docs("work").values() if is_job(work))
    return [((str(state),), counted[str(state)]) for state in WorkState]


def _count_by_host(view: View) -> Iterable[Sample]:
    return _by_host(view, lambda vm: 1.0)


def _memory_by_host(view: View) -> Iterable[Sample]:
    return _by_host(view, lambda vm: float(vm.memory_mib * MIB))


def _by_host(view: View, weight: Callable[[VM], float]) -> Iterable[Sample]:
    total = dict.fromkeys(view.docs("host"), 0.0)
    for vm in view.docs("vm").values():
        if vm.holds_memory and vm.host in total:
            total[vm.host] += weight(vm)
    return [((host,), sum) for host, sum in total.items()]


def _alarms(view: View) -> Iterable[Sample]:
    return [((), float(len(view.docs("alarm"))))]


def _volumes(view: View) -> Iterable[Sample]:
    return [((), float(sum(volume.size_gib for volume in view.docs("volume").values()) * GIB))]


def _memory(view: View) -> Iterable[Sample]:
    return [((host.id,), float(host.memory_mib * MIB)) for host in view.docs("host").values()]


def _roles(view: View) -> Iterable[Sample]:
    return [((role.id, role.holder), float(role.term)) for role in view.docs("role").values()]


FIGURES: tuple[Figure, ...] = (
    Figure("ave_vms", "VMs by state", ("state",), _states("vm", VMState)),
    Figure("ave_hosts", "hosts by state", ("state",), _states("host", HostState)),
    Figure("ave_jobs", "Jobs that are not cleaned up yet, by state", ("state",), _jobs),
    Figure("ave_alarms", "what somebody should look at", (), _alarms),
    Figure("ave_host_memory_bytes", "memory of a host", ("host",), _memory),
    Figure("ave_host_memory_used_bytes", "memory that VMs hold on a host", ("host",), _memory_by_host),
    Figure("ave_host_vms", "VMs that hold memory on a host", ("host",), _count_by_host),
    Figure("ave_volume_size_bytes", "what all volumes may hold", (), _volumes),
    Figure("ave_role_term", "who has a role, and how often it has changed hands", ("role", "host"), _roles),
    Figure(
        "ave_view_revision", "how far this host's view is", (), lambda view: [((), float(view.projection.revision))]
    ),
    Figure("ave_view_up", "1 if this host hears the store", (), lambda view: [((), float(view.fed))]),
)
