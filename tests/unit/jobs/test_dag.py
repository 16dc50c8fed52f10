"""The DAG of a Job as pure folds: the whitepaper's nine tasks exactly, and what holds for any DAG in any order."""

import time
from collections import Counter
from collections.abc import Callable, Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ave.errors import Refused
from ave.jobs import dag
from ave.model.work import Fact, Pace, Plan, Result, Step, Work, WorkState

# Task -> the tasks that must have succeeded before it. Task 3 stands alone.
NINE: dict[str, tuple[str, ...]] = {
    "1": (),
    "2": (),
    "3": (),
    "4": ("1", "2"),
    "5": ("2",),
    "6": ("2",),
    "7": ("1", "4"),
    "8": ("5", "6"),
    "9": ("4", "6"),
}
DONE, FAILED, CANCELLED = WorkState.DONE, WorkState.FAILED, WorkState.CANCELLED


def nine() -> Plan:
    """Each task of the fixture works on a resource of its own."""
    return plan({name: Step(function="do", resource=f"r{name}", needs=needs) for name, needs in NINE.items()})


def plan(steps: Mapping[str, Step]) -> Plan:
    return submit(dag.plan(steps, {}, {}))[0]


def submit(plan: Plan) -> tuple[Plan, tuple[str, ...]]:
    """As the Leader does it: what is ready gets its task."""
    names = dag.ready(plan)
    return msgspec.structs.replace(plan, submitted=(*plan.submitted, *names)), names


def ended(step: str, state: WorkState = DONE, why: str = "", facts: Mapping[str, Fact] | None = None) -> Work:
    return Work(
        id=f"job/{step}",
        job="job",
        function="do",
        lane="one",
        step=step,
        state=state,
        facts=dict(facts or {}),
        results={step: Result(False, why)} if why else {},
    )


def fold(plan: Plan, *tasks: Work) -> tuple[Plan, tuple[str, ...]]:
    """The plan after these ends, and what they freed."""
    return submit(dag.fold(plan, tasks))


# The fixture


def test_the_nine_tasks_succeed_in_exactly_the_order_of_the_whitepaper():
    plan = nine()
    assert plan.submitted == ("1", "2", "3")
    for end, freed in (
        ("2", ("5", "6")),
        ("1", ("4",)),
        ("3", ()),
        ("5", ()),
        ("4", ("7",)),
        ("6", ("8", "9")),
        ("9", ()),
        ("7", ()),
    ):
        plan, names = fold(plan, ended(end))
        assert (end, names) == (end, freed)
    assert tuple(plan.steps) == plan.submitted == ("8",)
    plan, names = fold(plan, ended("8"))
    assert (plan.steps, plan.submitted, names) == ({}, (), ())
    assert plan.results == {f"r{name}": Result(True) for name in NINE}
    assert plan.total == 9


def test_when_1_has_ended_the_end_of_2_frees_4_5_and_6():
    plan, names = fold(nine(), ended("1"), ended("3"))
    assert names == ()
    assert fold(plan, ended("2"))[1] == ("4", "5", "6")


def test_when_4_fails_7_and_9_fail_with_it_and_the_other_branch_goes_on():
    plan, _ = fold(nine(), ended("1"), ended("2"), ended("3"))
    plan, names = fold(plan, ended("4", FAILED, "disk full"))
    assert names == ()
    assert tuple(plan.steps) == ("5", "6", "8")
    plan, names = fold(plan, ended("5"))
    assert names == ()
    plan, names = fold(plan, ended("6"))
    assert names == ("8",)
    plan, _ = fold(plan, ended("8"))
    assert plan.steps == {}
    assert {name: result for name, result in plan.results.items() if not result.ok} == {
        f"r{name}": Result(False, "disk full") for name in "479"
    }
    assert [name for name, result in plan.results.items() if result.ok] == ["r1", "r2", "r3", "r5", "r6", "r8"]


def test_a_task_that_was_cancelled_fails_its_dependants_too():
    plan, _ = fold(nine(), ended("2", CANCELLED))
    assert tuple(plan.steps) == ("1", "3")
    assert plan.results["r8"] == Result(False, "cancelled")


def test_a_task_that_ended_twice_is_folded_once():
    once, _ = fold(nine(), ended("2"))
    assert fold(once, ended("2")) == (once, ())
    assert fold(once, ended("2", FAILED, "late")) == (once, ())


def test_the_end_of_a_task_that_is_no_step_of_the_plan_changes_nothing():
    assert fold(nine(), ended("ten")) == (nine(), ())


def test_siblings_that_end_together_free_a_common_dependant_once():
    plan, names = fold(nine(), ended("1"), ended("2"))
    assert names == ("4", "5", "6")
    assert plan.submitted == ("3", "4", "5", "6")


