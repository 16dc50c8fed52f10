"""Resource groups: each has a DAG of its own, and goes on whatever becomes of the others."""

import time

import pytest

from ave.jobs.verb import TaskKind
from ave.model.work import GROUP, Fact, Result, Step, Work, WorkState
from tests.unit.jobs.center import DAG, HOSTS, RECOVERED_SECONDS, STEP_SECONDS, JobCenter, nothing_is_left

DONE, FAILED = WorkState.DONE, WorkState.FAILED
Groups = dict[str, dict[str, Step]]


def chains(count: int, length: int, function: str = "do") -> Groups:
    """Groups whose steps run one after the other, each group for a resource of its own."""
    return {
        f"g{g}": {
            str(n): Step(function=function, resource=f"r{g}", needs=(str(n - 1),) if n else ()) for n in range(length)
        }
        for g in range(count)
    }


def test_groups_run_side_by_side_and_the_job_ends_with_the_last():
    with JobCenter({}, groups=chains(4, 3)) as center:
        began = center.world.now
        (job,) = center.finish(center.submit(DAG, "a"), limit=5.0)
        assert job.results == {f"r{g}": Result(True) for g in range(4)}
        assert center.world.now - began < 3 * STEP_SECONDS + 0.5
        assert center.most == 4
        assert {work.state for work in center.all(Work) if work.function == GROUP} == {DONE}
        assert job.plan is not None
        assert (job.plan.total, job.plan.ended) == (12, 12)
        nothing_is_left(center)


def test_a_group_that_fails_leaves_the_others():
    groups = chains(3, 2)
    groups["g1"]["0"] = Step(function="fail", resource="r1")
    with JobCenter({}, groups=groups) as center:
        (job,) = center.finish(center.submit(DAG, "a"))
        assert (job.state, job.results) == (
            FAILED,
            {"r0": Result(True), "r1": Result(False, "0 will not"), "r2": Result(True)},
        )
        states = {work.step: work.state for work in center.all(Work) if work.function == GROUP}
        assert states == {"group/g0": DONE, "group/g1": FAILED, "group/g2": DONE}
        nothing_is_left(center)


def test_groups_whose_needs_fail_never_begin():
    with JobCenter(
        {"first": Step(function="fail", resource="f")}, groups=chains(2, 2), groups_need=("first",)
    ) as center:
        (job,) = center.finish(center.submit(DAG, "a"))
        assert job.results == dict.fromkeys(("f", "r0", "r1"), Result(False, "first will not"))
        assert job.plan is not None
        assert job.plan.progress == 1.0
        assert [work.id for work in center.all(Work) if work.function == GROUP] == []


async def place(ports, task):
    """Even ones have a place; nothing is said of "lost"."""
    return {f"p{n}": Fact(host=HOSTS[n % 3]) if n % 2 == 0 else Fact(refusal=f"no room for {n}") for n in range(6)}


def placed(facts: dict[str, str]) -> JobCenter:
    groups = {
        name: {
            "volumes": Step(function="do", resource=name),
            "start": Step(function="do", resource=name, fact=fact, needs=("volumes",)),
        }
        for name, fact in facts.items()
    }
    kinds = {"place": TaskKind(function=place)}
    return JobCenter({"place": Step(function="place")}, groups=groups, groups_need=("place",), kinds=kinds)


def test_what_has_no_place_is_refused_within_its_group():
    with placed({f"v{n}": f"p{n}" for n in range(6)}) as center:
        (job,) = center.finish(center.submit(DAG, "a"))
        assert {name: result.why for name, result in job.results.items()} == {
            f"v{n}": "" if n % 2 == 0 else f"no room for {n}" for n in range(6)
        }
        assert {effect.host for effect in center.effects if effect.step == "start"} == set(HOSTS)
        nothing_is_left(center)


@pytest.mark.parametrize("count", [1, 3])
def test_a_group_of_which_nothing_can_be_done_is_over_at_once(count):
    groups = {f"g{n}": {"x": Step(function="do", resource=f"r{n}", fact="p1")} for n in range(count)}
    kinds = {"place": TaskKind(function=place)}
    with JobCenter({"place": Step(function="place")}, groups=groups, groups_need=("place",), kinds=kinds) as center:
        (job,) = center.finish(center.submit(DAG, "a"), limit=2.0)
        assert job.results == {f"r{n}": Result(False, "no room for 1") for n in range(count)}
        assert job.plan is not None
        assert job.plan.progress == 1.0


