from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ave.model.cluster import Lock
from ave.model.work import ENDED, Work
from drivers.sim.facts import Effect
from sim.invariants.shape import Stage, Violation


class Locks:
    """Armed when a resource passes from one Job to another while somebody waits or acts on it."""

    id = "J4"
    phrase = (
        "a resource has one lock owner at a time, and no effect of an earlier owner is accepted after a later one's"
    )

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._owner: dict[str, str] = {}
        self._accepted: dict[tuple[str, str], tuple[int, int, str]] = {}  # resource and lock -> token, epoch, Job

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {"lock": self.lock, Effect: self.effect}

    def lock(self, change: tuple[str, Lock | None]) -> None:
        id, lock = change
        if lock is None:
            raise Violation(self.id, f"{id}: its lock was deleted, so its tokens start again", (id,))
        before = self._owner.get(id, "")
        if lock.job and before and lock.job != before:
            holder = self._stage.store.ledger.get(Work, before)
            if holder is None or holder.state not in ENDED:
                raise Violation(
                    self.id, f"{id} was locked by {lock.job} while {before} held it", (id, lock.job, before)
                )
        self.armed += bool(lock.queue) and lock.job != before
        self._owner[id] = lock.job

    def effect(self, fact: Effect) -> None:
        if not fact.stamp.job:
            return  # a host clearing itself: no Job's matter
        key = (fact.resource, fact.stamp.lock)
        token, epoch, job = self._accepted.get(key, (0, 0, ""))
        if (fact.stamp.token, fact.stamp.epoch) < (token, epoch) and fact.stamp.job != job:
            what = f"{fact.what} on {fact.resource} by {fact.stamp.job} was accepted after {job}, which locked it later"
            raise Violation(self.id, what, (fact.resource.partition("/")[2], fact.stamp.job, job))
        self.armed += bool(job) and job != fact.stamp.job
        self._accepted[key] = (fact.stamp.token, fact.stamp.epoch, fact.stamp.job)