def test_one_fold_takes_in_a_success_and_a_failure_whatever_their_order():
    ends = ended("1"), ended("2", FAILED, "no")
    one, other = fold(nine(), *ends)[0], fold(nine(), *ends[::-1])[0]
    assert one == other
    assert tuple(one.steps) == ("3",)


# What is refused


def test_steps_that_wait_for_each_other_are_refused_by_name():
    steps = {"a": Step(function="f", needs=("c",)), "b": Step(function="f", needs=("a",))}
    with pytest.raises(Refused, match="the steps wait for each other") as caught:
        dag.plan(steps | {"c": Step(function="f", needs=("b",)), "free": Step(function="f")}, {}, {})
    assert all(name in str(caught.value) for name in "abc")
    assert "free" not in str(caught.value)


def test_a_step_that_waits_for_itself_is_refused():
    with pytest.raises(Refused, match="the steps wait for each other: a"):
        dag.plan({"a": Step(function="f", needs=("a",))}, {}, {})


def test_a_step_that_needs_an_unknown_one_is_refused():
    with pytest.raises(Refused, match="step a needs b, which is not a step of this Job"):
        dag.plan({"a": Step(function="f", needs=("b",))}, {}, {})


def test_as_many_steps_as_allowed_are_a_plan_and_one_more_is_refused():
    steps = {str(number): Step(function="f") for number in range(dag.STEPS_MAX)}
    assert dag.plan(steps, {}, {}).total == dag.STEPS_MAX
    with pytest.raises(Refused, match=rf"{dag.STEPS_MAX} tasks, this one has {dag.STEPS_MAX + 1}: split the request"):
        dag.plan(steps | {"one more": Step(function="f")}, {}, {})


# Facts and results


def placed(*names: str) -> Plan:
    """One step finds a host for each VM, as a batch start does; each VM is stopped again after its start."""
    steps = {"place": Step(function="place")}
    for name in names:
        steps[f"start/{name}"] = Step(function="start", resource=name, fact=name, needs=("place",))
        steps[f"stop/{name}"] = Step(function="stop", resource=name, needs=(f"start/{name}",))
    return plan(steps)


def test_a_fact_that_is_a_refusal_fails_what_would_run_there_and_its_dependants_with_that_reason():
    plan, names = fold(
        placed("a", "b"), ended("place", facts={"a": Fact(refusal="no host fits a"), "b": Fact(host="two")})
    )
    assert names == ("start/b",)
    assert tuple(plan.steps) == ("start/b", "stop/b")
    assert plan.results == {"a": Result(False, "no host fits a")}
    assert plan.facts["b"] == Fact(host="two")


def test_what_a_done_task_notes_of_its_resource_is_in_that_resources_result():
    steps = {"change": Step(function="change", resource="a"), "other": Step(function="change", resource="b")}
    noted = {"a": Fact(note="done, but look at it"), "c": Fact(note="nobody's")}
    plan_, _ = fold(plan(steps), ended("change", facts=noted), ended("other"))
    assert plan_.results == {"a": Result(True, "done, but look at it"), "b": Result(True)}


def test_a_job_whose_every_place_is_refused_is_over_when_the_place_step_ends():
    plan, names = fold(placed("a"), ended("place", facts={"a": Fact(refusal="no host fits a")}))
    assert (plan.steps, names) == ({}, ())


def test_a_refusal_fails_a_step_even_before_its_other_needs_have_ended():
    steps = {
        "place": Step(function="place"),
        "volumes": Step(function="make", resource="a"),
        "start": Step(function="start", resource="a", fact="a", needs=("place", "volumes")),
    }
    plan_, _ = fold(plan(steps), ended("place", facts={"a": Fact(refusal="full")}))
    assert tuple(plan_.steps) == ("volumes",)
    assert fold(plan_, ended("volumes"))[0].results == {"a": Result(False, "full")}


def test_the_first_failure_of_a_resource_stays_its_result():
    steps = {name: Step(function="f", resource="a") for name in ("first", "second", "third")}
    result = plan(steps)
    for end in (ended("first"), ended("second", FAILED, "disk full"), ended("third", FAILED, "too late")):
        result, _ = fold(result, end)
    assert result.results == {"a": Result(False, "disk full")}
    result, _ = fold(plan(steps), ended("second", FAILED, "disk full"), ended("first"), ended("third"))
    assert result.results == {"a": Result(False, "disk full")}


def test_a_result_known_before_the_job_began_is_kept():
    known = {"b": Result(False, "there is no VM b")}
    plan, _ = submit(dag.plan({"a": Step(function="f", resource="a")}, known, {"vm/a": 7}))
    plan, _ = fold(plan, ended("a"))
    assert plan.results == known | {"a": Result(True)}
    assert plan.tokens == {"vm/a": 7}


