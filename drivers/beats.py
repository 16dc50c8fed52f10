"""What ``BlockStorage.keep`` and ``Machine.lapse`` promise, beat by beat: for drivers that can only ask again and again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ave.ports.block import Grant
from ave.runtime import Runtime

JITTER = 0.1  # of the time between two beats: hosts that began together do not beat together for ever

Wait = Callable[[float, float], Awaitable[None]]  # (when the next beat is due, the time between two)


async def keep(
    runtime: Runtime,
    renew: Callable[[], Awaitable[Grant]],
    grant: Grant,
    renewed: Callable[[float], bool],
    every: float,
    wait: Wait | None = None,
) -> Grant:
    """Renew until the answer is another one, or ``renewed`` says that this is enough."""
    pause = every * (1.0 - JITTER + 2 * JITTER * runtime.random.random())
    due = runtime.now() + pause
    while True:
        if wait is None:
            await runtime.sleep(due - runtime.now())
        else:
            await wait(due, pause)
        sent = runtime.now()
        answer = await renew()
        if not renewed(sent) or answer != grant:
            return answer
        due = sent + pause


async def lapse(runtime: Runtime, held_until: Callable[[], float], grace: float) -> None:
    while (left := held_until() + grace - runtime.now()) > 0:
        await runtime.sleep(left)
