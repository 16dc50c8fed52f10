"""Tenants, as people meet them: everybody who has something or somebody, with limits or without, and what each has of them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import UNSET

from ave.api.audit import Commit
from ave.api.people import require_name
from ave.api.problems import FieldError, Invalid, Taken
from ave.api.questions import EditTenant
from ave.api.shown import TenantShare
from ave.api.view import View
from ave.model.tenant import AMOUNTS, Tenant, Use, taken
from ave.ports.store import Change, Conflict, Insert, Store

AMOUNT_MOST = 10**12
_COUNTED = ("vm", "volume")


def shares(view: View) -> Mapping[str, TenantShare]:
    """By id, from the view: it may lag, and decides nothing."""
    limits = view.docs("tenant")
    used: dict[str, Use] = {id: Use() for id in (*limits, *(user.tenant for user in view.docs("user").values()))}
    for kind in _COUNTED:
        for doc in view.docs(kind).values():
            used[doc.tenant] = used.get(doc.tenant, Use()).plus(taken(doc))
    return {id: share(limits.get(id) or Tenant(id=id), has) for id, has in used.items()}


def share(tenant: Tenant, used: Use) -> TenantShare:
    return TenantShare(**msgspec.structs.asdict(tenant), used=used)


async def edit_tenant(commit: Commit, store: Store, asked: EditTenant) -> Tenant:
    """Whatever its version: it moves with everything that the tenant gets."""
    require_name("id", asked.id)
    said = {what: getattr(asked, what) for what in AMOUNTS if getattr(asked, what) is not UNSET}
    if wrong := tuple(FieldError(f"/{what}", _AMOUNT) for what, limit in said.items() if not 0 <= limit <= AMOUNT_MOST):
        raise Invalid("; ".join(f"{each.pointer[1:]}: {each.detail}" for each in wrong), wrong)
    known = await store.get(Tenant, asked.id)
    may = {what: said.get(what, getattr(known, what, 0)) for what in AMOUNTS}
    amounts = {
        "vcpus": may["vcpus"],
        "memory_mib": may["memory_mib"],
        "vms": may["vms"],
        "volumes_gib": may["volumes_gib"],
    }
    wanted = Insert(Tenant(id=asked.id, **amounts)) if known is None else Change(Tenant, asked.id, {}, amounts)
    try:
        (now,) = await commit(wanted)
    except Conflict:
        raise Taken(f"tenant {asked.id} was made just now: try again") from None
    return now  # type: ignore[no-any-return]


_AMOUNT = f"from 0, which is no limit, to {AMOUNT_MOST}"
