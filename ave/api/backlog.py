"""How many Jobs of each tenant are open, so that whoever has many of them lets others go first."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ave.model.work import ENDED, LEAD, Work

SECONDS_EACH = 0.5  # that a Job is put back for each that its tenant has open
SECONDS_MOST = 1800.0  # so nothing waits for ever


class Backlog:
    """Of one view."""

    def __init__(self) -> None:
        self._open: dict[str, str] = {}  # Job -> tenant
        self._count: Counter[str] = Counter()

    def behind(self, tenant: str) -> float:
        """Seconds by which a new Job of that tenant is as if it had been submitted later."""
        return min(self._count[tenant] * SECONDS_EACH, SECONDS_MOST)

    def clear(self) -> None:
        self._open.clear()
        self._count.clear()

    def file(self, doc: Any) -> None:
        if not isinstance(doc, Work) or doc.function != LEAD:
            return
        if doc.state in ENDED:
            self.forget(doc)
        elif doc.user and doc.id not in self._open:  # what the cluster does by itself is nobody's
            self._open[doc.id] = doc.tenant
            self._count[doc.tenant] += 1

    def forget(self, work: Work) -> None:
        tenant = self._open.pop(work.id, None)
        if tenant is not None:
            self._count[tenant] -= 1
            if not self._count[tenant]:
                del self._count[tenant]
