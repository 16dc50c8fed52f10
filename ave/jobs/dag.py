"""The DAG of a Job, as pure functions on its Plan.

A node is a step, an edge a dependency. A task that succeeded leaves and frees its dependants; one that failed takes all its
direct and indirect dependants with it, while independent branches go on. Folding is the only way a plan changes, and folds
every ended task it is shown at once, so that siblings ending together cost one commit and not a storm of retries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
import networkx

from ave.errors import Refused
from ave.model.work import Fact, Plan, Result, Step, Work, WorkState

STEPS_MAX = 10_000


def plan(steps: Mapping[str, Step], results: Mapping[str, Result], tokens: Mapping[str, int]) -> Plan:
    """The plan of these steps; Refused if they depend on nothing known, or on themselves."""
    if len(steps) > STEPS_MAX:
        raise Refused(f"a Job may have {STEPS_MAX} tasks, this one has {len(steps)}: split the request")
    if any(step.needs for step in steps.values()):
        for name, step in steps.items():
            for need in step.needs:
                if need not in steps:
                    raise Refused(f"step {name} needs {need}, which is not a step of this Job")
        if not networkx.is_directed_acyclic_graph(_graph(steps)):
            cycle = " -> ".join(edge[0] for edge in networkx.find_cycle(_graph(steps)))
            raise Refused(f"the steps wait for each other: {cycle}")
    return Plan(steps=dict(steps), submitted=(), results=dict(results), tokens=dict(tokens), total=len(steps))


def ready(plan: Plan) -> tuple[str, ...]:
    """Steps that wait for nothing and have no task yet."""
    return tuple(name for name, step in plan.steps.items() if not step.needs and name not in plan.submitted)


def fold(plan: Plan, ended: Iterable[Work]) -> Plan:
    """The plan without the tasks that ended; what they freed is in ``ready``. A task already folded changes nothing."""
    steps, graph = dict(plan.steps), _Lazy(plan.steps)
    facts, results = dict(plan.facts), dict(plan.results)
    for task in ended:
        step = steps.pop(task.step, None)
        if step is None:
            continue
        facts.update(task.facts)
        if task.state is WorkState.DONE:
            _count(results, step, Result(True))
            _free(steps, task.step)
        else:
            why = task.results[task.step].why if task.step in task.results else str(task.state)
            _fail(steps, graph, results, task.step, step, why)
    _refuse(steps, graph, facts, results)
    submitted = tuple(name for name in plan.submitted if name in steps)
    return msgspec.structs.replace(plan, steps=steps, facts=facts, results=results, submitted=submitted)


class _Lazy:
    """The graph of a plan's steps, drawn once and only if a step failed."""

    def __init__(self, steps: Mapping[str, Step]) -> None:
        self._steps = steps
        self._graph: networkx.DiGraph[str] | None = None

    def drawn(self) -> networkx.DiGraph[str]:
        if self._graph is None:
            self._graph = _graph(self._steps)
        return self._graph


def _free(steps: dict[str, Step], done: str) -> None:
    for name, step in steps.items():
        if done in step.needs:
            steps[name] = msgspec.structs.replace(step, needs=tuple(n for n in step.needs if n != done))


def _fail(steps: dict[str, Step], graph: _Lazy, results: dict[str, Result], name: str, step: Step, why: str) -> None:
    _count(results, step, Result(False, why))
    for dependant in sorted(networkx.descendants(graph.drawn(), name)):
        if (gone := steps.pop(dependant, None)) is not None:
            _count(results, gone, Result(False, why))


def _refuse(steps: dict[str, Step], graph: _Lazy, facts: Mapping[str, Fact], results: dict[str, Result]) -> None:
    """Steps that would run where a fact says, when the fact is that there is no such place."""
    for name in list(steps):
        step = steps.get(name)
        if step is not None and step.fact in facts and (why := facts[step.fact].refusal):
            del steps[name]
            _fail(steps, graph, results, name, step, why)


def _count(results: dict[str, Result], step: Step, result: Result) -> None:
    """A resource's result: the first failure stays."""
    known = results.get(step.resource)
    if step.resource and (known is None or known.ok):
        results[step.resource] = result


def _graph(steps: Mapping[str, Step]) -> networkx.DiGraph[str]:
    graph: networkx.DiGraph[str] = networkx.DiGraph()
    graph.add_nodes_from(steps)
    graph.add_edges_from((need, name) for name, step in steps.items() for need in step.needs)
    return graph
