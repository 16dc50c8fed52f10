"""The desk of one host: whatever is asked comes here, with who asks, and either becomes a Job or is answered at once.

All hosts are alike: nothing is kept here but the view, which any other host has too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ave.api.admission import require_allowed, require_seen
from ave.api.answers import ANSWERS
from ave.api.audit import entry
from ave.api.floor import Floor
from ave.api.nouns import BY_TYPE, NOUNS, Noun
from ave.api.passwords import Hasher
from ave.api.preview import preview
from ave.api.problems import Changed, Denied, NotFound
from ave.api.questions import QUESTIONS, Question
from ave.api.shown import job
from ave.api.view import View
from ave.errors import Refused
from ave.jobs.crew import Crew
from ave.jobs.submit import digest, job_id, submit
from ave.model.access import Caller
from ave.model.audit import Record
from ave.model.work import ENDED, OnConflict, Work
from ave.operations import OPERATIONS, Operation
from ave.placement.plugged import NONE, Plugged
from ave.ports.together import Ports
from ave.verbs import VERBS


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """How something is asked, whatever it is."""

    key: str = ""  # idempotency: the same request under it is done once
    on_conflict: OnConflict = OnConflict.QUEUE
    version: int | None = None  # only if the one thing that it is about still has this one
    dry_run: bool = False
    wait: float = 0.0  # seconds that the Job may have to end
    revision: int = 0  # the view must be as far as this
    one: str = ""  # the id in the route, if it names one thing
    request_id: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """``noun``: what ``value`` is, or each item of it. ``job``: it became a Job, which is shown."""

    value: Any
    noun: Noun
    revision: int
    job: bool = False


def open_desk(
    ports: Ports,
    plugged: Plugged = NONE,
    hurried: Callable[[], bool] = lambda: False,
    hasher: Hasher | None = None,
) -> tuple[Desk, View]:
    """Of this host. The view is kept by whoever runs it. While it is ``hurried`` nobody waits for the end of a Job; who lets
    that begin sets the view's ``changed``. Without a ``hasher`` there are no passwords."""
    view = View(ports)
    return Desk(Floor(ports, Crew(ports), view, plugged, hurried, hasher)), view


class Desk:
    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    async def ask(self, caller: Caller, name: str, request: Any, manner: Manner) -> Answer:
        """Raises what ``ave.api.problems`` knows."""
        view = self._floor.view
        await view.reach(manner.revision)
        if (question := QUESTIONS.get(name)) is not None:
            value = await ANSWERS[name](self._floor, caller, request)
            return Answer(value=value, noun=_noun_of(question), revision=view.projection.revision)
        operation = OPERATIONS.get(name)
        if operation is None or not operation.by_user:
            raise Refused(f"unknown operation {name[:64]}")
        try:
            await self._require_allowed(caller, operation, request, manner)
        except (Denied, NotFound) as refusal:
            await self._floor.auditor.refused(self._entry(caller, operation, request, manner), str(refusal))
            raise
        if manner.dry_run:
            value = await preview(self._floor, operation, request, caller.tenant)
            return Answer(value=value, noun=NOUNS[operation.noun], revision=view.projection.revision)
        return await self._submit(caller, operation, request, manner)

    async def _require_allowed(self, caller: Caller, operation: Operation, request: Any, manner: Manner) -> None:
        """On all that it locks; and to see all that it reads beside."""
        verb = VERBS[operation.name]
        store = self._floor.ports.store
        for kind, id in verb.resources(request):
            noun = BY_TYPE[kind]
            doc = self._floor.view.docs(noun.kind).get(id)
            named = manner.one == id
            if (doc is None and operation.verb != "create") or (named and manner.version is not None):
                doc = await store.get(kind, id)  # the view may be behind; of what is to be made, the Leader looks
            # Who does not see everything cannot tell what is not there from what is another's.
            secret = doc is None and operation.verb != "create" and not caller.may(noun.seen_by)
            if (named or secret) and not noun.only:
                require_seen(caller, noun, id, doc)
            require_allowed(caller, operation.permission, noun, id, doc)
            if named and doc is not None and manner.version not in (None, doc.version):
                raise Changed(f"{noun.name} {id} is of version {doc.version}, and not {manner.version} any more")
        for kind, id in (*verb.also(request), *verb.names(request)):
            if (known := BY_TYPE.get(kind)) is not None:
                doc = self._floor.view.docs(known.kind).get(id)
                if doc is None and not caller.may(known.seen_by):  # as above
                    doc = await store.get(kind, id)
                    require_seen(caller, known, id, doc)
                elif doc is not None:
                    require_seen(caller, known, id, doc)

    async def _submit(self, caller: Caller, operation: Operation, request: Any, manner: Manner) -> Answer:
        """The Job and its audit record are one commit."""
        floor = self._floor
        ports = floor.ports
        key = f"{caller.user}/{manner.key}" if manner.key else ""
        mine = job_id(operation.name, ports.runtime.random)
        said = msgspec.structs.replace(self._entry(caller, operation, request, manner), job=mine)
        id = await submit(
            ports,
            floor.crew,
            operation.name,
            request,
            on_conflict=manner.on_conflict,
            id=mine,
            key=key,
            user=caller.user,
            tenant=caller.tenant,
            behind=floor.view.backlog.behind(caller.tenant),
            commit=floor.auditor.commit_of(said),
        )
        await floor.view.until("work", id, 0)
        if manner.wait:
            await floor.ended(id, manner.wait)
        work = floor.view.docs("work").get(id) or await ports.store.get(Work, id)
        assert work is not None, f"{id} was just submitted"
        parts = floor.view.parts(id) if work.state in ENDED else []
        return Answer(value=job(work, parts), noun=NOUNS["job"], revision=floor.view.projection.revision, job=True)

    def _entry(self, caller: Caller, operation: Operation, request: Any, manner: Manner) -> Record:
        things = [f"{BY_TYPE[kind].name}/{id}" for kind, id in VERBS[operation.name].resources(request)]
        asked = digest(operation.name, request)
        return entry(
            self._floor.ports.host, caller, operation.name, things, request=asked, request_id=manner.request_id
        )


def _noun_of(question: Question) -> Noun:
    return NOUNS[question.noun]
