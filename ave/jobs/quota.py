"""Quotas: no commit makes a tenant have more than it may.

What a tenant has is counted anew from its VMs and volumes, and kept nowhere, so it cannot drift. Whoever adds to it replaces
the tenant's document in the same commit: of two who counted the same, one finds that it moved, and counts again. Who has no
limit is not counted. A limit holds for all that begins after it was set; that there already is more takes nothing away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ave.errors import Refused, Unavailable
from ave.model.tenant import AMOUNTS, Tenant, Use, taken
from ave.model.vm import VM
from ave.model.volume import Volume
from ave.ports.store import Conflict, Insert, Replace, Store, Write
from ave.ports.together import Ports

TRIES = 30
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.005, 0.64
_KIND = "tenant"
_WORDS: Mapping[str, str] = {
    "vcpus": "vCPUs",
    "memory_mib": "MiB of memory",
    "vms": "VMs",
    "volumes_gib": "GiB of volumes",
}
_NOTHING = Use()


def growth(writes: Iterable[Write], known: Mapping[tuple[type[Any], str], Any]) -> dict[str, Use]:
    """What these writes take more, by tenant. ``known``: the documents that they replace. Pure."""
    grown: dict[str, Use] = {}
    for write in writes:
        if isinstance(write, Insert | Replace) and isinstance(write.doc, VM | Volume):
            doc = write.doc
            # Whoever does not know what it replaces makes nothing larger.
            before = known.get((type(doc), doc.id), doc) if isinstance(write, Replace) else None
            grown[doc.tenant] = grown.get(doc.tenant, _NOTHING).plus(taken(doc).minus(taken(before)))
    return grown


async def room(store: Store, grown: Mapping[str, Use]) -> list[Write]:
    """What must be in the commit that takes so much. Raises Refused if a tenant may not have it, Unavailable."""
    guards: list[Write] = []
    for id, asked in grown.items():
        if not _more(asked):
            continue
        tenant = await store.get(Tenant, id)  # before its things: none of those that it guards is then missed
        if tenant is not None and tenant.limits(asked):
            _require(tenant, await used(store, id), asked)
            guards.append(Replace(tenant))
    return guards


async def used(store: Store, tenant: str) -> Use:
    """What a tenant has."""
    total = Use()
    for kind in (VM, Volume):
        for doc in await store.find(kind, {"tenant": tenant}):
            total = total.plus(taken(doc))
    return total


async def commit(ports: Ports, before: Any, *writes: Write) -> list[Any]:
    """Within a task: commit these, of which the first replaces ``before``, or inserts what was not, and alone takes more.
    Raises Refused if that is more than the tenant may have, and what the store's commit raises."""
    known = {(type(before), before.id): before} if before is not None else {}
    grown = growth(writes[:1], known)
    runtime = ports.runtime
    for number in range(TRIES):
        guards = await room(ports.store, grown)
        try:
            return (await ports.store.commit(*writes, *guards))[: len(writes)]
        except Conflict as conflict:
            if conflict.kind != _KIND:
                raise
            pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**number)
            await runtime.sleep(pause * (0.5 + runtime.random.random()))
    raise Unavailable(f"what {', '.join(grown)} may have is asked for by too many at once")


def _more(asked: Use) -> bool:
    return any(getattr(asked, what) > 0 for what in AMOUNTS)


def _require(tenant: Tenant, used: Use, asked: Use) -> None:
    for what in AMOUNTS:
        limit, has, more = getattr(tenant, what), getattr(used, what), getattr(asked, what)
        if limit and more > 0 and has + more > limit:
            raise Refused(
                f"tenant {tenant.id} may have {limit} {_WORDS[what]}: it has {has}, and this asks for {more} more; "
                "delete something, or ask an administrator for more"
            )
