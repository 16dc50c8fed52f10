"""How long one seed may take: CPU time of this process, so that a busy machine changes nothing."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN_SECONDS = 1.0  # it is raised again, should somebody have swallowed it


class Overrun(BaseException):
    """Passes through every ``except Exception`` of the code under test, also of one that goes round in circles at one moment
    of the world's time."""


@contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """Raises Overrun inside, in the main thread, once so much CPU time has passed."""

    def hear(number: int, frame: FrameType | None) -> None:
        raise Overrun

    def lost(what: sys.UnraisableHookArgs) -> None:
        # It fell into a callback of the collector or into a finalizer, which let nothing through: it comes again.
        if not issubclass(what.exc_type, Overrun):
            told(what)

    told, sys.unraisablehook = sys.unraisablehook, lost
    before = signal.signal(signal.SIGVTALRM, hear)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)
        sys.unraisablehook = told


def cpu_seconds() -> float:
    return time.process_time()
