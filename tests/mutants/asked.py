"""Bugs in what people meet: the API, who may do what, and how much. No scenario asks anything of it, so each of them has a test
that fails with it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec

from ave.api.audit import Auditor
from ave.api.desk import Desk
from ave.jobs import quota
from ave.model.audit import Record
from ave.ports.store import Replace, Write
from tests.mutants.patch import Patch, applied, edit, swap
from tests.unit.api import test_audit, test_matrix
from tests.unit.jobs import test_quota

sound_commit = Auditor._commit
sound_room = quota.room


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """``test``: one of another file, which gets a folder of its own."""

    name: str
    broken: str
    test: Callable[[Path], None]
    patches: tuple[Patch, ...]
    number: int = 0

    def applied(self) -> AbstractContextManager[None]:
        return applied(self.patches)


async def record_afterwards(self: Auditor, entry: Record, *writes: Write) -> list[Any]:
    answers = await self._ports.store.commit(*writes)
    await sound_commit(self, entry)
    return answers


async def look_and_leave(*given: Any) -> list[Write]:
    """It is counted, and whoever counts at the same moment does not find out."""
    return [write for write in await sound_room(*given) if not isinstance(write, Replace)]


ROWS = (
    Asked(
        number=39,
        name="unfiltered-batch",
        broken="one batch route does not filter by tenant",
        test=test_matrix.test_one_foreign_name_among_many_refuses_all_of_them,
        patches=(
            edit(
                Desk._require_allowed,
                {"require_allowed(caller, op": 'operation.name == "volume.grow" or require_allowed(caller, op'},
            ),
        ),
    ),
    Asked(
        number=42,
        name="audited-afterwards",
        broken="the audit record is written after the mutation, not with it",
        test=test_audit.test_a_job_and_its_record_are_one_commit,
        patches=(swap(Auditor, "_commit", record_afterwards),),
    ),
    Asked(
        name="quota-unguarded",
        broken="what a tenant has is counted, and the commit that adds to it does not depend on that",
        test=lambda folder: test_quota.test_never_more_than_may_be_with_a_hundred_at_once(1),
        patches=(swap(quota, "room", look_and_leave),),
    ),
)
