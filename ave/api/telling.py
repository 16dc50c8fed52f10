"""What people are told when something changes, beside the thing itself: a line of the log. Pure: what was and what is, in.

Every host derives the same lines from the same commits, so nothing has to be kept or sent for it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ave.api.nouns import BY_KIND
from ave.api.shown import is_job
from ave.model.alarm import Alarm
from ave.model.cluster import Role
from ave.model.work import ENDED, Work, WorkState
from ave.operations import OPERATIONS, JobType

STATEFUL = ("vm", "host", "zone", "volume", "network", "group")
_BEGUN = (WorkState.QUEUED, WorkState.READY)


class Told(msgspec.Struct, frozen=True):
    """``about``: kind and document by which it is judged who may read it; ``who`` is its noun and id."""

    about: tuple[str, Any]
    who: str
    event: str
    why: str


def told(kind: str, old: Any, new: Any) -> Told | None:
    """A line, if there is something to say. ``new`` is None if it was deleted."""
    doc = new if new is not None else old
    if doc is None:
        return None
    if kind in STATEFUL:
        event, why = _moved(old, new)
    elif isinstance(doc, Work):
        event, why = _worked(old, new)
    elif isinstance(doc, Role):
        event, why = _led(old, new)
    elif isinstance(doc, Alarm):
        event, why = _alarmed(old, new)
    else:
        return None
    if not event:
        return None
    return Told((kind, doc), f"{BY_KIND[kind].name}/{doc.id}", event, why)


def _moved(old: Any, new: Any) -> tuple[str, str]:
    """A new entry in its story: where it went, or what happened to it there."""
    if new is None:
        return "gone", ""
    if old is None:
        return str(new.state), new.story[-1].partition(": ")[2] if new.story else ""
    if new.story == old.story or not new.story:
        return "", ""
    return str(new.state), new.story[-1].partition(": ")[2]


def _worked(old: Work | None, new: Work | None) -> tuple[str, str]:
    """Of a Job: that it was asked for, and how it ended. Of what comes back by the clock only that it failed."""
    if new is None or not is_job(new) or (old is not None and old.state == new.state):
        return "", ""
    operation = OPERATIONS.get(new.operation)
    if operation is not None and operation.type is JobType.SCHEDULED and new.state is not WorkState.FAILED:
        return "", ""
    if old is None and new.state in _BEGUN:
        return "submitted", f"by {new.user}" if new.user else ""
    if new.state in ENDED:
        return str(new.state), new.story[-1].partition(": ")[2] if new.story else ""
    return "", ""


def _led(old: Role | None, new: Role | None) -> tuple[str, str]:
    if new is None or (old is not None and old.holder == new.holder):
        return "", ""
    return ("taken", f"by {new.holder}, term {new.term}") if new.holder else ("vacant", "")


def _alarmed(old: Alarm | None, new: Alarm | None) -> tuple[str, str]:
    if new is None:
        return "cleared", old.what if old is not None else ""
    return ("raised", new.what) if old is None or old.what != new.what else ("", "")
