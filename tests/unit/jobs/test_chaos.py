"""Whatever befalls workers and store: every Job ends, and leaves nothing behind."""

from collections import Counter
from functools import partial
from random import Random
from typing import Any

import pytest

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.jobs.cancel import cancel
from ave.jobs.crew import Crew
from ave.jobs.submit import submit
from ave.jobs.verb import Split, TaskKind, Verb, each
from ave.model.vm import VM
from ave.model.work import LEAD, OnConflict, Result, Step, Urgency, Work, WorkState
from ave.operations import NameVMs
from tests.unit.jobs.center import (
    DAG,
    EACH,
    HOSTS,
    NINE_STEPS,
    RECOVERED_SECONDS,
    JobCenter,
    holds_what_was_promised,
    nothing_is_left,
)

SECONDS = 80.0  # of trouble
GROUPED, POISONED = "vm.create", "vm.poweroff"  # the operations of these Jobs; the DAG says the rest
STOPPED = "vm.shutdown"


def befall(center: JobCenter, source: Random) -> None:
    """Workers die and start again, the store elects, loses answers and lags, for a minute or so."""

    def flip(host: str) -> None:
        if host in center.processes:
            center.kill(host)
        else:
            center.launch(host)

    moment = center.world.now
    for _ in range(12):
        moment += 6.0 * source.random()
        what, host = source.random(), HOSTS[int(3 * source.random())]
        if what < 0.45:
            center.at(moment, partial(flip, host))
        elif what < 0.7:
            center.at(moment, center.store.step_down)
        elif what < 0.9:
            center.at(moment, partial(setattr, center.store, "lost_answers", 0.4))
            center.at(moment + 4.0 * source.random(), partial(setattr, center.store, "lost_answers", 0.0))
        else:
            center.at(moment, partial(center.store.set_lag, 3.0 * source.random()))
            center.at(moment + 10.0 * source.random(), partial(center.store.set_lag, 0.0))


def settle(center: JobCenter) -> None:
    """Let the trouble go on, and end."""
    center.run_on(SECONDS)
    center.store.lost_answers = 0.0
    center.store.set_lag(0.0)
    for host in HOSTS:
        if host not in center.processes:
            center.launch(host)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_befalls_workers_and_store_every_job_ends_and_leaves_nothing_behind(seed):
    source = Random(seed)
    with JobCenter(NINE_STEPS, seed=seed) as center:
        jobs = []
        for number in range(8):
            names = {"abcd"[int(4 * source.random())]: None for _ in range(3)}
            on_conflict = list(OnConflict)[int(3 * source.random())]
            operation, flag = (DAG, EACH)[number % 2], ("", "", "ha")[number % 3]
            jobs.append(center.submit(operation, *names, flag=flag, on_conflict=on_conflict, lane=HOSTS[number % 3]))
        befall(center, source)
        settle(center)
        ended = center.finish(*jobs, limit=2 * RECOVERED_SECONDS)
        center.run_on(20.0)
        for job in ended:
            each = {name: Step(function="do") for name in center.ran(job.id)}
            holds_what_was_promised(center, job, NINE_STEPS if job.operation == DAG else each)
        nothing_is_left(center)


def locking(operation: str, split: Split) -> Verb:
    return Verb(operation=operation, resources=lambda request: each(VM, request.vms), split=lambda r, f: split)


def bug(request: Any) -> tuple[()]:
    raise ValueError("a bug")


def everything(seed: int) -> JobCenter:
    """Plain DAGs, groups with undo, Jobs that can be stopped half way, and poison of three kinds."""

    async def long(ports, task):
        await ports.runtime.sleep(15.0)

    groups = {
        f"g{g}": {
            "first": Step(function="do", resource=f"r{g}", undo="undo"),
            "then": Step(function="fail" if g == 1 else "do", resource=f"r{g}", needs=("first",), undo="undo"),
        }
        for g in range(3)
    }
    stopped = {
        "long": Step(function="long", resource="l", undo="undo"),
        "after": Step(function="do", resource="l", needs=("long",)),
    }
    verbs = [
        locking(GROUPED, Split(steps={"before": Step(function="do")}, groups=groups, groups_need=("before",))),
        locking(STOPPED, Split(steps=stopped)),
        locking(POISONED, Split(steps={"boom": Step(function="boom", resource="p", undo="undo")})),
        Verb(operation="vm.migrate", resources=bug, split=lambda r, f: Split()),
    ]
    kinds = {"long": TaskKind(function=long, stoppable=True)}
    return JobCenter(NINE_STEPS, verbs=verbs, kinds=kinds, seed=seed)


OPERATIONS = (DAG, EACH, GROUPED, STOPPED, POISONED, "vm.migrate")


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_asked_for_and_cancelled_meanwhile_ends_too(seed):
    source = Random(1000 + seed)
    with everything(seed) as center:
        asked: list[tuple[str, Any]] = []

        def ask(number: int) -> None:
            names = tuple({"abcdef"[int(6 * source.random())]: None for _ in range(2)})
            ports = center.ports(HOSTS[int(3 * source.random())])
            call = submit(
                ports,
                Crew(ports),
                OPERATIONS[int(len(OPERATIONS) * source.random())],
                NameVMs(vms=names),
                flag=("", "", "q")[number % 3],
                on_conflict=(OnConflict.QUEUE, OnConflict.QUEUE, OnConflict.FAIL)[int(3 * source.random())],
                urgency=list(Urgency)[int(5 * source.random())],
                key=f"key {number}",
            )
            asked.append((f"key {number}", center.begin(call)))

        def withdraw() -> None:
            jobs = [work.id for work in center.all(Work) if work.function == LEAD]
            if jobs:
                ports = center.ports(HOSTS[int(3 * source.random())])
                calls.append(center.begin(cancel(ports, Crew(ports), jobs[int(len(jobs) * source.random())])))

        calls: list[Any] = []
        befall(center, source)
        for number in range(24):
            center.at(center.world.now + 60.0 * source.random(), partial(ask, number))
        for _ in range(10):
            center.at(center.world.now + 70.0 * source.random(), withdraw)
        settle(center)
        center.until(lambda: all(answer.done() for _, answer in asked) and all(call.done() for call in calls))
        for answer in (*(answer for _, answer in asked), *calls):
            assert isinstance(answer.value[1], Refused | Unavailable | UnknownOutcome | None)
        jobs = [work.id for work in center.all(Work) if work.function == LEAD]
        assert {answer.value[0] for _, answer in asked if answer.value[1] is None} <= set(jobs), "none is lost"
        assert len(jobs) <= len(asked), "and none is made twice"
        for job in center.finish(*jobs, limit=4 * RECOVERED_SECONDS):
            assert job.plan is None or job.plan.progress == 1.0
            failed = [result for result in job.results.values() if not result.ok]
            assert (job.state is WorkState.DONE) is (not failed)
            assert job.state is not WorkState.CANCELLED or job.stop
            poisoned = job.operation in (POISONED, "vm.migrate")
            assert not poisoned or failed
            assert not (job.operation == GROUPED and job.state is WorkState.DONE)
        center.run_on(40.0)
        nothing_is_left(center)
        for task, times in Counter((effect.job, effect.step) for effect in center.effects).items():
            assert times <= 3 * len(HOSTS), f"{task} was repeated more often than workers were lost"
        for work in center.all(Work):
            if work.step.startswith("undo/"):
                assert work.state is WorkState.DONE or work.results[work.step] != Result(False, "cancelled")
