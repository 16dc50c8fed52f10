"""Idempotency keys: a repeated request is the same Job."""

import pytest

from ave.errors import Refused
from ave.jobs.cleanup import CLEAN_UP_VERB, KEY_SECONDS
from ave.jobs.crew import Crew
from ave.jobs.submit import submit
from ave.model.cluster import Key
from ave.model.work import ENDED, LEAD, OnConflict, Work
from ave.operations import NameVMs, Nothing
from tests.unit.jobs.center import EACH, HOSTS, JobCenter, nothing_is_left


def jobs(center: JobCenter) -> list[str]:
    return [work.id for work in center.all(Work) if work.function == LEAD]


@pytest.mark.parametrize("flag", ["", "ha"])
def test_the_same_key_is_the_same_job_while_it_runs_and_when_it_is_over(flag):
    with JobCenter() as center:
        first = center.submit(EACH, "a", key="k", flag=flag)
        assert center.submit(EACH, "a", key="k", flag=flag, door="three") == first
        center.finish(first)
        assert center.submit(EACH, "a", key="k", flag=flag, door="one") == first
        assert jobs(center) == [first]
        assert center.ran() == ["a"]
        nothing_is_left(center)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_two_hosts_that_are_asked_at_once_with_lost_answers_make_one_job(share):
    for seed in range(20):
        with JobCenter(seed=seed) as center:
            center.store.lost_answers = share
            asked = []
            for door in HOSTS:
                ports = center.ports(door)
                asked.append(center.begin(submit(ports, Crew(ports), EACH, NameVMs(vms=("a",)), key="k")))
            center.until(lambda: all(answer.done() for answer in asked))  # noqa: B023 - called at once
            center.store.lost_answers = 0.0
            answers = [answer.value for answer in asked]
            assert [error for _, error in answers] == [None] * 3
            assert len({job for job, _ in answers}) == 1, f"seed {seed}"
            center.finish(answers[0][0])
            assert jobs(center) == [answers[0][0]]


@pytest.mark.parametrize(
    "other",
    [
        {"names": ("b",)},
        {"names": ("a", "b")},
        {"operation": "vm.start"},
        {"on_conflict": OnConflict.FAIL},
        {"flag": "ha"},
    ],
)
def test_the_same_key_for_another_request_is_refused_and_names_the_job(other):
    with JobCenter() as center:
        first = center.submit(EACH, "a", key="k")
        with pytest.raises(
            Refused, match=f"idempotency key k was used for a different request, {first}: use a new key"
        ):
            operation, names = other.pop("operation", EACH), other.pop("names", ("a",))
            center.submit(operation, *names, key="k", **other)
        assert jobs(center) == [first]


def test_different_keys_are_different_jobs_of_the_same_request():
    with JobCenter() as center:
        assert center.submit(EACH, "a", key="k") != center.submit(EACH, "a", key="l")


def test_a_job_that_was_refused_by_a_full_queue_leaves_its_key_free():
    from ave.jobs import queue
    from ave.model.cluster import JobQueue

    with JobCenter() as center:
        center.put(JobQueue(id="ha", running="somebody", length=queue.LENGTH_MAX))
        with pytest.raises(Refused, match="10000 Jobs wait in the Job Queue ha: try again later"):
            center.submit(EACH, "a", key="k", flag="ha")
        assert center.all(Key) == []


def test_a_key_is_forgotten_after_a_day_and_not_before():
    with JobCenter(verbs=[CLEAN_UP_VERB]) as center:
        first = center.submit(EACH, "a", key="k")
        center.finish(first)

        def clean_up(name: str) -> None:
            ports = center.ports()
            center.finish(center.ask(submit(ports, Crew(ports), CLEAN_UP_VERB.operation, Nothing(), id=name)))

        center.store._clock_offset = KEY_SECONDS - 60.0
        clean_up("early")
        assert center.submit(EACH, "a", key="k") == first
        center.store._clock_offset = KEY_SECONDS + 60.0
        clean_up("late")
        assert center.all(Key) == []
        second = center.submit(EACH, "b", key="k")
        assert second != first
        assert center.finish(second)[0].state in ENDED
