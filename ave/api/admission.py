"""Who sees what, and who may do what to it. Pure: a caller, a noun and documents in, errors out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ave.api.nouns import Noun
from ave.api.problems import Denied, NotFound
from ave.model.access import Caller, Permission, paths

#: What belongs to no tenant, and everybody who is known sees it: VMs are connected to it, and are in it.
SHARED = ("network", "zone")


def sees(caller: Caller, noun: Noun, doc: Any) -> bool:
    if noun.name in SHARED:
        return bool(caller.grants)
    return caller.may(noun.seen_by, *_paths(noun, doc))


def seen(caller: Caller, noun: Noun, docs: Mapping[str, Any]) -> Iterable[Any]:
    if caller.may(noun.seen_by) or (noun.name in SHARED and caller.grants):
        return docs.values()
    return [doc for doc in docs.values() if sees(caller, noun, doc)]


def require_seen(caller: Caller, noun: Noun, id: str, doc: Any) -> None:
    """Raises NotFound: what is somebody else's is for this caller not there."""
    if doc is None or not sees(caller, noun, doc):
        raise NotFound(f"there is no {noun.name} {id[:256]}")


def require_allowed(caller: Caller, permission: Permission, noun: Noun, id: str, doc: Any) -> None:
    """Raises NotFound or Denied. ``doc`` is None for what is still to be made: that belongs to the caller's tenant, if such
    things belong to anybody."""
    if doc is not None:
        require_seen(caller, noun, id, doc)
        allowed = caller.may(permission, *_paths(noun, doc))
    else:
        owned = "tenant" in noun.type.__struct_fields__
        allowed = caller.may(permission, *paths(noun.plural, id, caller.tenant if owned else ""))
    if not allowed:
        raise Denied(f"{caller.user} has no role that may {permission} {noun.name} {id[:256]}")


def _paths(noun: Noun, doc: Any) -> tuple[str, ...]:
    return paths(noun.plural, doc.id, getattr(doc, "tenant", ""))
