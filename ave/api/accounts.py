"""Answers about who is let in, with what, and how much: users, passwords, tokens, tenants."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ave.api.admission import require_seen, seen
from ave.api.audit import Commit
from ave.api.floor import Floor, anybody, changed, fresh
from ave.api.nouns import NOUNS
from ave.api.passwords import PASSWORD_MOST, WRONG, Hasher, log_in, prove, require_good, set_password
from ave.api.people import NAME_MOST, create_token, create_user, delete_token, delete_user, edit_user
from ave.api.problems import Taken, TooMany, Unauthenticated
from ave.api.questions import (
    ChangePassword,
    EditTenant,
    EditUser,
    Login,
    MadeToken,
    NewToken,
    NewUser,
    Page,
    Select,
    SetPassword,
    Show,
)
from ave.api.selection import select
from ave.api.shown import TenantShare
from ave.api.tenants import edit_tenant, share, shares
from ave.errors import Unavailable
from ave.jobs.quota import used
from ave.model.access import Caller, Password, Permission, Token, User
from ave.operations import Nothing


async def _tenants(floor: Floor, caller: Caller, asked: Select) -> Page[Any]:
    floor.view.require_fed()
    return select(seen(caller, NOUNS["tenant"], shares(floor.view)), TenantShare, asked)


async def _tenant(floor: Floor, caller: Caller, asked: Show) -> TenantShare:
    floor.view.require_fed()
    found = shares(floor.view).get(asked.id)
    require_seen(caller, NOUNS["tenant"], asked.id, found)
    assert found is not None
    return found


async def _edit_tenant(floor: Floor, caller: Caller, asked: EditTenant) -> TenantShare:
    store = floor.ports.store
    now = await changed(floor, caller, "tenant.edit", asked.id, lambda commit: edit_tenant(commit, store, asked))
    await floor.view.until("tenant", now.id, now.version)
    return share(now, await used(store, now.id))


async def _create_user(floor: Floor, caller: Caller, asked: NewUser) -> User:
    if not floor.view.docs("user") and not await floor.ports.store.find(User, limit=1):
        raise Taken("nobody could make a token for the first user, or be let in again: ave init, on a host, makes it")
    made = await changed(floor, caller, "user.create", asked.id, lambda commit: create_user(commit, asked))
    await floor.view.until("user", made.id, made.version)
    return made


async def _edit_user(floor: Floor, caller: Caller, asked: EditUser) -> User:
    async def act(commit: Commit) -> User:
        return await edit_user(commit, await fresh(floor, "user", asked.id), asked)

    now = await changed(floor, caller, "user.edit", asked.id, act)
    await floor.view.until("user", now.id, now.version)
    return now


async def _delete_user(floor: Floor, caller: Caller, asked: Show) -> User:
    async def act(commit: Commit) -> User:
        return await delete_user(commit, floor.ports.store, await fresh(floor, "user", asked.id))

    return await changed(floor, caller, "user.delete", asked.id, act)


async def _create_token(floor: Floor, caller: Caller, asked: NewToken) -> MadeToken:
    async def act(commit: Commit) -> MadeToken:
        return await create_token(commit, floor.ports.runtime, asked)

    return await changed(floor, caller, "token.create", asked.user, act)


async def _delete_token(floor: Floor, caller: Caller, asked: Show) -> Token:
    async def act(commit: Commit) -> Token:
        return await delete_token(commit, await fresh(floor, "token", asked.id))

    return await changed(floor, caller, "token.delete", asked.id, act)


async def _log_in(floor: Floor, caller: Caller, asked: Login) -> MadeToken:
    hasher = floor.hasher  # where there is none it is refused before anything is written, so also no password

    async def act(commit: Commit) -> MadeToken:
        await _prove(floor, hasher, caller, asked.user, asked.password)
        tokens = [token for token in await floor.ports.store.find(Token) if token.user == asked.user]
        return await log_in(commit, floor.ports.store, floor.ports.runtime, asked.user, tokens)

    return await changed(floor, _claimed(asked.user), "token.login", asked.user, act, by=anybody)


async def _log_out(floor: Floor, caller: Caller, asked: Nothing) -> Token:
    async def act(commit: Commit) -> Token:
        if not caller.token:
            raise Taken("nobody is logged in here: this was asked without a token")
        return await delete_token(commit, await fresh(floor, "token", caller.token))

    return await changed(floor, caller, "token.logout", caller.token, act, by=anybody)


async def _change_password(floor: Floor, caller: Caller, asked: ChangePassword) -> User:
    """Whoever knows the old one may."""
    hasher = floor.hasher
    require_good("new_password", asked.new_password, asked.id)

    async def act(commit: Commit) -> User:
        _, before = await _prove(floor, hasher, caller, asked.id, asked.old_password)
        hash = await hasher.hash(asked.new_password)
        return await set_password(commit, floor.ports.store, asked.id, hash, before)

    return await changed(floor, _claimed(asked.id), "user.change-password", asked.id, act, by=anybody)


async def _set_password(floor: Floor, caller: Caller, asked: SetPassword) -> User:
    if caller.may(Permission.ADMINISTER):
        _ = floor.hasher  # as in a login

    async def act(commit: Commit) -> User:
        await fresh(floor, "user", asked.id)
        require_good("password", asked.password, asked.id)
        hash = await floor.hasher.hash(asked.password)
        store = floor.ports.store
        return await set_password(commit, store, asked.id, hash, await store.get(Password, asked.id))

    return await changed(floor, caller, "user.set-password", asked.id, act)


async def _prove(floor: Floor, hasher: Hasher, caller: Caller, user: str, password: str) -> tuple[User, Password]:
    """Raises Unauthenticated, TooMany. A guess is taken before it is looked at, so that many at once are no more guesses."""
    if len(password) > PASSWORD_MOST or len(user) > NAME_MOST:
        raise Unauthenticated(WRONG)
    floor.guesses.take(user, caller.address)
    try:
        proved = await prove(floor.ports.store, hasher, user, password)
    except (TooMany, Unavailable):  # nobody has looked at it
        floor.guesses.was_right(user, caller.address)
        raise
    floor.guesses.was_right(user, caller.address)
    return proved


def _claimed(user: str) -> Caller:
    """For the audit record: who it says it is."""
    return Caller(user=user[:NAME_MOST])


ACCOUNTS: Mapping[str, Callable[[Floor, Caller, Any], Awaitable[Any]]] = {
    "tenant.list": _tenants,
    "tenant.show": _tenant,
    "tenant.edit": _edit_tenant,
    "user.create": _create_user,
    "user.edit": _edit_user,
    "user.delete": _delete_user,
    "user.set-password": _set_password,
    "user.change-password": _change_password,
    "token.create": _create_token,
    "token.delete": _delete_token,
    "token.login": _log_in,
    "token.logout": _log_out,
}
