"""Users and tokens: who is let in, and with what. Each change is one commit, and is there when it is answered.

``commit`` is the store's, or one that also writes the audit record.
"""

from __future__ import annotations

import hashlib
import re

import msgspec
from msgspec import UNSET

from ave.api.audit import Commit
from ave.api.problems import FieldError, Invalid, Taken
from ave.api.questions import EditUser, MadeToken, NewToken, NewUser
from ave.errors import Refused
from ave.model.access import EVERYTHING, Grant, Password, Role, Token, User
from ave.ports.store import Check, Conflict, Delete, Insert, Replace, Store
from ave.runtime import Runtime

DAY_SECONDS = 86_400.0
DAYS_MOST = 3650.0
PHRASE_MOST, GRANTS_MOST = 200, 50
NAME_MOST = 63
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.@-]{0,62}")  # no _: that divides a token
_PATH = re.compile(r"/[a-z]{1,20}/[^/\s]{1,255}")
PREFIX = "ave"
ID_BYTES, SECRET_BYTES = 6, 32


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def written(id: str, secret: str) -> str:
    """As its owner has it: secret scanners find it by its begin."""
    return f"{PREFIX}_{id}_{secret}"


def split(token: str) -> tuple[str, str] | None:
    """Its id and its secret, or None if it is no token at all."""
    parts = token.split("_")
    return (parts[1], parts[2]) if len(parts) == 3 and parts[0] == PREFIX and len(token) < 200 else None


async def create_user(commit: Commit, asked: NewUser) -> User:
    require_name("id", asked.id)
    require_name("tenant", asked.tenant)
    _require_grants(asked.grants)
    user = User(id=asked.id, tenant=asked.tenant, grants=asked.grants)
    try:
        (made,) = await commit(Insert(user))
    except Conflict:
        raise Taken(f"there already is a user {asked.id}") from None
    return made  # type: ignore[no-any-return]


async def edit_user(commit: Commit, known: User, asked: EditUser) -> User:
    if asked.tenant is not UNSET:
        require_name("tenant", asked.tenant)
    if asked.grants is not UNSET:
        _require_grants(asked.grants)
    wanted = msgspec.structs.replace(
        known,
        tenant=known.tenant if asked.tenant is UNSET else asked.tenant,
        grants=known.grants if asked.grants is UNSET else asked.grants,
        disabled=known.disabled if asked.disabled is UNSET else asked.disabled,
    )
    try:
        (now,) = await commit(Replace(wanted))
    except Conflict:
        raise Taken(f"user {known.id} was changed just now: read it again") from None
    return now  # type: ignore[no-any-return]


async def delete_user(commit: Commit, store: Store, known: User) -> User:
    """Its tokens and its password go in the same commit, so that none of them outlives it."""
    tokens = [token for token in await store.find(Token) if token.user == known.id]
    password = await store.get(Password, known.id)
    try:
        await commit(Delete(known), *map(Delete, tokens), *map(Delete, [password] if password is not None else []))
    except Conflict:
        raise Taken(f"user {known.id} was changed just now: try again") from None
    return known


async def create_token(commit: Commit, runtime: Runtime, asked: NewToken) -> MadeToken:
    if not 0 <= asked.days <= DAYS_MOST:
        raise Invalid(f"days: from 0, which is for ever, to {DAYS_MOST:g}")
    if len(asked.phrase) > PHRASE_MOST or not asked.phrase.isprintable():
        raise Invalid(f"phrase: at most {PHRASE_MOST} printable characters")
    id, secret = runtime.secret(ID_BYTES).hex(), runtime.secret(SECRET_BYTES).hex()
    stamp = {"made": 0.0, **({"expires": asked.days * DAY_SECONDS} if asked.days else {})}
    token = Token(id=id, user=asked.user, digest=digest(secret), phrase=asked.phrase)
    try:
        _, made = await commit(Check(User, asked.user, {}), Insert(token, stamp))
    except Conflict:
        raise Refused(f"there is no user {asked.user[:256]}") from None
    return MadeToken(id=id, user=asked.user, token=written(id, secret), expires=made.expires)


async def delete_token(commit: Commit, known: Token) -> Token:
    try:
        await commit(Delete(known))
    except Conflict:
        raise Taken(f"token {known.id} was taken back just now") from None
    return known


async def first_token(store: Store, runtime: Runtime, name: str, *, again: bool = False) -> MadeToken:
    """For a cluster that has no user yet: an administrator and his token. Refused once there is one, but ``again``: then it is
    for whoever has lost his, and can write to the store."""
    known = await store.get(User, name)
    if not again and await store.find(User, limit=1):
        raise Refused("this cluster has users already: ask one of its administrators for a token, or say --again")
    administers = known is not None and Grant(Role.ADMIN) in known.grants and not known.disabled
    if known is None:
        await create_user(store.commit, NewUser(id=name, grants=(Grant(Role.ADMIN),)))
    elif not administers:
        raise Refused(f"{name} is a user already, and no administrator: name another one")
    return await create_token(store.commit, runtime, NewToken(user=name, phrase="made by ave init"))


def require_name(field: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        what = "letters, digits and .@-, at most 63, beginning with a letter or a digit"
        raise Invalid(f"{field}: {what}", (FieldError(f"/{field}", what),))


def _require_grants(grants: tuple[Grant, ...]) -> None:
    if len(grants) > GRANTS_MOST:
        raise Invalid(f"grants: at most {GRANTS_MOST}")
    for grant in grants:
        path = grant.path
        if path != EVERYTHING and not _PATH.fullmatch(path):
            raise Invalid(f"grants: {path[:64]!r} is no path; write /, /tenants/acme or /vms/web-1")
