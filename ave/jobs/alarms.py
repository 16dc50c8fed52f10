"""Raising alarms: one document per cause, however often it comes back."""

from __future__ import annotations

import msgspec

from ave.model.alarm import Alarm
from ave.model.work import Work
from ave.operations import OPERATIONS, JobType
from ave.ports.store import Insert, Replace, Store, Write

RAISED = {"raised": 0.0}


async def poison(store: Store, work: Work, what: str) -> Write:
    """The write that says that work was given up. Scheduled work comes back every cycle, and is one cause."""
    operation = OPERATIONS.get(work.operation)
    cause = work.operation if operation is not None and operation.type is JobType.SCHEDULED else work.id
    return await raising(store, f"poison/{cause}", what)


async def raising(store: Store, id: str, what: str) -> Write:
    """The write that raises this alarm, or says anew what it is about."""
    known = await store.get(Alarm, id)
    if known is None:
        return Insert(Alarm(id=id, what=what), RAISED)
    return Replace(msgspec.structs.replace(known, what=what), RAISED)
