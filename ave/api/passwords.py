"""Passwords: a user who shows the right one gets a token that is good for some hours. Nobody has one until it is set.

Whether there is such a user cannot be told from the answer, nor from how long it takes: one hash is computed either way.
Guesses are counted by user and address, so whoever guesses locks out nobody but himself.
"""

from __future__ import annotations

from typing import Any, Protocol

from ave.api.audit import Commit
from ave.api.people import ID_BYTES, SECRET_BYTES, digest, written
from ave.api.problems import FieldError, Invalid, Taken, TooMany, Unauthenticated
from ave.api.questions import MadeToken
from ave.api.rates import Buckets
from ave.model.access import Password, Token, User
from ave.ports.store import Check, Conflict, Delete, Insert, Replace, Store, Write
from ave.runtime import Runtime

PASSWORD_LEAST, PASSWORD_MOST = 12, 256  # characters
LOGIN_SECONDS = 8 * 3600.0
LOGINS_MOST = 20  # tokens of logins that one user may have: with one more the oldest ends
GUESSES, GUESS_SECONDS = 5, 60.0  # at once for one user from one address; after that one in so long
GUESSES_OF_ALL, GUESS_OF_ALL_SECONDS = 30, 2.0  # for all users from one address
WRONG = "no user of that name has that password"


class Hasher(Protocol):
    """argon2id, where it holds up nothing else. Both raise TooMany while too many wait."""

    nobody: str  # the hash of a password that nobody has

    async def hash(self, password: str) -> str: ...

    async def verify(self, hash: str, password: str) -> bool: ...


class Guesses:
    """Of one host: who has guessed how often, and from which address, as far as one can have only a few of those."""

    def __init__(self, runtime: Runtime) -> None:
        self._by_user = Buckets(runtime.now, 1.0 / GUESS_SECONDS, GUESSES)
        self._by_address = Buckets(runtime.now, 1.0 / GUESS_OF_ALL_SECONDS, GUESSES_OF_ALL)

    def take(self, user: str, address: str) -> None:
        """Raises TooMany, whether there is such a user or not."""
        seconds = self._by_user.take(f"{address} {user}") or self._by_address.take(address)
        if seconds:
            raise TooMany("too many wrong passwords", seconds)

    def was_right(self, user: str, address: str) -> None:
        """Or was no guess."""
        self._by_user.give_back(f"{address} {user}")
        self._by_address.give_back(address)


async def prove(store: Store, hasher: Hasher, user: str, password: str) -> tuple[User, Password]:
    """Raises Unauthenticated: it is not that user's password, or there is no such user, or it is shut out."""
    known, doc = await store.get(Password, user), await store.get(User, user)
    right = await hasher.verify(known.hash if known is not None else hasher.nobody, password)
    if not right or known is None or doc is None or doc.disabled:
        raise Unauthenticated(WRONG)
    return doc, known


async def log_in(commit: Commit, store: Store, runtime: Runtime, user: str, tokens: list[Token]) -> MadeToken:
    """A token for who has shown that he is that user; of his older ``tokens`` of logins some end with it."""
    id, secret = runtime.secret(ID_BYTES).hex(), runtime.secret(SECRET_BYTES).hex()
    token = Token(id=id, user=user, digest=digest(secret), phrase="a login", login=True)
    over = sorted((each for each in tokens if each.login), key=lambda each: (each.made, each.id))
    ends: list[Write] = [Delete(each) for each in over[: max(0, len(over) - LOGINS_MOST + 1)]]
    new: list[Write] = [Check(User, user, {"disabled": False}), Insert(token, {"made": 0.0, "expires": LOGIN_SECONDS})]
    try:
        _, made, *_ = await commit(*new, *ends)
    except Conflict:
        raise Taken(f"user {user} was changed just now: try again") from None
    return MadeToken(id=id, user=user, token=written(id, secret), expires=made.expires)


async def set_password(commit: Commit, store: Store, user: str, hash: str, before: Password | None) -> User:
    """Whoever has logged in with the one before is out. ``before``: the one that is to be replaced, if there is one."""
    doc: Any = before or Password(id=user)
    new = Password(id=user, version=doc.version, hash=hash)
    logins = [token for token in await store.find(Token) if token.user == user and token.login]
    stamp = {"changed": 0.0}
    write: Write = Insert(new, stamp) if before is None else Replace(new, stamp)
    try:
        await commit(Check(User, user, {}), write, *map(Delete, logins))
    except Conflict:
        raise Taken(f"user {user} was changed just now: try again") from None
    found = await store.get(User, user)
    if found is None:
        raise Taken(f"user {user} was deleted just now")
    return found


def require_good(field: str, password: str, user: str) -> None:
    """Raises Invalid, without the password. Length is what counts."""
    what = ""
    if not PASSWORD_LEAST <= len(password) <= PASSWORD_MOST:
        what = f"from {PASSWORD_LEAST} to {PASSWORD_MOST} characters"
    elif len(frozenset(password)) < 5:
        what = "at least 5 different characters"
    elif user.lower() in password.lower() and len(password) < len(user) + PASSWORD_LEAST:
        what = "something beside the user's own name"
    if what:
        raise Invalid(f"{field}: {what}", (FieldError(f"/{field}", what),))
