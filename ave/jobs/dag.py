"""The DAG of a Job or of a resource group, as pure functions on its Plan.

A node is a step, an edge a dependency. A task that succeeded leaves and frees its dependants; one that failed takes all its
direct and indirect dependants with it, while independent branches go on, and leaves a step that undoes what it may have
done. Folding is the only way a plan changes, and folds every ended task it is shown at once, so that siblings ending together
cost one commit and not a storm of retries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from ave.errors import Refused
from ave.model.work import GROUP, Fact, Pace, Plan, Result, Step, Work, WorkState

if TYPE_CHECKING:
    import networkx  # loaded where a graph is drawn: whoever only asks for Jobs draws none

STEPS_MAX = 10_000
UNDO = "undo/"
CANCELLED = Result(False, "cancelled")
_OURS = (UNDO, f"{GROUP}/")  # so no step of a verb may be called

Steps = Mapping[str, Step]


def plan(
    steps: Steps,
    results: Mapping[str, Result],
    tokens: Mapping[str, int],
    groups: Mapping[str, dict[str, Step]] | None = None,
    groups_need: tuple[str, ...] = (),
    pace: Pace | None = None,
) -> Plan:
    """The plan of these steps; Refused if they depend on nothing known, or on themselves."""
    groups = groups or {}
    total = len(steps) + sum(len(inner) for inner in groups.values())
    if total > STEPS_MAX:
        raise Refused(f"a Job may have {STEPS_MAX} tasks, this one has {total}: split the request")
    carriers = {f"{GROUP}/{name}": Step(function=GROUP, needs=groups_need) for name in groups}
    outer = {**steps, **carriers}
    for each in (steps, *groups.values()):
        _require_possible(each)
    if groups:
        _require_known("a group", groups_need, steps)
    inner = {f"{GROUP}/{name}": dict(each) for name, each in groups.items()}
    bare = Plan(steps=outer, submitted=(), results=dict(results), tokens=dict(tokens), total=total, groups=inner)
    return msgspec.structs.replace(bare, pace=pace)


def ready(plan: Plan) -> tuple[str, ...]:
    """Steps that wait for nothing and have no task yet; if the plan is paced, as many as may begin now."""
    submitted = dict.fromkeys(plan.submitted)
    free = [name for name, step in plan.steps.items() if not step.needs and name not in submitted]
    return tuple(free if plan.pace is None else _paced(plan, plan.pace, free))


def _paced(plan: Plan, pace: Pace, free: list[str]) -> list[str]:
    """What undoes, and what goes nowhere in particular, waits for no turn. Each task that ends lets the next one begin."""
    placed = {name: step for name, step in plan.steps.items() if step.fact and not name.startswith(UNDO)}
    hosts = {name: plan.facts.get(step.fact, Fact()).host for name, step in placed.items()}
    paced = {name: placed[name].order for name in free if name in placed}
    busy = Counter(hosts[name] for name in plan.submitted if name in hosts)
    waits: int | None = None  # the lowest order of which one must wait
    begin = [name for name in free if name not in paced]
    for name, order in sorted(paced.items(), key=lambda item: item[1]):
        if waits is not None and order > waits:
            break
        if busy.total() < pace.total and busy[hosts[name]] < pace.each:
            busy[hosts[name]] += 1
            begin.append(name)
        elif waits is None:
            waits = order
    return begin


def group(plan: Plan, name: str) -> Plan:
    """The plan of a resource group that begins now, with the facts that its steps need."""
    steps = dict(plan.groups[name])
    facts = {step.fact: plan.facts[step.fact] for step in steps.values() if step.fact in plan.facts}
    results: dict[str, Result] = {}
    total = len(steps)
    _refuse(steps, _Lazy(steps), facts, results, {})
    ended = total - len(steps)
    return Plan(steps=steps, submitted=(), facts=facts, results=results, tokens=plan.tokens, total=total, ended=ended)


def abandon(plan: Plan, ended: Iterable[Work], why: str) -> Plan:
    """The plan when it cannot be folded: what was submitted still ends, nothing begins any more, nothing is undone."""
    bare = [msgspec.structs.replace(task, facts={}, attempt=0) for task in ended]
    return fold(plan, bare, stop=Result(False, why))


def fold(plan: Plan, ended: Iterable[Work], *, stop: Result | None = None) -> Plan:
    """The plan without the tasks that ended; what they freed is in ``ready``. A task already folded changes nothing.

    With ``stop`` nothing new begins but what undoes, and that is the result of all else.
    """
    steps, graph, groups = dict(plan.steps), _Lazy(plan.steps), dict(plan.groups)
    facts, results = dict(plan.facts), dict(plan.results)
    before, over = _weight(steps, groups), 0
    done: dict[str, None] = {}
    for task in ended:
        step = steps.pop(task.step, None)
        if step is None:
            continue
        facts.update(task.facts)
        if task.function == GROUP:
            over += task.plan.total if task.plan is not None else 0
            for name, result in task.results.items():
                _count(results, name, result)
        elif task.state is WorkState.DONE:
            _count(results, step.resource, Result(True, task.facts.get(step.resource, Fact()).note))
            done[task.step] = None
        else:
            why = task.results[task.step].why if task.step in task.results else str(task.state)
            counts_for = step.resource or task.step.removeprefix(UNDO)
            if task.step.startswith(UNDO):
                known = results.get(counts_for, Result(False))
                told = f"{known.why}; what it had done could not be undone: {why}"
                results[counts_for] = Result(False, told, left=True)
                continue
            _count(results, counts_for, Result(False, why))
            _fail(graph, steps, groups, results, task.step, why)
            if step.undo and (task.attempt or step.owed):
                steps[UNDO + task.step] = _undoing(step)
    _free(steps, done)
    if stop is not None:
        _stop(plan, steps, groups, results, stop)
    _refuse(steps, graph, facts, results, groups)
    over += before - _weight(steps, groups)  # what undoes a step takes its place
    return msgspec.structs.replace(
        plan,
        steps=steps,
        facts=facts,
        results=results,
        groups=groups,
        submitted=tuple(name for name in plan.submitted if name in steps),
        ended=plan.ended + over,
    )


class _Lazy:
    """The graph of a plan's steps, drawn once and only if a step failed."""

    def __init__(self, steps: Steps) -> None:
        self._steps = dict(steps)
        self._graph: networkx.DiGraph[str] | None = None

    def drawn(self) -> networkx.DiGraph[str]:
        if self._graph is None:
            self._graph = _graph(self._steps)
        return self._graph


