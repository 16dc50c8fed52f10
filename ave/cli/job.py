"""``ave job``: what the cluster is at, and how it went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ave.cli.cluster import HERE, Output, Where, ended, late, visit
from ave.cli.objects import print_all, show

if TYPE_CHECKING:
    from ave.ports.together import Ports

RECENT_SECONDS = 3600.0


def ls(
    *, all: Annotated[bool, Parameter(name="--all", negative="")] = False, where: Where = HERE, output: Output = "table"
) -> int:
    """Jobs that have not ended. Exit 0, 6 the store cannot be reached.

    Parameters
    ----------
    all
        And those that have ended within the last hour.
    """

    async def deed(ports: Ports) -> int:
        from ave.model.work import ENDED, LEAD, Work, WorkState
        from ave.ports.store import Above

        found = []
        for state in WorkState:
            if state not in ENDED:
                found += await ports.store.find(Work, {"state": state})
        since = await ports.store.now() - RECENT_SECONDS
        for state in ENDED if all else ():
            found += await ports.store.find(Work, {"state": state, "finished": Above(since)}, ("finished",))
        jobs = [each for each in found if each.function == LEAD]
        print_all("job", sorted(jobs, key=lambda job: (job.submitted, job.id)), output)
        return 0

    return visit(where, deed)


def show_job(id: str, /, *, where: Where = HERE, output: Output = "table") -> int:
    """All that the store says of a Job, and its story. Exit 0, 3 there is no such Job."""
    return show("job", id, where, output)


def wait(id: str, /, *, timeout: float = 600.0, where: Where = HERE, output: Output = "table") -> int:
    """Wait until a Job has ended, and say how. Exit 0 all of it done, 1 some of it failed, 7 it goes on.

    Parameters
    ----------
    timeout
        Seconds.
    """
    from ave.cli import outcome

    async def deed(ports: Ports) -> int:
        job = await ended(ports, id, timeout)
        return late(id) if job is None else await outcome.show(ports, job, output)

    return visit(where, deed)


def cancel(id: str, /, *, where: Where = HERE) -> int:
    """Withdraw a Job: what runs is stopped where that is safe, and undone. Exit 0 that is known to it, 2 it cannot be."""

    async def deed(ports: Ports) -> int:
        from ave.jobs import cancel
        from ave.jobs.crew import Crew

        await cancel.cancel(ports, Crew(ports), id)
        print(f"{id} is being withdrawn: ave job wait {id}")
        return 0

    return visit(where, deed)
