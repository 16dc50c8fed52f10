"""argon2id in a thread of its own: a login takes a tenth of a second and 64 MiB, and holds up neither the loop nor the lease.

There is one such thread, of low priority, and a short queue before it: whoever comes later is told to.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from ave.api.problems import TooMany

T = TypeVar("T")

TIME_COST, MEMORY_KIB, LANES = 3, 64 << 10, 1  # RFC 9106, its second choice, with one lane: there is one thread
WAITING_MOST = 8
RETRY_SECONDS = 2.0
NICE = 10


class Argon2:
    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=LANES)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="passwords", initializer=_step_back)
        self._waiting = 0
        self.nobody = self._hasher.hash(secrets.token_hex(32))

    async def hash(self, password: str) -> str:
        return await self._aside(lambda: self._hasher.hash(password))

    async def verify(self, hash: str, password: str) -> bool:
        return await self._aside(lambda: self._verified(hash, password))

    def _verified(self, hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _aside(self, work: Callable[[], T]) -> T:
        """Raises TooMany."""
        if self._waiting >= WAITING_MOST:
            raise TooMany("too many passwords are looked at just now", RETRY_SECONDS)
        done = asyncio.get_running_loop().run_in_executor(self._thread, work)
        self._waiting += 1
        done.add_done_callback(self._one_less)  # also if nobody waits for it any more
        return await asyncio.shield(done)

    def _one_less(self, done: object) -> None:
        self._waiting -= 1


def _step_back() -> None:
    """Linux takes this for the thread alone."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
