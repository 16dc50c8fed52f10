"""The newest rights that were accepted for something, kept so that a slow worker that wakes changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from ave.ports.hypervisor import Stamp

Rights = tuple[
    Stamp, ...
]  # per lock those of the newest (token, epoch): of each task its newest attempt, the last one last
TASKS_MAX = 16  # the oldest are forgotten first


def outdating(rights: Sequence[Stamp], stamp: Stamp) -> Stamp | None:
    """What was accepted before and must not be followed by this."""
    return next((newest for newest in reversed(rights) if stamp.outdated_by(newest)), None)


def accepting(rights: Sequence[Stamp], stamp: Stamp) -> Rights:
    """The rights after this stamp, which is not outdated, was accepted."""
    return (*(known for known in rights if _stays(known, stamp)), stamp)[-TASKS_MAX:]


def _stays(known: Stamp, stamp: Stamp) -> bool:
    if known.lock != stamp.lock:
        return True
    return known.right == stamp.right and (known.job, known.task) != (stamp.job, stamp.task)
