"""The table of verbs: everything that the Job Center can be asked to do. A new verb is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping

from ave.ha.rescue import RESCUE
from ave.jobs.cleanup import CLEAN_UP_VERB
from ave.jobs.mend import RECOVER_VERB
from ave.jobs.verb import Verb
from ave.vms.create import CREATE
from ave.vms.delete import DELETE
from ave.vms.migrate import MIGRATE
from ave.vms.power import POWEROFF, SHUTDOWN
from ave.vms.start import START_VERB
from ave.vms.synchronise import SYNCHRONISE_VERB

VERBS: Mapping[str, Verb] = {
    verb.operation: verb
    for verb in (
        CREATE,
        START_VERB,
        SHUTDOWN,
        POWEROFF,
        MIGRATE,
        DELETE,
        RESCUE,
        SYNCHRONISE_VERB,
        RECOVER_VERB,
        CLEAN_UP_VERB,
    )
}