def test_a_failure_without_a_reason_is_told_by_its_state():
    assert fold(nine(), ended("3", FAILED))[0].results == {"r3": Result(False, "failed")}


def test_a_step_without_a_resource_counts_only_when_it_fails_and_then_by_its_name():
    only = plan({"a": Step(function="f")})
    assert fold(only, ended("a"))[0].results == {}
    assert fold(only, ended("a", FAILED, "no"))[0].results == {"a": Result(False, "no")}


def test_a_large_batch_for_which_there_is_no_room_is_folded_at_once():
    """The fold runs on the loop that renews the lease: a second is already long."""
    names = [str(number) for number in range(1500)]
    steps = {"place": Step(function="place")} | {f"volumes/{n}": Step(function="make", resource=n) for n in names}
    for n in names:
        steps[f"start/{n}"] = Step(function="start", resource=n, fact=n, needs=("place", f"volumes/{n}"))
    whole = plan(steps)
    began = time.process_time()
    left, _ = fold(whole, ended("place", facts={n: Fact(refusal="full") for n in names}))
    assert time.process_time() - began < 1.0
    assert tuple(left.steps) == tuple(f"volumes/{n}" for n in names)


# Any DAG, any order


class Case(msgspec.Struct):
    steps: dict[str, Step]
    fails: dict[str, None]  # steps whose task fails
    facts: dict[str, dict[str, Fact]]  # what a task finds out for the steps that run where it says


@st.composite
def cases(draw) -> Case:
    names = [f"s{number}" for number in draw(st.permutations(range(draw(st.integers(1, 10)))))]
    steps: dict[str, Step] = {}
    facts: dict[str, dict[str, Fact]] = {}
    for name in names:
        needs = tuple(draw(st.lists(st.sampled_from(list(steps)), max_size=3, unique=True))) if steps else ()
        fact = ""
        if needs and draw(st.booleans()):
            fact = f"host for {name}"
            found = Fact(refusal="none fits") if draw(st.booleans()) else Fact(host="one")
            facts.setdefault(draw(st.sampled_from(needs)), {})[fact] = found
        resource = draw(st.sampled_from(["", "a", "b", "c"]))
        steps[name] = Step(function="f", resource=resource, needs=needs, fact=fact)
    # The order in which they are written down says nothing.
    steps = {name: steps[name] for name in draw(st.permutations(names))}
    fails = dict.fromkeys(draw(st.lists(st.sampled_from(names), unique=True, max_size=3)))
    return Case(steps, fails, facts)


def run(case: Case, choose: Callable[[int], int]) -> tuple[Plan, list[str]]:
    """Play the Job to its end; ``choose`` decides which of the submitted tasks end next, how many of them together,
    and in which order. Returns the last plan and the steps that ran, each of which ran once."""
    current, ran = submit(dag.plan(case.steps, {}, {}))
    running, over, done = list(ran), [], []
    history = list(ran)
    while running:
        group = [running.pop(choose(len(running))) for _ in range(1 + choose(len(running)))]
        ends = [ended(n, FAILED if n in case.fails else DONE, facts=case.facts.get(n)) for n in group]
        before = current
        current, freed = fold(current, *ends)
        assert fold(current, *ends) == (current, ()), "folding twice is folding once"
        done += [name for name in group if name not in case.fails]
        over += [name for name in before.steps if name not in current.steps]
        for name in freed:
            assert set(case.steps[name].needs) <= set(done), "a step ran before what it needs had succeeded"
        running += freed
        history += freed
        assert set(current.submitted) == set(running), "every submitted step is being worked on"
    assert sorted(over) == sorted(case.steps), "every step ends, and once"
    assert len(set(history)) == len(history)
    return current, history


def expected(case: Case) -> tuple[list[str], dict[str, bool]]:
    """By the plain rule: a step runs if all it needs succeeded and it has a place; a resource is well if all its steps
    succeeded."""
    refused = {fact for found in case.facts.values() for fact, what in found.items() if what.refusal}
    runs: dict[str, bool] = {}

    def ran(name: str) -> bool:
        if name not in runs:
            step = case.steps[name]
            runs[name] = all(succeeded(need) for need in step.needs) and step.fact not in refused
        return runs[name]

    def succeeded(name: str) -> bool:
        return ran(name) and name not in case.fails

    well: dict[str, bool] = {}
    for name, step in case.steps.items():
        if step.resource:
            well[step.resource] = well.get(step.resource, True) and succeeded(name)
        elif not succeeded(name):
            well[name] = False
    return sorted(name for name in case.steps if ran(name)), well


