"""Who may do what: roles, each a set of permissions, granted on paths.

A path is ``/`` (everything), ``/tenants/acme`` (what belongs to that tenant) or ``/vms/web-1`` (one thing).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

EVERYTHING = "/"
DEFAULT_TENANT = "default"


class Permission(StrEnum):
    VIEW = "view"
    USE = "use"  # start and stop what is there
    CHANGE = "change"  # make, edit and delete it
    OPERATE = "operate"  # hosts, networks, the cluster; where things are
    ADMINISTER = "administer"  # users, tokens, tenants


class Role(StrEnum):
    ADMIN = "admin"
    OPERATOR = "operator"
    TENANT_ADMIN = "tenant-admin"
    TENANT_USER = "tenant-user"
    VIEWER = "viewer"


_ALL = tuple(Permission)
ROLES: Mapping[Role, frozenset[Permission]] = {
    Role.ADMIN: frozenset(_ALL),
    Role.OPERATOR: frozenset(_ALL[:4]),
    Role.TENANT_ADMIN: frozenset(_ALL[:3]),
    Role.TENANT_USER: frozenset(_ALL[:2]),
    Role.VIEWER: frozenset(_ALL[:1]),
}


class Grant(msgspec.Struct, frozen=True):
    role: Role
    path: str = EVERYTHING

    def gives(self, permission: Permission, paths: Iterable[str]) -> bool:
        return permission in ROLES[self.role] and (self.path == EVERYTHING or self.path in paths)


class User(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    version: int = 0
    tenant: str = DEFAULT_TENANT  # to which what it makes belongs
    grants: tuple[Grant, ...] = ()
    disabled: bool = False


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a user shows instead of saying who it is. Its secret is nowhere but with whoever it was made for."""

    id: str
    version: int = 0
    user: str
    digest: str  # SHA-256 of the secret: 256 random bits need no slow hash
    phrase: str = ""  # what it is for
    made: float = 0.0  # store time, as the next one
    expires: float = 0.0  # 0: never
    login: bool = False  # it was made for a password, and ends with that


class Password(msgspec.Struct, frozen=True, kw_only=True):
    """A user's; its id is the user's. Nobody is shown it."""

    id: str
    version: int = 0
    hash: str = ""  # argon2id, as its own text says with which parameters
    changed: float = 0.0  # store time


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks. ``token`` is the id of the token it came with, for the audit record."""

    user: str
    tenant: str = DEFAULT_TENANT
    grants: tuple[Grant, ...] = ()
    token: str = ""
    address: str = ""  # from where, if that matters

    def may(self, permission: Permission, *paths: str) -> bool:
        """On any of these paths, all of which lead to one thing; of none: on everything."""
        return any(grant.gives(permission, paths) for grant in self.grants)


def paths(plural: str, id: str, tenant: str = "") -> tuple[str, ...]:
    """All that lead to one thing; a thing without a tenant is the cluster's."""
    own = f"/{plural}/{id}"
    return (own, f"/tenants/{tenant}") if tenant else (own,)


#: Who asks what anybody may ask: to be let in, say.
NOBODY = Caller(user="")

#: Who is let in where nobody is asked for a token: on a cluster that only exists in this process.
ROOT = Caller(user="root", grants=(Grant(Role.ADMIN),))
