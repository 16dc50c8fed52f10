"""What answers each question of the catalogue: one row each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from ave.api.accounts import ACCOUNTS
from ave.api.admission import require_allowed, require_seen, seen
from ave.api.floor import Floor, require_administrator
from ave.api.nouns import NOUNS, Noun
from ave.api.problems import Invalid, Taken
from ave.api.questions import (
    PAGE_MOST,
    QUESTIONS,
    WAIT_MOST,
    AskAudit,
    AuditChecked,
    AuditPage,
    ExplainVM,
    Page,
    Select,
    Show,
    ShowJob,
)
from ave.api.selection import select
from ave.api.shown import Explained, Job, JobLog, is_job, job, log
from ave.errors import Refused
from ave.jobs.cancel import cancel
from ave.model.access import Caller
from ave.model.audit import Chain, Record, broken
from ave.model.settings import DEFAULTS
from ave.model.work import ENDED, Work
from ave.operations import Nothing
from ave.ports.store import Above

Answering = Callable[[Floor, Caller, Any], Awaitable[Any]]


async def _list(noun: Noun, floor: Floor, caller: Caller, asked: Select) -> Page[Any]:
    floor.view.require_fed()
    return select(seen(caller, noun, floor.view.docs(noun.kind)), noun.type, asked)


async def _jobs(floor: Floor, caller: Caller, asked: Select) -> Page[Any]:
    floor.view.require_fed()
    works = seen(caller, NOUNS["job"], floor.view.docs("work"))
    jobs = [job(work) for work in works if is_job(work)]
    return select(jobs, Job, asked if asked.sort else msgspec.structs.replace(asked, sort="-submitted"))


async def _show(noun: Noun, floor: Floor, caller: Caller, asked: Show) -> Any:
    doc = await floor.find(noun, asked.id)
    require_seen(caller, noun, asked.id, doc)
    return doc


async def _cluster(floor: Floor, caller: Caller, asked: Show) -> Any:
    noun = NOUNS["cluster"]
    doc = await floor.find(noun, noun.only) or DEFAULTS
    require_seen(caller, noun, noun.only, doc)
    return doc


async def _job(floor: Floor, caller: Caller, asked: ShowJob) -> Job:
    if not 0 <= asked.wait <= WAIT_MOST:
        raise Invalid(f"wait: from 0 to {WAIT_MOST:g} seconds")
    work = await _work(floor, caller, asked.id)
    if asked.wait and work.state not in ENDED:
        await floor.ended(asked.id, asked.wait)
        work = floor.view.docs("work").get(asked.id, work)
    return job(work, floor.view.parts(asked.id))


async def _log(floor: Floor, caller: Caller, asked: Show) -> JobLog:
    return log(await _work(floor, caller, asked.id), floor.view.parts(asked.id))


async def _cancel(floor: Floor, caller: Caller, asked: Show) -> Job:
    work = await _work(floor, caller, asked.id)
    require_allowed(caller, QUESTIONS["job.cancel"].permission, NOUNS["job"], asked.id, work)
    try:
        await cancel(floor.ports, floor.crew, asked.id)
    except Refused as refusal:
        raise Taken(str(refusal)) from None
    now = await floor.ports.store.get(Work, asked.id) or work
    await floor.view.until("work", asked.id, now.version)
    return job(now, floor.view.parts(asked.id))


async def _work(floor: Floor, caller: Caller, id: str) -> Work:
    noun = NOUNS["job"]
    work = await floor.find(noun, id)
    require_seen(caller, noun, id, work if work is not None and is_job(work) else None)
    assert isinstance(work, Work)
    return work


async def _explain(floor: Floor, caller: Caller, asked: ExplainVM) -> Explained:
    floor.view.require_fed()
    if bool(asked.id) == (asked.new is not None):
        raise Invalid("which VM? its id, or what a new one would be, one of them")
    from ave.api.placing import explained  # loads arrays: not before somebody asks

    return explained(floor.view, caller, asked, floor.plugged)


async def _audit(floor: Floor, caller: Caller, asked: AskAudit) -> AuditPage:
    """The newest first. Of every host as many as are asked for, since nobody knows whose are the newest."""
    require_administrator(caller)
    if not 1 <= asked.limit <= PAGE_MOST:
        raise Invalid(f"limit: from 1 to {PAGE_MOST}")
    found: list[tuple[float, Record]] = []
    for chain in await floor.ports.store.find(Chain):
        where = {"host": chain.id, "number": Above(chain.number - asked.limit)}
        latest = 0.0  # a clock that was put back makes no record older than the one before it
        for record in await floor.ports.store.find(Record, where, ("number",)):
            latest = max(latest, record.at)
            found.append((latest, record))
    found.sort(key=lambda each: (-each[0], each[1].host, -each[1].number))
    return AuditPage(items=tuple(record for _, record in found[: asked.limit]))


async def _check_audit(floor: Floor, caller: Caller, asked: Nothing) -> AuditChecked:
    require_administrator(caller)
    store = floor.ports.store
    told: dict[str, str] = {}
    counted = 0
    for chain in await store.find(Chain):
        records = await store.find(Record, {"host": chain.id}, ("number",))
        counted += len(records)
        now = await store.get(Chain, chain.id) or chain  # records may have come while these were read
        beyond = [record.number for record in records if record.number > now.number]
        what = f"record {beyond[0]} is beyond the end of the chain" if beyond else ""
        told[chain.id] = what or broken(chain, [record for record in records if record.number <= chain.number])
    return AuditChecked(records=counted, broken={host: what for host, what in told.items() if what})


_SPECIAL: Mapping[str, Answering] = {
    "job.list": _jobs,
    "job.show": _job,
    "job.log": _log,
    "job.cancel": _cancel,
    "cluster.show": _cluster,
    "vm.explain-placement": _explain,
    **ACCOUNTS,
    "audit.list": _audit,
    "audit.check": _check_audit,
}
_USUALLY: Mapping[str, Callable[..., Awaitable[Any]]] = {"list": _list, "show": _show}
ANSWERS: Mapping[str, Answering] = {
    name: _SPECIAL.get(name) or partial(_USUALLY[question.verb], NOUNS[question.noun])
    for name, question in QUESTIONS.items()
}
