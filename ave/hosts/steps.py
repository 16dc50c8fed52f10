"""What the verbs of hosts share."""

from __future__ import annotations

from ave.errors import Refused
from ave.model.cluster import Lock, lock_name
from ave.model.host import Host
from ave.model.work import Work
from ave.ports.store import Check
from ave.ports.together import Ports


def locked(task: Work) -> Check:
    """The condition of every write for the task's host: its Job still holds the lock it began with."""
    return Check(Lock, lock_name(Host, task.resource), {"job": task.job})


async def read(ports: Ports, task: Work) -> Host:
    host = await ports.store.get(Host, task.resource)
    if host is None:
        raise Refused(f"there is no host {task.resource}")
    return host
