"""Hosts of a mass failure whose verdict waits: an alarm while there are any, and the reason in the story of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ave.ha.notice import Notice, some
from ave.model.cluster import Role
from ave.model.host import Host
from ave.model.states import note
from ave.ports.store import Replace
from ave.ports.together import Ports
from ave.scheduler.role import still_held

ALARM = "ha/mass-failure"
WHY = "judged on more than silence, since too many hosts fell silent together"


class Holding:
    """Of one holding of the monitor's role."""

    def __init__(self, ports: Ports, role: Role) -> None:
        self._ports, self._role = ports, role
        self._notice = Notice(ports, role, ALARM)
        self._noted: dict[str, None] = {}

    async def tell(self, hosts: Mapping[str, Host], held: Iterable[str]) -> None:
        """Raises Conflict, Unavailable, UnknownOutcome: say it again."""
        names = dict.fromkeys(held)
        self._noted = {name: None for name in self._noted if name in names}
        for name in names:
            if name not in self._noted:
                await self._ports.store.commit(Replace(note(hosts[name], WHY)), still_held(self._role))
                self._noted[name] = None
                self._ports.runtime.log("mass failure", host=name, held=len(names), hosts=len(hosts))
        what = f"{len(names)} of {len(hosts)} hosts fell silent together and are not judged for it: {some(list(names))}"
        await self._notice.say(what if names else "")