@given(cases(), st.data())
def test_any_order_and_grouping_of_the_ends_gives_the_same_end(case, data):
    last, ran = run(case, lambda count: data.draw(st.integers(0, count - 1)) if count else 0)
    assert (last.steps, last.submitted) == ({}, ())
    assert (sorted(ran), {name: result.ok for name, result in last.results.items()}) == expected(case)


@given(cases())
def test_one_by_one_and_all_at_once_end_alike(case):
    alone, ran_alone = run(case, lambda count: 0)
    together, ran_together = run(case, lambda count: max(0, count - 1))
    assert sorted(ran_alone) == sorted(ran_together)
    assert {n: r.ok for n, r in alone.results.items()} == {n: r.ok for n, r in together.results.items()}
    assert alone.facts == together.facts


# Paced plans


def paced(orders: Mapping[str, int], hosts: Mapping[str, str], pace: Pace) -> tuple[Plan, tuple[str, ...]]:
    """One step finds a host for each of the others, which then begin."""
    steps = {"place": Step(function="place")}
    for name, order in orders.items():
        steps[name] = Step(function="do", resource=name, fact=name, needs=("place",), order=order, undo="take back")
    current, _ = submit(dag.plan(steps, {}, {}, pace=pace))
    return fold(current, ended("place", facts={name: Fact(host=host) for name, host in hosts.items()}))


def test_a_paced_plan_has_so_many_steps_under_way_in_all_and_each_end_lets_the_next_begin():
    names = [f"vm-{number}" for number in range(6)]
    current, begun = paced(dict.fromkeys(names, 0), {name: f"host-{name}" for name in names}, Pace(total=2, each=2))
    order = [*begun]
    assert begun == ("vm-0", "vm-1")
    while current.steps:
        assert len(current.submitted) <= 2
        current, begun = fold(current, ended(current.submitted[-1]))
        order += begun
    assert order == names


def test_a_paced_plan_has_so_many_steps_under_way_on_one_host():
    hosts = {"a": "one", "b": "one", "c": "one", "d": "two"}
    current, begun = paced(dict.fromkeys(hosts, 0), hosts, Pace(total=9, each=2))
    assert begun == ("a", "b", "d")
    assert fold(current, ended("d"))[1] == ()
    assert fold(current, ended("a"))[1] == ("c",)


def test_of_a_paced_plan_nothing_begins_before_what_has_a_lower_order_and_still_waits():
    hosts = {"low": "two", "high-1": "one", "high-2": "one"}
    orders = {"low": 2, "high-1": 0, "high-2": 0}
    current, begun = paced(orders, hosts, Pace(total=9, each=1))
    assert begun == ("high-1",)
    assert fold(current, ended("high-1"))[1] == ("high-2", "low")


def test_what_undoes_waits_for_no_turn_and_a_failure_gives_its_turn_to_the_next():
    hosts = {"a": "one", "b": "one", "c": "one"}
    current, begun = paced(dict.fromkeys(hosts, 0), hosts, Pace(total=1, each=1))
    assert begun == ("a",)
    failed = msgspec.structs.replace(ended("a", FAILED, "no"), attempt=1)
    current, begun = fold(current, failed)
    assert begun == ("undo/a", "b")
    assert fold(current, ended("undo/a"))[1] == ()
    assert fold(current, ended("b"))[1] == ("c",)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["one", "two", "three", ""])), min_size=1, max_size=20),
    st.integers(1, 4),
    st.integers(1, 3),
    st.randoms(use_true_random=False),
)
def test_every_paced_plan_keeps_its_pace_and_comes_to_its_end(what, total, each, random):
    orders = {f"s{number}": order for number, (order, _) in enumerate(what)}
    hosts = {f"s{number}": host for number, (_, host) in enumerate(what)}
    steps = {"place": Step(function="place")}
    steps |= {
        name: Step(function="do", resource=name, fact=name, needs=("place",), order=orders[name]) for name in orders
    }
    facts = {name: Fact(host=host) if host else Fact(refusal="no room") for name, host in hosts.items()}
    current, _ = submit(dag.plan(steps, {}, {}, pace=Pace(total=total, each=each)))
    current, begun = fold(current, ended("place", facts=facts))
    order = [*begun]
    while current.steps:
        busy = Counter(hosts[name] for name in current.submitted)
        assert 0 < busy.total() <= total
        assert max(busy.values()) <= each
        current, begun = fold(current, ended(random.choice(current.submitted), random.choice([DONE, FAILED]), "why"))
        order += begun
    assert [orders[name] for name in order] == sorted(orders[name] for name in order)
    assert sorted(order) == sorted(name for name in hosts if hosts[name])