Groups = dict[str, dict[str, Step]]


def _free(steps: dict[str, Step], done: Mapping[str, None]) -> None:
    for name, step in steps.items():
        if any(need in done for need in step.needs):
            steps[name] = msgspec.structs.replace(step, needs=tuple(need for need in step.needs if need not in done))


def _fail(
    graph: _Lazy, steps: dict[str, Step], groups: Groups, results: dict[str, Result], name: str, why: str
) -> None:
    """Nothing that needs this step will begin."""
    import networkx

    for dependant in sorted(networkx.descendants(graph.drawn(), name)):
        if (gone := steps.pop(dependant, None)) is not None:
            _drop(dependant, gone, steps, groups, results, Result(False, why))


def _drop(
    name: str, step: Step, steps: dict[str, Step], groups: Groups, results: dict[str, Result], result: Result
) -> None:
    """A step, or a whole group, that will never begin."""
    for each, gone in {name: step, **groups.pop(name, {})}.items():
        if gone.function != GROUP:
            _count(results, gone.resource or each, result)
        if gone.undo and gone.owed:
            steps[UNDO + each] = _undoing(gone)


def _undoing(step: Step) -> Step:
    return msgspec.structs.replace(step, function=step.undo, needs=(), undo="")


def _refuse(
    steps: dict[str, Step], graph: _Lazy, facts: Mapping[str, Fact], results: dict[str, Result], groups: Groups
) -> None:
    """Steps that would run where a fact says, when the fact is that there is no such place, or when nobody found one."""
    for name in list(steps):
        step = steps.get(name)
        if step is None or not step.fact:
            continue
        nobody = "" if step.needs else f"nobody said where {name} shall run"
        if why := facts[step.fact].refusal if step.fact in facts else nobody:
            del steps[name]
            _count(results, step.resource or name, Result(False, why))
            _fail(graph, steps, groups, results, name, why)


def _stop(plan: Plan, steps: dict[str, Step], groups: Groups, results: dict[str, Result], result: Result) -> None:
    submitted = dict.fromkeys(plan.submitted)
    for name in list(steps):
        if name not in submitted and not name.startswith(UNDO):
            _drop(name, steps.pop(name), steps, groups, results, result)


def _count(results: dict[str, Result], resource: str, result: Result) -> None:
    """A resource's result: the first failure stays."""
    known = results.get(resource)
    if resource and (known is None or known.ok):
        results[resource] = result


def _weight(steps: Steps, groups: Groups) -> int:
    """How many steps are still to end, not counting those of groups that have begun."""
    return sum(step.function != GROUP for step in steps.values()) + sum(len(inner) for inner in groups.values())


def _require_known(what: str, needs: Iterable[str], steps: Steps) -> None:
    for need in needs:
        if need not in steps:
            raise Refused(f"{what} needs {need}, which is not a step of this Job")


def _require_possible(steps: Steps) -> None:
    for name, step in steps.items():
        if name.startswith(_OURS):
            raise Refused(f"no step may be called {name}")
        _require_known(f"step {name}", step.needs, steps)
    if not any(step.needs for step in steps.values()):
        return
    import networkx

    if not networkx.is_directed_acyclic_graph(_graph(steps)):
        cycle = " -> ".join(edge[0] for edge in networkx.find_cycle(_graph(steps)))
        raise Refused(f"the steps wait for each other: {cycle}")


def _graph(steps: Steps) -> networkx.DiGraph[str]:
    import networkx

    graph: networkx.DiGraph[str] = networkx.DiGraph()
    graph.add_nodes_from(steps)
    graph.add_edges_from((need, name) for name, step in steps.items() for need in step.needs)
    return graph
