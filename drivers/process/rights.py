"""The newest rights that were accepted for something, kept so that a slow worker that wakes changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from ave.ports.hypervisor import Stamp

Rights = tuple[Stamp, ...]  # all of the newest (epoch, token): of each task its newest attempt, the last accepted last
TASKS_MAX = 16  # of one Job, for one thing; the oldest are forgotten first


def outdating(rights: Sequence[Stamp], stamp: Stamp) -> Stamp | None:
    """What was accepted before and must not be followed by this."""
    return next((newest for newest in reversed(rights) if stamp.outdated_by(newest)), None)


def accepting(rights: Sequence[Stamp], stamp: Stamp) -> Rights:
    """The rights after this stamp, which is not outdated, was accepted."""
    same = [known for known in rights if (known.epoch, known.token) == (stamp.epoch, stamp.token)]
    others = [known for known in same if (known.job, known.task) != (stamp.job, stamp.task)]
    return (*others, stamp)[-TASKS_MAX:]
