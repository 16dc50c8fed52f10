"""An alarm of the VM Monitor that is there for as long as there is something to say."""

from __future__ import annotations

from ave.jobs.alarms import raising
from ave.model.alarm import Alarm
from ave.model.cluster import Role
from ave.ports.store import Delete
from ave.ports.together import Ports
from ave.scheduler.role import still_held


class Notice:
    """Of one holding of the monitor's role."""

    def __init__(self, ports: Ports, role: Role, alarm: str) -> None:
        self._ports, self._role, self._alarm = ports, role, alarm
        self._said: str | None = None  # None: who led before may have raised it

    async def say(self, what: str) -> None:
        """Empty: nothing any more. Raises Conflict, Unavailable, UnknownOutcome: say it again."""
        if what == self._said:
            return
        if what:
            await self._ports.store.commit(await raising(self._ports.store, self._alarm, what), still_held(self._role))
        elif (known := await self._ports.store.get(Alarm, self._alarm)) is not None:
            await self._ports.store.commit(Delete(known), still_held(self._role))
        self._said = what


def some(names: list[str], most: int = 20) -> str:
    """Their names, but not endlessly many."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
