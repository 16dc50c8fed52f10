"""Several Jobs, so many at a time: the next one begins when another has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ave.cli.remote.connection import Client
from ave.cli.remote.failures import Exit, Failure, complain
from ave.cli.remote.picking import path_of
from ave.cli.remote.waiting import JOB, LOST_SECONDS, Line, again, ended, failed

LOOK_SECONDS = 1.0  # how long one of them is waited for before the others are looked at

Job = dict[str, Any]


class Sent(msgspec.Struct, frozen=True):
    """A request, and the things that it is about."""

    method: str
    path: str
    body: Any
    about: tuple[str, ...]


def in_turn(
    client: Client, ask: Callable[[Sent], Job], sent: Sequence[Sent], most: int, timeout: float, fail_fast: bool
) -> tuple[list[Job], list[str], Exit]:
    """The Jobs that were begun, in that order; what was not begun, because one failed; and what to exit with for those that
    could not even become Jobs. ``timeout``: seconds for all of it; 0: no limit. Raises Failure, which says how to come back."""
    began = time.monotonic()
    line, exit = Line(), Exit.OK
    waiting = list(sent)
    jobs: list[Job] = []
    under_way: dict[int, Job] = {}
    try:
        while under_way or (waiting and not _stopped(fail_fast, jobs, exit)):
            while waiting and len(under_way) < most and not _stopped(fail_fast, jobs, exit):
                try:
                    jobs.append(ask(waiting.pop(0)))
                except Failure as failure:
                    exit = complain(failure)
                    continue
                under_way[len(jobs) - 1] = jobs[-1]
            if timeout and under_way and time.monotonic() - began > timeout:
                raise Failure(Exit.TIMEOUT, f"{len(under_way)} Jobs go on after {timeout:g} s", again(jobs))
            wait = LOOK_SECONDS
            for place, job in list(under_way.items()):
                line.say(job, time.monotonic() - began)
                jobs[place] = _seen(client, job, wait)
                wait = 0.0  # of the first one; of the others only whether they have ended
                if ended(jobs[place]):
                    del under_way[place]
                else:
                    under_way[place] = jobs[place]
    except KeyboardInterrupt:
        line.end()
        raise Failure(Exit.INTERRUPTED, "the Jobs go on without you", again(jobs)) from None
    finally:
        line.end()
    return jobs, [id for each in waiting for id in each.about], exit


def _stopped(fail_fast: bool, jobs: Sequence[Job], exit: Exit) -> bool:
    return fail_fast and (exit is not Exit.OK or any(ended(job) and failed(job) for job in jobs))


def _seen(client: Client, job: Job, wait: float) -> Job:
    if ended(job) and "tasks" in job:
        return job
    answer = client.ask("GET", path_of(JOB, job["id"]), query={"wait": wait}, wait=wait, patience=LOST_SECONDS)
    return answer.body  # type: ignore[no-any-return]
