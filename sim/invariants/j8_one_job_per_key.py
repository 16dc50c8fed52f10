from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ave.model.cluster import Key
from ave.model.work import Work
from sim.answers import Answered
from sim.invariants.shape import Stage, Violation

REMEMBERED_SECONDS = 86_400.0


class OneJobPerKey:
    """Armed by every answer to a request whose key was used before."""

    id = "J8"
    phrase = "who asks again with the same idempotency key is given the same Job, and with another request none"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._answers: dict[str, tuple[Answered, float]] = {}  # key -> the first answer, and when
        self._jobs: dict[str, str] = {}  # key -> Job, by the store

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {Answered: self.answered, "key": self.key}

    def answered(self, fact: Answered) -> None:
        now = self._stage.now()
        first, at = self._answers.setdefault(fact.key, (fact, now))
        if now - at > REMEMBERED_SECONDS:
            self._answers[fact.key] = (fact, now)
            return
        if self._stage.store.ledger.get(Work, fact.job) is None:
            raise Violation(self.id, f"{fact.key} was answered with {fact.job}, which is not in the store", (fact.job,))
        if first is fact:
            return
        self.armed += 1
        if fact.request != first.request:
            what = f"key {fact.key} was taken for another request than that of {first.job}"
            raise Violation(self.id, what, (fact.job, first.job))
        if fact.job != first.job:
            raise Violation(self.id, f"key {fact.key} is {first.job} and {fact.job}", (fact.job, first.job))

    def key(self, change: tuple[str, Key | None]) -> None:
        id, key = change
        if key is None:
            self._jobs.pop(id, None)
            return
        first = self._jobs.setdefault(id, key.job)
        if first != key.job:
            raise Violation(self.id, f"key {id} meant {first}, and now means {key.job}", (first, key.job))
