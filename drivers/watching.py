"""What a watch is interested in, for stores that tell their watches by themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ave.ports.store import In, Where

Changes = tuple[tuple[str, str, Any], ...]
Interest = Mapping[str, tuple[str, tuple[Any, ...]]]  # kind -> the field that must have one of these values, or ""


def interest_in(kinds: Sequence[str], where: Where | None) -> Interest:
    """``where`` is equality or In on one field."""
    if not where:
        return dict.fromkeys(kinds, ("", ()))
    ((field, wanted),) = where.items()
    return dict.fromkeys(kinds, (field, wanted.values if isinstance(wanted, In) else (wanted,)))


def concerning(changes: Changes, interest: Interest) -> Changes:
    """Deletions always pass: what is no more has no field to look at."""
    return tuple(
        [
            change
            for change in changes
            if (wanted := interest.get(change[0])) is not None
            and (not wanted[0] or change[2] is None or getattr(change[2], wanted[0]) in wanted[1])
        ]
    )
