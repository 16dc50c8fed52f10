"""Folding: ended tasks leave the plan of their Job or resource group, and what became ready is submitted, in one commit.

Anyone may fold, at any time: a task that was folded before changes nothing. Whoever folds a plan's last task hands the Job
back to its Leader, or ends the group and folds it into its Job.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ave.errors import Unavailable, UnknownOutcome
from ave.jobs import dag
from ave.jobs.alarms import poison
from ave.jobs.crew import Crew
from ave.jobs.release import finishing
from ave.model.states import born, move
from ave.model.work import ENDED, GROUP, Plan, Result, Work, WorkState
from ave.ports.store import Conflict, In, Insert, Replace, Store, Write
from ave.ports.together import Ports

TRIES = 20  # conflicts in a row, then it is left to the next sweep …
FIRST_PAUSE_SECONDS = 0.002  # … with a pause after each, doubled up to …
LONGEST_PAUSE_SECONDS = 0.25
SUBMITTED = {"submitted": 0.0, "modified": 0.0}
MODIFIED = {"modified": 0.0}
FINISHED = {"finished": 0.0, "modified": 0.0}


async def fold(ports: Ports, crew: Crew, carrier_id: str, steps: Sequence[str] = ()) -> Work | None:
    """Take every ended task out of the plan of this Job or group, and so on upwards if that was its last.

    ``steps``: it is about these; if none of them is in the plan any more, somebody else has folded them. What cannot be
    folded, because of a bug or of a document that grew too large, begins nothing more, and is an alarm. Returns the Job or
    group as it was seen or written last, if it still waits. Raises Unavailable.
    """
    tries, broken = 0, ""
    while tries < TRIES:
        if tries:
            await _make_room(ports, tries)
        found = await ports.store.find(Work, {"id": carrier_id})  # perhaps behind: the commit is conditional on it
        carrier = found[0] if found else None
        if carrier is None or carrier.plan is None or carrier.state is not WorkState.WAITING:
            return None
        if steps and not any(step in carrier.plan.steps for step in steps):
            return carrier
        children = tuple(f"{carrier_id}/{step}" for step in carrier.plan.submitted)
        ended = [task for task in await ports.store.find(Work, {"id": In(children)}) if task.state in ENDED]
        if not ended and carrier.plan.steps and not (carrier.stop and dag.ready(carrier.plan)):
            return carrier
        try:
            if broken:
                writes = _written(carrier, dag.abandon(carrier.plan, ended, broken), [])
                writes.append(await poison(ports.store, carrier, f"{carrier_id} ({carrier.operation}): {broken}"))
            else:
                writes = await folding(ports.store, carrier, carrier.plan, ended, crew)
            written = (await ports.store.commit(*writes))[0]
        except (Conflict, UnknownOutcome):
            tries += 1
            continue
        except Unavailable:
            raise
        except Exception as trouble:
            if broken:
                raise
            broken = f"it cannot go on: {type(trouble).__name__}: {trouble}"
            continue
        above = ended_group(writes)
        if not above:
            return written if written.state is WorkState.WAITING else None
        carrier_id, tries, steps = above, 0, ()
    return None


async def _make_room(ports: Ports, tries: int) -> None:
    pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (tries - 1))
    await ports.runtime.sleep(pause * (0.5 + ports.runtime.random.random()))


async def folding(store: Store, carrier: Work, plan: Plan, ended: list[Work], crew: Crew) -> list[Write]:
    """The writes that fold these ended tasks into the Job or group; the first is that of the Job or group itself."""
    folded = dag.fold(plan, ended, stop=dag.CANCELLED if carrier.stop else None)
    given_back: list[Write] = []
    if folded.steps and carrier.function != GROUP:  # when it ends it gives all back anyway
        folded, given_back = await finishing(store, carrier.job, folded)
    return [*_written(carrier, *await next_tasks(carrier, folded, crew)), *given_back]


def _written(carrier: Work, folded: Plan, tasks: list[Write]) -> list[Write]:
    if folded.steps:
        return [Replace(msgspec.structs.replace(carrier, plan=folded), MODIFIED), *tasks]
    if carrier.function != GROUP:
        return [Replace(move(carrier, WorkState.READY, "its last task ended", plan=folded, attempt=0), MODIFIED)]
    failed = [result.why for result in folded.results.values() if not result.ok]
    state = WorkState.DONE if not failed else WorkState.CANCELLED if carrier.stop else WorkState.FAILED
    why = failed[0] if failed else "every task succeeded"
    return [Replace(move(carrier, state, why, plan=folded, results=folded.results), FINISHED)]


def ended_group(writes: list[Write]) -> str:
    """The carrier above, if these writes end a resource group."""
    first = writes[0]
    doc = first.doc if isinstance(first, Replace) else None
    return doc.parent if isinstance(doc, Work) and doc.function == GROUP and doc.state in ENDED else ""


async def next_tasks(carrier: Work, plan: Plan, crew: Crew) -> tuple[Plan, list[Write]]:
    """The plan with its ready steps submitted, and the inserts that submit them."""
    tasks: list[Write] = []
    ready = dag.ready(plan)
    alone = [name for name in ready if plan.steps[name].function != GROUP]
    lanes = dict(zip(alone, await crew.lanes([plan.steps[name] for name in alone], plan.facts), strict=True))
    for name in ready:
        step = plan.steps[name]
        if step.function == GROUP:
            plan, begun = await _begin_group(carrier, plan, name, crew)
            tasks += begun
            continue
        lane, bound = lanes[name]
        task = Work(
            id=f"{carrier.id}/{name}",
            job=carrier.job,
            parent=carrier.id,
            step=name,
            function=step.function,
            lane=lane,
            bound=bound,
            heritable=step.heritable,
            operation=carrier.operation,
            user=carrier.user,
            tenant=carrier.tenant,
            arguments=step.arguments,
            resource=step.resource,
            tokens=plan.tokens,
            rank=carrier.rank,
        )
        tasks.append(Insert(task, SUBMITTED))
        plan = msgspec.structs.replace(plan, submitted=(*plan.submitted, name))
    return plan, tasks


async def _begin_group(carrier: Work, plan: Plan, name: str, crew: Crew) -> tuple[Plan, list[Write]]:
    inner = dag.group(plan, name)
    groups = {other: steps for other, steps in plan.groups.items() if other != name}
    if not inner.steps:  # none of them can be done: the group is over before it began
        steps = {other: step for other, step in plan.steps.items() if other != name}
        results: dict[str, Result] = {**plan.results, **inner.results}
        over = plan.ended + inner.total
        return msgspec.structs.replace(plan, steps=steps, groups=groups, results=results, ended=over), []
    group = born(
        Work(
            id=f"{carrier.id}/{name}",
            job=carrier.job,
            parent=carrier.id,
            step=name,
            function=GROUP,
            lane=carrier.lane,
            operation=carrier.operation,
            user=carrier.user,
            tenant=carrier.tenant,
            rank=carrier.rank,
        ),
        WorkState.WAITING,
    )
    inner, tasks = await next_tasks(group, inner, crew)
    submitted = (*plan.submitted, name)
    plan = msgspec.structs.replace(plan, groups=groups, submitted=submitted)
    return plan, [Insert(msgspec.structs.replace(group, plan=inner), SUBMITTED), *tasks]
