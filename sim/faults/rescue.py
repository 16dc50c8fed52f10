"""Rescues, struck while they are at work: a second trouble for those who deal with the first. A rescue is over within
seconds, so a moment that is drawn would hardly ever meet one."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from ave.model.work import LEAD, Work, WorkState
from ave.ports.store import Commit
from ave.scheduler.steps import PLACE, START
from drivers.sim.facts import Disturbed
from drivers.sim.machine import NODE
from drivers.sim.runtime import SimRuntime
from sim.cluster import SimCluster
from sim.faults.fault import Begin, Fault, Given
from sim.scenario.catalogue import FaultKind, Parameter

RESCUE = "ha.rescue"
BACK_SECONDS = 150.0  # later than any verdict


class Moment(StrEnum):
    LEAD = "lead"  # a leader begins with the Job, or ends it
    PLACE = "place"  # its VMs get their places
    START = "start"  # one of them is started


FUNCTIONS = {Moment.LEAD: LEAD, Moment.PLACE: PLACE, Moment.START: START}
_MOMENT = Parameter("moment", "text", str(Moment.START), choices=tuple(Moment))
Strike = Callable[[SimCluster, str], None]  # (…, the host whose worker is at it)


def _next_rescue(strike: Strike) -> Begin:
    """When somebody next begins with that part of a rescue, at that instant."""

    def begin(cluster: SimCluster, _: tuple[str, ...], given: Given) -> None:
        runtime = SimRuntime(cluster.world, "rescue fault")
        listeners, function = cluster.store.ledger.listeners, FUNCTIONS[Moment(str(given["moment"]))]
        waiting = True

        async def now(host: str) -> None:
            listeners.remove(told)
            strike(cluster, host)

        def told(commit: Commit) -> None:
            nonlocal waiting
            host = next((_doer(doc) for _, _, doc in commit.changes if _is_begun(doc, function)), "")
            if waiting and host:
                waiting = False
                runtime.spawn(now(host), name=f"strike {host}")

        listeners.append(told)

    return begin


def _is_begun(doc: object, function: str) -> bool:
    if not isinstance(doc, Work) or doc.operation != RESCUE:
        return False
    return doc.function == function and doc.state is WorkState.RUNNING


def _doer(work: Work) -> str:
    return work.handler.rpartition("-")[0]


def _crash(cluster: SimCluster, host: str) -> None:
    cluster.witness(Disturbed("rescue-crash", (host,)))
    cluster.machines[host].power_off()
    cluster.machines[host].restart(BACK_SECONDS, boots=False)


def _kill(cluster: SimCluster, host: str) -> None:
    if NODE in cluster.machines[host].running:
        cluster.witness(Disturbed("rescue-kill", ()))
        cluster.machines[host].kill(NODE)


ROWS = (
    Fault(
        kind=FaultKind(
            "rescue-crash",
            "the host whose worker next has that part of a rescue loses power, for 150 s",
            "none",
            (_MOMENT,),
        ),
        covers=("F45", "F52"),
        begin=_next_rescue(_crash),
    ),
    Fault(
        kind=FaultKind(
            "rescue-kill",
            "on the host whose worker next has that part of a rescue the node process is killed",
            "none",
            (_MOMENT,),
        ),
        covers=("F06", "F45"),
        begin=_next_rescue(_kill),
    ),
    Fault(
        kind=FaultKind(
            "rescue-failover",
            "when somebody next has that part of a rescue, the storage's meta leader dies and another is elected",
            "none",
            (_MOMENT,),
        ),
        covers=("F24", "F39"),
        begin=_next_rescue(lambda cluster, host: cluster.storage.step_down()),
    ),
    Fault(
        kind=FaultKind(
            "rescue-election",
            "when somebody next has that part of a rescue, the store's primary steps down and another is elected",
            "none",
            (_MOMENT,),
        ),
        covers=("F30",),
        begin=_next_rescue(lambda cluster, host: cluster.store.step_down()),
    ),
)
