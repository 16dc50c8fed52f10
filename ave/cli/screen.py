"""What commands share on a terminal: interruption, and errors that end a command."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ave.errors import AveError, Refused


class Interrupt:
    """Ctrl-C asks the work to stop where it stands; a second one ends the process at once."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self) -> bool:
        return self.asked

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        print("stopping; once more to end at once", file=sys.stderr)

    @contextmanager
    def listening(self) -> Iterator[Interrupt]:
        before = signal.signal(signal.SIGINT, self._hear)
        try:
            yield self
        finally:
            signal.signal(signal.SIGINT, before)


def complain(problem: object) -> int:
    """Say on stderr why nothing was done; the exit code for it: 1 for what may go better the next time, 2 for bad input."""
    print(problem, file=sys.stderr)
    return 1 if isinstance(problem, AveError) and not isinstance(problem, Refused) else 2
