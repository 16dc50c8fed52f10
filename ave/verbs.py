"""The table of verbs: everything that the Job Center can be asked to do. A new verb is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping

from ave.groups import describe as group_describe
from ave.groups import switch as group_switch
from ave.groups.repair import REPAIR
from ave.ha import settings as cluster
from ave.ha.discard import DISCARD
from ave.ha.rescue import RESCUE
from ave.hosts.enter import ENTER
from ave.hosts.evacuate import EVACUATE_HOSTS
from ave.hosts.leave import EXIT
from ave.hosts.report import REPORT
from ave.jobs.cleanup import CLEAN_UP_VERB
from ave.jobs.mend import RECOVER_VERB
from ave.jobs.verb import Verb
from ave.network import delete as network_delete
from ave.network import describe as network_describe
from ave.storage import create as volume_create
from ave.storage import delete as volume_delete
from ave.storage import grow as volume_grow
from ave.vms.create import CREATE
from ave.vms.delete import DELETE
from ave.vms.displace import DISPLACE
from ave.vms.edit import EDIT
from ave.vms.migrate import MIGRATE
from ave.vms.power import POWEROFF, SHUTDOWN
from ave.vms.restart import RESET, RESTART, REVIVE
from ave.vms.start import START_VERB
from ave.vms.suspend import RESUME, SUSPEND
from ave.vms.synchronise import SYNCHRONISE_VERB

VERBS: Mapping[str, Verb] = {
    verb.operation: verb
    for verb in (
        CREATE,
        START_VERB,
        SHUTDOWN,
        POWEROFF,
        RESTART,
        RESET,
        SUSPEND,
        RESUME,
        EDIT,
        MIGRATE,
        DELETE,
        RESCUE,
        EVACUATE_HOSTS,
        DISPLACE,
        REVIVE,
        DISCARD,
        volume_create.CREATE,
        volume_grow.GROW,
        volume_delete.DELETE,
        network_describe.CREATE,
        network_describe.EDIT,
        network_delete.DELETE,
        group_describe.CREATE,
        group_describe.EDIT,
        group_switch.ENABLE,
        group_switch.DISABLE,
        group_switch.DELETE,
        REPAIR,
        ENTER,
        EXIT,
        cluster.EDIT,
        REPORT,
        SYNCHRONISE_VERB,
        RECOVER_VERB,
        CLEAN_UP_VERB,
    )
}
