"""What every answer stands on: this host's ports and its view, and how a change is made with its audit record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ave.api.audit import Auditor, Commit, entry
from ave.api.nouns import NOUNS, Noun
from ave.api.passwords import Guesses, Hasher
from ave.api.problems import Denied, NotFound, OnlyReal, Unauthenticated
from ave.api.questions import WAIT_MOST
from ave.api.shown import Job
from ave.api.view import View
from ave.errors import Refused
from ave.jobs.crew import Crew
from ave.model.access import Caller, Permission
from ave.model.work import ENDED, Work
from ave.placement.plugged import NONE, Plugged
from ave.ports.together import Ports

T = TypeVar("T")


class Floor:
    """All that answers may touch on this host. ``hurried``: nobody is to wait for the end of a Job now."""

    def __init__(
        self,
        ports: Ports,
        crew: Crew,
        view: View,
        plugged: Plugged = NONE,
        hurried: Callable[[], bool] = lambda: False,
        hasher: Hasher | None = None,
    ) -> None:
        self.ports, self.crew, self.view, self.plugged, self.hurried = ports, crew, view, plugged, hurried
        self._hasher = hasher
        self.guesses = Guesses(ports.runtime)
        self.auditor = Auditor(ports)

    @property
    def hasher(self) -> Hasher:
        """Raises OnlyReal: nobody has a password here."""
        if self._hasher is None:
            raise OnlyReal("a simulated cluster lets everybody in, and has no passwords")
        return self._hasher

    async def ended(self, id: str, seconds: float) -> None:
        """Until the Job has ended, or so long."""
        works = self.view.docs("work")
        try:
            async with self.ports.runtime.timeout(min(seconds, WAIT_MOST)):
                while ((work := works.get(id)) is None or work.state not in ENDED) and not self.hurried():
                    await self.view.next()
        except TimeoutError:
            pass

    async def find(self, noun: Noun, id: str) -> Any:
        """The document, or None: the view may not have heard of it yet, the store has."""
        doc = self.view.docs(noun.kind).get(id)
        if doc is None:
            doc = await self.ports.store.get(Work if noun.type is Job else noun.type, id)
        return doc


def require_administrator(caller: Caller) -> None:
    if not caller.may(Permission.ADMINISTER):
        raise Denied(f"{caller.user} has no role that may {Permission.ADMINISTER} users and tokens")


def anybody(caller: Caller) -> None:
    """Whoever it is may ask, and must show something else."""


async def changed(
    floor: Floor,
    caller: Caller,
    operation: str,
    thing: str,
    act: Callable[[Commit], Awaitable[T]],
    *,
    by: Callable[[Caller], None] = require_administrator,
) -> T:
    """With its audit record, or with that of its refusal. ``by`` raises Denied for whom it is not."""
    noun = operation.partition(".")[0]
    said = entry(floor.ports.host, caller, operation, [f"{noun}/{thing[:256]}"])
    try:
        by(caller)
        return await act(floor.auditor.commit_of(said))
    except (Denied, Refused, Unauthenticated) as refusal:
        await floor.auditor.refused(said, str(refusal))
        raise


async def fresh(floor: Floor, name: str, id: str) -> Any:
    """As the store has it now."""
    doc = await floor.ports.store.get(NOUNS[name].type, id)
    if doc is None:
        raise NotFound(f"there is no {name} {id[:256]}")
    return doc
