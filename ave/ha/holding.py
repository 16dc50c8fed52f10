"""Hosts of a mass failure whose verdict waits: an alarm while there are any, and the reason in the story of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ave.jobs.alarms import raising
from ave.model.alarm import Alarm
from ave.model.cluster import Role
from ave.model.host import Host
from ave.model.states import note
from ave.ports.store import Delete, Replace
from ave.ports.together import Ports
from ave.scheduler.role import still_held

ALARM = "ha/mass-failure"
NAMED = 20  # hosts, in the alarm
WHY = "judged on more than silence, since too many hosts fell silent together"


class Holding:
    """Of one holding of the monitor's role."""

    def __init__(self, ports: Ports, role: Role) -> None:
        self._ports, self._role = ports, role
        self._told: dict[str, None] | None = None  # hosts of the alarm; None: who led before may have raised one
        self._noted: dict[str, None] = {}

    async def tell(self, hosts: Mapping[str, Host], held: Iterable[str]) -> None:
        """Raises Conflict, Unavailable, UnknownOutcome: say it again."""
        names = dict.fromkeys(held)
        self._noted = {name: None for name in self._noted if name in names}
        for name in names:
            if name not in self._noted:
                await self._ports.store.commit(Replace(note(hosts[name], WHY)), still_held(self._role))
                self._noted[name] = None
        if names == self._told:
            return
        if names:
            shown = ", ".join(list(names)[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
            what = f"{len(names)} of {len(hosts)} hosts fell silent together and are not judged for it: {shown}"
            await self._ports.store.commit(await raising(self._ports.store, ALARM, what), still_held(self._role))
            self._ports.runtime.log("mass failure", held=len(names), hosts=len(hosts))
        elif (known := await self._ports.store.get(Alarm, ALARM)) is not None:
            await self._ports.store.commit(Delete(known), still_held(self._role))
        self._told = names
