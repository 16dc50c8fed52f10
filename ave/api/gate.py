"""The gate: who is it? A token becomes a caller, or nothing."""

from __future__ import annotations

import hmac
from typing import Protocol

from ave.api.people import digest, split
from ave.api.problems import Unauthenticated
from ave.api.view import View
from ave.model.access import ROOT, Caller, Token, User
from ave.ports.store import Store

_NONE = digest("")  # what a token that is not there is compared with: it takes as long


class Gate(Protocol):
    async def caller(self, token: str) -> Caller:
        """Whoever has that token; "": none was sent. Raises Unauthenticated, Unavailable."""
        ...


class Open:
    """Everybody is root: for clusters that exist in this process alone, and are reached from this machine alone."""

    async def caller(self, token: str) -> Caller:
        return ROOT


class Tokens:
    """By the users and tokens of the store, as this host's view has them. ``loopback``: only this machine reaches us; then a
    cluster that has no user yet is open, so that it can be tried and the first one be made."""

    def __init__(self, store: Store, view: View, *, loopback: bool) -> None:
        self._store, self._view, self._loopback = store, view, loopback

    async def caller(self, token: str) -> Caller:
        self._view.require_fed()
        if not token:
            if self._loopback and not self._view.docs("user"):
                return ROOT
            raise Unauthenticated("this needs a token")
        known, secret = await self._known(token)
        expected = known.digest if known is not None else _NONE
        if not hmac.compare_digest(digest(secret), expected) or known is None:
            raise Unauthenticated("this token is not known here, or it was taken back")
        if 0.0 < known.expires <= self._view.now():
            raise Unauthenticated(f"the token {known.id} is over")
        user = self._view.docs("user").get(known.user) or await self._store.get(User, known.user)
        if user is None or user.disabled:
            raise Unauthenticated(f"the user of token {known.id} is shut out")
        return Caller(user=user.id, tenant=user.tenant, grants=user.grants, token=known.id)

    async def _known(self, token: str) -> tuple[Token | None, str]:
        parts = split(token)
        if parts is None:
            return None, ""
        id, secret = parts
        known = self._view.docs("token").get(id) or await self._store.get(Token, id)  # it may be younger than the view
        return known, secret