def test_a_group_for_which_nobody_found_a_place_fails_and_not_the_worker():
    with placed({"v0": "p0", "v1": "nowhere"}) as center:
        (job,) = center.finish(center.submit(DAG, "a"), limit=20.0)
        assert job.results == {"v0": Result(True), "v1": Result(False, "nobody said where start shall run")}


def test_groups_without_steps_are_over_at_once():
    with JobCenter({}, groups={"empty": {}, "none": {}}) as center:
        (job,) = center.finish(center.submit(DAG, "a"), limit=2.0)
        assert (job.state, job.results) == (DONE, {})
        nothing_is_left(center)


@pytest.mark.parametrize(
    ("groups", "groups_need", "why"),
    [
        (
            {"g": {"x": Step(function="do", needs=("first",))}},
            (),
            "step x needs first, which is not a step of this Job",
        ),
        ({"g": {"x": Step(function="do", needs=("x",))}}, (), "the steps wait for each other: x"),
        ({"g": {"x": Step(function="do")}}, ("second",), "a group needs second, which is not a step of this Job"),
        ({"g": {"x": Step(function="do")}}, ("group/g",), "a group needs group/g, which is not a step of this Job"),
        ({"g": {"undo/x": Step(function="do")}}, (), "no step may be called undo/x"),
        ({"g": {"group/x": Step(function="do")}}, (), "no step may be called group/x"),
    ],
)
def test_groups_that_cannot_work_are_refused(groups, groups_need, why):
    with JobCenter({"first": Step(function="do")}, groups=groups, groups_need=groups_need) as center:
        (job,) = center.finish(center.submit(DAG, "a"))
        assert job.results == {"request": Result(False, why)}
        assert center.locked() == []


def test_a_thousand_vms_in_twenty_groups_are_made_whatever_becomes_of_two_of_them(record_property):
    groups: Groups = {}
    for g in range(20):
        steps: dict[str, Step] = {}
        for n in range(50):
            name = f"{g}-{n}"
            steps[f"volumes/{name}"] = Step(function="fail" if name in ("3-7", "11-0") else "do", resource=name)
            steps[f"start/{name}"] = Step(function="do", resource=name, needs=(f"volumes/{name}",))
        groups[f"g{g}"] = steps
    with JobCenter({}, groups=groups) as center:
        began, cpu = center.world.now, time.process_time()
        (job,) = center.finish(center.submit(DAG, "a"), limit=120.0)
        record_property("simulated_seconds", center.world.now - began)
        print(
            f"1,000 VMs in 20 groups: {center.world.now - began:.1f} s simulated, {time.process_time() - cpu:.1f} s CPU"
        )
        assert {name for name, result in job.results.items() if not result.ok} == {"3-7", "11-0"}
        assert len(job.results) == 1000
        assert job.plan is not None
        assert (job.plan.total, job.plan.ended) == (2000, 2000)
        assert len(center.ran()) == len(set(zip(center.ran(), [e.job for e in center.effects], strict=True)))
        nothing_is_left(center)


@pytest.mark.parametrize("number", range(24))
def test_groups_end_whenever_a_worker_is_killed(number):
    groups = chains(4, 3)
    groups["g2"]["1"] = Step(function="fail", resource="r2", needs=("0",), undo="undo")
    with JobCenter({"first": Step(function="do", resource="f")}, groups=groups, seed=number) as center:
        job = center.submit(DAG, "a", lane="one")
        host = HOSTS[number % 3]
        center.at(center.world.now + 0.09 * number + 0.0001, lambda: center.kill(host))
        center.at(center.world.now + 0.09 * number + 3.0, lambda: center.launch(host))
        (ended,) = center.finish(job, limit=RECOVERED_SECONDS)
        assert {name for name, result in ended.results.items() if not result.ok} == {"r2"}
        assert center.undone == ["undo/1"]
        assert ended.plan is not None
        assert ended.plan.progress == 1.0
        center.run_on(20.0)
        nothing_is_left(center)
