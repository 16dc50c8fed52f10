"""Change what holds for the whole cluster. A field that is absent stays as it is."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from ave.jobs.verb import Found, Split, Verb, each
from ave.model.settings import CLUSTER, DEFAULTS, Settings
from ave.model.work import Result
from ave.operations import EditCluster
from ave.ports.store import Insert, Replace, Write


def split(request: EditCluster, found: Found) -> Split:
    if CLUSTER not in found.of(Settings):
        return Split()  # its lock is held
    known = found.get(Settings, CLUSTER)
    wanted = known or DEFAULTS
    if request.network_failure is not UNSET:
        wanted = msgspec.structs.replace(wanted, network_failure=request.network_failure)
    if request.guest_failure is not UNSET:
        wanted = msgspec.structs.replace(wanted, guest_failure=request.guest_failure)
    change: tuple[Write, ...] = (Insert(wanted) if known is None else Replace(wanted),) if wanted != known else ()
    return Split(writes=change, results={CLUSTER: Result(True)})


EDIT = Verb(operation="cluster.edit", resources=lambda request: each(Settings, (CLUSTER,)), split=split)
