"""How long a connection may make us wait. uvicorn itself waits for ever for who sends his request, or takes his answer, byte by
byte.

A connection that owes us something, and is not done with it in time, is cut: it has cost a socket and some kilobytes by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from drivers.rest.protocol import Protocol

HEAD_SECONDS = 10.0  # to say what one wants, from the first byte of it, or from the connection
IDLE_SECONDS = 40.0  # between two requests: a little more than uvicorn's own patience, which ends more politely
TAKE_SECONDS = 30.0  # while nothing at all of an answer is taken
LOOK_SECONDS = 1.0


class _Seen(NamedTuple):
    what: Any  # what it did when it was looked at; as long as that is equal it is in the same wait
    seconds: float  # for so long


class Patience:
    """Looks at the connections of a server every second. What it took us to look again is not held against them: between two
    looks each of them was heard once."""

    def __init__(self, connections: Callable[[], Iterable[Any]]) -> None:
        self._connections = connections
        self._seen: dict[Any, _Seen] = {}

    async def run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        seen: dict[Any, _Seen] = {}
        for connection in [each for each in self._connections() if isinstance(each, Protocol)]:
            what, most = _waits(connection)
            known = self._seen.get(connection)
            waited = known.seconds + LOOK_SECONDS if known is not None and known.what == what else 0.0
            if most and waited >= most:
                connection.transport.abort()
            else:
                seen[connection] = _Seen(what, waited)
        self._seen = seen


def _waits(connection: Protocol) -> tuple[Any, float]:
    """What this connection makes us wait for, and how many seconds it may; 0: it is our turn."""
    transport, cycle = connection.transport, connection.cycle
    unsent = transport.get_write_buffer_size()
    if unsent:
        return ("takes nothing", unsent), TAKE_SECONDS
    if cycle is not None and not cycle.response_complete:
        return ("is answered", id(cycle)), 0.0
    # What is left of a body that nobody wants counts as a head that does not come.
    return ("says nothing", id(cycle), connection.owes), HEAD_SECONDS if connection.owes else IDLE_SECONDS
