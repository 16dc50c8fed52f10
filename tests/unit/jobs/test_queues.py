"""Job Queues and urgency: what runs strictly one after the other, and what goes first."""

from ave.jobs.crew import CLAIM_MAX
from ave.model.cluster import JobQueue
from ave.model.work import Step, Urgency, WorkState
from tests.unit.jobs.center import (
    DAG,
    EACH,
    HOSTS,
    JobCenter,
)


def test_jobs_of_one_flag_run_strictly_one_after_the_other_in_the_order_of_submission():
    with JobCenter() as center:
        jobs = [center.submit(EACH, name, flag="ha", door=HOSTS[n % 3]) for n, name in enumerate("abcdef")]
        assert [center.work(job).state is WorkState.QUEUED for job in jobs] == [False] + [True] * 5
        center.finish(*jobs)
        assert center.order() == center.began == jobs
        assert center.most == 1
        assert center.all(JobQueue)[0].running == ""


def test_a_job_queue_goes_on_after_a_job_of_it_failed():
    with JobCenter({"x": Step(function="fail", resource="x")}) as center:
        jobs = [center.submit(operation, "a", flag="ha") for operation in (DAG, EACH, DAG, EACH)]
        failed, done = WorkState.FAILED, WorkState.DONE
        assert [job.state for job in center.finish(*jobs)] == [failed, done, failed, done]


def test_job_queues_do_not_wait_for_each_other():
    with JobCenter() as center:
        jobs = [center.submit(EACH, name, flag=f"queue {name}") for name in "abc"]
        center.finish(*jobs)
        assert center.most == 3


def test_a_job_queue_keeps_its_order_when_an_election_sets_the_clock_of_the_store_back():
    with JobCenter(seconds=5.0) as center:
        jobs = [center.submit(EACH, "a", flag="ha"), center.submit(EACH, "b", flag="ha")]
        center.store._clock_offset = -60.0  # the new primary's clock: store time is not monotonic
        jobs.append(center.submit(EACH, "c", flag="ha"))
        center.finish(*jobs)
        assert center.order() == jobs


def test_an_urgent_job_goes_before_those_that_wait_for_a_worker():
    with JobCenter() as center:
        center.kill("one")
        jobs = [center.submit(EACH, str(number), lane="one") for number in range(CLAIM_MAX + 4)]
        urgent = center.submit(EACH, "urgent", lane="one", urgency=Urgency.RESCUE)
        center.launch("one")
        center.finish(*jobs, urgent)
        by_claim = sorted([*jobs, urgent], key=lambda job: (center.work(job).assigned, center.work(job).rank))
        assert by_claim == [urgent, *jobs]
        assert center.work(by_claim[CLAIM_MAX]).assigned > center.work(urgent).assigned, "there was a first claim"
        assert center.work(f"{urgent}/urgent").rank < center.work(f"{jobs[0]}/0").rank, "its tasks are urgent too"
