"""Whoever has many Jobs open lets others go first, and nobody else is any later for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from ave.api.backlog import SECONDS_EACH, SECONDS_MOST, Backlog
from ave.jobs.crew import Crew
from ave.jobs.submit import submit
from ave.model.access import Grant, Role
from ave.model.states import move
from ave.model.work import LEAD, Work, WorkState
from ave.operations import NameVMs
from ave.ports.store import Replace
from tests.unit.api.lab import Lab, run
from tests.unit.jobs.center import EACH, HOSTS, JobCenter


def test_each_open_job_puts_the_next_one_back_until_it_ends(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        ann = await lab.token("ann", Grant(Role.TENANT_ADMIN, "/tenants/acme"), tenant="acme")
        bob = await lab.token("bob", Grant(Role.TENANT_ADMIN, "/tenants/other"), tenant="other")

        async def behind(header: dict[str, str], name: str) -> float:
            job = (await lab.ask("POST", "/v1/volumes", {"volumes": [{"id": name, "size_gib": 1}]}, **header)).json()
            (work,) = await lab.store.find(Work, {"id": job["id"]})
            return work.rank - work.submitted

        for number in range(4):
            assert await behind(ann, f"a{number}") == pytest.approx(number * SECONDS_EACH)
        assert await behind(bob, "b") == pytest.approx(0.0)
        for work in await lab.store.find(Work):
            (led,) = await lab.store.commit(Replace(move(work, WorkState.RUNNING, "led")))
            (ended,) = await lab.store.commit(Replace(move(led, WorkState.DONE, "over")))
            await lab.view.until("work", ended.id, ended.version)
        assert await behind(ann, "later") == pytest.approx(0.0)

    run(tmp_path, test)


def test_it_is_counted_once_whatever_is_heard_and_has_a_limit() -> None:
    backlog = Backlog()
    job = Work(id="j", job="j", function=LEAD, lane="h", user="ann", tenant="acme")
    for doc in (job, job, msgspec.structs.replace(job, version=3), job):
        backlog.file(doc)
    assert backlog.behind("acme") == SECONDS_EACH
    backlog.forget(job)
    backlog.forget(job)
    assert backlog.behind("acme") == 0.0
    backlog.file(msgspec.structs.replace(job, user=""))
    assert backlog.behind("acme") == 0.0
    for number in range(100_000):
        backlog.file(msgspec.structs.replace(job, id=f"j{number}"))
    assert backlog.behind("acme") == SECONDS_MOST
    backlog.clear()
    assert backlog.behind("acme") == 0.0


def all_at_once(center: JobCenter, names: list[str], **options: Any) -> list[str]:
    """A Job for each, submitted side by side at every host."""
    asked = []
    for number, name in enumerate(names):
        ports = center.ports(HOSTS[number % len(HOSTS)])
        behind = number * SECONDS_EACH if options.get("fair") else 0.0
        who: Any = {"user": options["user"], "tenant": options["user"], "behind": behind}
        asked.append(center.begin(submit(ports, Crew(ports), EACH, NameVMs(vms=(name,)), **who)))
    center.until(lambda: all(each.done() for each in asked))
    return [str(each.value[0]) for each in asked]


def slowest(center: JobCenter, jobs: list[str]) -> float:
    """Of Jobs that have ended."""
    works = [center.work(job) for job in jobs]
    assert all(work.state is WorkState.DONE for work in works)
    return max(work.finished - work.submitted for work in works)


@pytest.mark.parametrize("fair", [True, False])
def test_a_flood_of_one_tenants_jobs_makes_nobody_elses_late(fair: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three hosts have ten units each for such work, and each of these Jobs takes one of them for two seconds."""
    for module in ("crew", "worker"):
        monkeypatch.setattr(f"ave.jobs.{module}.UNITS_PER_HOST", 30)
    with JobCenter(seconds=2.0) as center:
        alone = all_at_once(center, [f"b{n}" for n in range(10)], user="bob")
        center.run_on(20.0)
        usual = slowest(center, alone)
        flood = all_at_once(center, [f"e{n}" for n in range(200)], user="eve", fair=fair)
        others = all_at_once(center, [f"c{n}" for n in range(10)], user="bob")
        center.run_on(120.0)
        late = slowest(center, others)
        over = slowest(center, flood)
        assert over > 5.0 * usual, "that was no flood"
        assert (late <= 2.0 * usual) is fair, (late, usual, over)
