"""The table of what is stored, and in which shapes it may be found.

A shape not declared here is an error, not a slow scan (``ports.store``). Indexed fields are never None and of one type.
"""

from __future__ import annotations

from ave.model.access import Password, Token, User
from ave.model.alarm import Alarm
from ave.model.audit import Chain, Record
from ave.model.cluster import Handler, JobQueue, Key, Lock, Role
from ave.model.group import Group
from ave.model.host import Host, Report, Zone
from ave.model.identity import Identity
from ave.model.network import Network
from ave.model.settings import Settings
from ave.model.target import Target
from ave.model.tenant import Tenant
from ave.model.vm import VM
from ave.model.volume import Volume
from ave.model.work import ENDED, OPEN, W, Work
from ave.ports.store import Index, Kind

SCHEMA = 1  # grows with every change that an older node would misread; a store of a newer one is refused

KINDS = (
    Kind("host", Host, (Index(), Index(("state",)))),
    Kind("report", Report, (Index(),)),
    Kind("zone", Zone, (Index(),)),
    Kind("settings", Settings, (Index(),)),
    Kind("identity", Identity, (), shown=False),
    Kind("vm", VM, (Index(), Index(("host",)), Index(("reserved",)), Index(("tenant",)))),
    Kind("volume", Volume, (Index(), Index(("state",)), Index(("tenant",)))),
    Kind("target", Target, (Index(),), shown=False),
    Kind("network", Network, (Index(),)),
    Kind("group", Group, (Index(),)),
    Kind(
        "work",
        Work,
        (
            Index(),  # the view of who shows it
            # Recovery asks for all that is ready, waits, runs or is queued: each is all there is in one of these.
            Index(("lane", "state"), ("rank",), only=(W.READY, W.WAITING)),  # claim, and what is handed over
            Index(("handler", "state"), only=(W.RUNNING,)),  # what a worker holds
            Index(("job", "state"), only=OPEN),  # a Job's tasks
            Index(("flag", "state"), ("turn",), only=(W.QUEUED,)),  # a Job Queue
            Index(("state",), ("finished",), only=ENDED),  # clean-up
        ),
    ),
    Kind("role", Role, (Index(),)),
    Kind("handler", Handler, (Index(),), shown=False),
    Kind("lock", Lock, (Index(("job",)), Index((), ("job",))), shown=False),
    Kind("queue", JobQueue, (Index(),), shown=False),
    Kind("key", Key, (Index((), ("made",)),), shown=False),
    Kind("tenant", Tenant, (Index(),)),
    Kind("user", User, (Index(),)),
    Kind("token", Token, (Index(),)),
    Kind("password", Password, shown=False),
    Kind("audit", Record, (Index((), ("at",)), Index(("host",), ("number",))), shown=False),
    Kind("audit-chain", Chain, (Index(),), shown=False),
    Kind("alarm", Alarm, (Index(), Index((), ("raised",)))),
)
