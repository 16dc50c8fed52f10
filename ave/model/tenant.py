"""A tenant: how much it may have, and what of that each of its things takes.

Every VM and volume counts from when it is asked for until it is gone, whether it runs or not.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ave.model.vm import VM
from ave.model.volume import Volume


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """How much of each; as a difference it may be below 0."""

    vcpus: int = 0
    memory_mib: int = 0
    vms: int = 0
    volumes_gib: int = 0  # as large as they are said to be, thin or not

    def plus(self, other: Use) -> Use:
        return Use(**{what: getattr(self, what) + getattr(other, what) for what in AMOUNTS})

    def minus(self, other: Use) -> Use:
        return Use(**{what: getattr(self, what) - getattr(other, what) for what in AMOUNTS})


AMOUNTS = Use.__struct_fields__


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """Its limits; 0: no limit. A commit that makes what is limited grow replaces this document, so no two pass together."""

    id: str
    version: int = 0
    vcpus: int = 0
    memory_mib: int = 0
    vms: int = 0
    volumes_gib: int = 0

    def limits(self, asked: Use) -> bool:
        """Is there a limit to something of which that is more?"""
        return any(getattr(self, what) and getattr(asked, what) > 0 for what in AMOUNTS)


_NOTHING = Use()


def taken(doc: Any) -> Use:
    """What a document takes of its tenant's share. None, and things of other kinds, take nothing."""
    if isinstance(doc, VM):
        return Use(vcpus=doc.vcpus, memory_mib=doc.memory_mib, vms=1, volumes_gib=doc.making_gib)
    if isinstance(doc, Volume):
        return Use(volumes_gib=max(doc.size_gib, doc.growing_gib))
    return _NOTHING
