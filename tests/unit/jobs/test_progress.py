"""Any DAG with groups, undo and a cancellation at any moment: progress only grows, and every resource has its result."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ave.errors import Refused
from ave.jobs.verb import TaskKind
from ave.model.work import ENDED, Step, Work, WorkState
from tests.unit.jobs.center import DAG, HOSTS, JobCenter, nothing_is_left

Steps = dict[str, Step]


class Case(msgspec.Struct):
    steps: Steps
    groups: dict[str, Steps]
    groups_need: tuple[str, ...]
    cancel: float  # when; 0: never


@st.composite
def dags(draw, prefix: str, most: int) -> Steps:
    steps: Steps = {}
    for number in range(draw(st.integers(0, most))):
        steps[f"{prefix}{number}"] = Step(
            function=draw(st.sampled_from(["do", "do", "fail", "stoppable for a while"])),
            resource=draw(st.sampled_from(["", "a", "b", f"of {prefix}"])),
            needs=tuple(draw(st.lists(st.sampled_from(list(steps)), max_size=2, unique=True))) if steps else (),
            host=draw(st.sampled_from(["", *HOSTS])),
            undo=draw(st.sampled_from(["", "undo", "undo", "fail"])),
        )
    return steps


@st.composite
def cases(draw) -> Case:
    steps = draw(dags("s", 5))
    groups = {f"g{number}": draw(dags(f"g{number}-", 4)) for number in range(draw(st.integers(0, 3)))}
    needs = tuple(draw(st.lists(st.sampled_from(list(steps)), max_size=1))) if steps else ()
    return Case(steps, groups, needs, draw(st.sampled_from([0.0, 0.0, 0.01, 0.1, 0.3, 0.55, 0.8, 1.1, 1.6])))


async def for_a_while(ports: Any, task: Work) -> None:
    await ports.runtime.sleep(0.7)


def should_succeed(case: Case) -> dict[str, bool]:
    """By the plain rule, without a cancellation: does each step run and succeed?"""
    well: dict[str, bool] = {}
    for name, step in case.steps.items():
        well[name] = step.function != "fail" and all(well[need] for need in step.needs)
    begins = all(well[need] for need in case.groups_need)
    for group in case.groups.values():
        for name, step in group.items():
            well[name] = begins and step.function != "fail" and all(well[need] for need in step.needs)
    return well


@settings(max_examples=150, deadline=None)
@given(cases())
def test_progress_only_grows_and_every_resource_has_its_result(case):
    kinds = {"stoppable for a while": TaskKind(function=for_a_while, stoppable=True)}
    with JobCenter(case.steps, groups=case.groups, groups_need=case.groups_need, kinds=kinds) as center:
        progress: list[float] = []

        def look(commit: Any) -> None:
            for kind, _, doc in commit.changes:
                if kind == "work" and doc is not None and doc.id == doc.job and doc.plan is not None:
                    progress.append(doc.plan.progress)

        center.store.ledger.listeners.append(look)
        job = center.submit(DAG, "a")
        if case.cancel:
            center.run_on(case.cancel)
            try:
                center.cancel(job)
            except Refused:
                assert center.work(job).state in ENDED
        (ended,) = center.finish(job, limit=60.0)
        nothing_is_left(center)

        assert progress == sorted(progress)
        assert all(0.0 <= each <= 1.0 for each in progress)
        assert ended.plan is None or progress[-1] == ended.plan.progress == 1.0
        every = {**case.steps, **{name: step for group in case.groups.values() for name, step in group.items()}}
        assert ended.plan is None or ended.plan.total == ended.plan.ended == len(every)

        well = should_succeed(case)
        if not case.cancel:
            expected: dict[str, bool] = {}
            for name, step in every.items():
                if step.resource:
                    expected[step.resource] = expected.get(step.resource, True) and well[name]
                elif not well[name]:
                    expected[name] = False
            assert {name: result.ok for name, result in ended.results.items()} == expected
            begun_and_failed = {
                name
                for name, step in every.items()
                if not well[name]
                and all(well[need] for need in step.needs)
                and (name in case.steps or all(well[need] for need in case.groups_need))
            }
            assert sorted(center.undone) == sorted(f"undo/{n}" for n in begun_and_failed if every[n].undo == "undo")
        elif ended.plan is not None:
            assert {step.resource for step in every.values() if step.resource} <= set(ended.results)
            assert ended.state is not WorkState.DONE or all(well.values())
        assert len(set(center.undone)) == len(center.undone)
        assert len(set(center.ran())) == len(center.ran())
