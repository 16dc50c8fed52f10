from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ave.jobs.worker import ALONE
from ave.model.work import Work
from drivers.sim.facts import Effect, Gone, Started
from sim.invariants.shape import Stage, Violation

ENDED = ("done", "failed", "cancelled")
OPEN = ("", "", 0)


class EffectivelyOnce:
    """Armed each time work is claimed that was claimed before: then somebody else may still be at it.

    Delivery is at least once, so a function may run twice; what must not happen twice is its effect.
    """

    id = "J3"
    phrase = (
        "work has one worker at a time and ends once; no effect of an earlier attempt is accepted after a later one's"
    )

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._claims: dict[str, tuple[str, str, int]] = {}  # work -> state, worker, attempt
        self._attempts: dict[tuple[str, str], int] = {}  # resource and task -> the newest attempt accepted
        self._running: dict[tuple[str, str], dict[int, str]] = {}  # Job and VM -> the domains it started -> host
        self._started: dict[int, tuple[str, str]] = {}  # domain -> Job and VM

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {"work": self.work, Effect: self.effect, Started: self.started, Gone: self.gone}

    def work(self, change: tuple[str, Work | None]) -> None:
        id, work = change
        if work is None:
            self._claims.pop(id, None)
            return
        state, handler, attempt = self._claims.get(id, OPEN)
        now = (str(work.state), work.handler, work.attempt)
        if now[0] == "running":
            noted = (work.handler, work.attempt) == (handler, ALONE)  # its own worker begins it for the last time
            if state == "running" and now != (state, handler, attempt) and not noted:
                what = f"{id} was claimed by {work.handler} (attempt {work.attempt}) while {handler} was at it"
                raise Violation(self.id, what, (id, work.job))
            self.armed += state == "ready" and work.attempt > 1
        if state in ENDED and now[0] != state:
            raise Violation(
                self.id, f"{id} was {state}, and then {now[0]} by {work.handler or 'nobody'}", (id, work.job)
            )
        self._claims[id] = now

    def effect(self, fact: Effect) -> None:
        stamp = fact.stamp
        if not stamp.job:
            return  # a host clearing itself: no Job's matter
        key = (fact.resource, stamp.task)
        newest = self._attempts.get(key, 0)
        if stamp.attempt < newest:
            what = f"{fact.what} on {fact.resource} by attempt {stamp.attempt} of {stamp.task} was accepted"
            thing = fact.resource.partition("/")[2]
            raise Violation(self.id, f"{what} after attempt {newest}", (thing, stamp.task, stamp.job))
        self._attempts[key] = stamp.attempt
        if fact.what == "delete":
            # With the LUN goes what it knew of rights. Who makes it late finds nobody who wants it, and takes it away again:
            # that none is left is seen at the end.
            for known in [known for known in self._attempts if known[0] == fact.resource]:
                del self._attempts[known]

    def started(self, fact: Started) -> None:
        if not fact.job:
            return
        key = (fact.job, fact.vm)
        domains = self._running.setdefault(key, {})
        if domains:
            host = next(iter(domains.values()))
            what = f"{fact.job} started {fact.vm} on {fact.host}, and its first domain of it still is on {host}"
            raise Violation(self.id, what, (fact.vm, fact.job))
        domains[fact.instance] = fact.host
        self._started[fact.instance] = key

    def gone(self, fact: Gone) -> None:
        key = self._started.pop(fact.instance, None)
        if key is not None and key in self._running:
            del self._running[key]
