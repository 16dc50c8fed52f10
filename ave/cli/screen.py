"""What commands share on a terminal: progress on stderr, interruption, and errors that end a command."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

QUIET_SECONDS = 1.0  # what is done sooner needs no bar


class Meter:
    """A progress bar that appears only if the work takes long; without a terminal, a line now and then."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f}%"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=self._console, transient=True)
        self._tasks: dict[str, TaskID] = {}
        self._began = self._said = time.monotonic()
        self._shown = False

    def __call__(self, what: str, done: float, total: float) -> None:
        now = time.monotonic()
        if now - self._began < QUIET_SECONDS:
            return
        if not self._console.is_terminal:
            if now - self._said >= 5 * QUIET_SECONDS:
                self._said = now
                print(f"{what}: {done / max(total, 1e-9):.0%}", file=sys.stderr)
            return
        if not self._shown:
            self._shown = True
            self._bar.start()
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=total)
        self._bar.update(self._tasks[what], completed=done, total=total)

    def close(self) -> None:
        if self._shown:
            self._bar.stop()


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


def complain(text: object) -> int:
    """Say on stderr why nothing was done; the exit code for it."""
    print(text, file=sys.stderr)
    return 2


class Tally:
    """A line that counts what is done of many equal things, and says how long the rest will take; on a terminal in place,
    else now and then."""

    EVERY_SECONDS = (0.2, 30.0)  # on a terminal, and without one

    def __init__(self, noun: str = "seeds") -> None:
        self._noun = noun
        self._terminal = sys.stderr.isatty()
        self._began = time.monotonic()
        self._said = float("-inf") if self._terminal else self._began
        self._first: int | None = None  # what was done when it began: a campaign that goes on has done some already
        self._shown = False

    def __call__(self, done: int, total: int, said: str) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = done
        if now - self._said < self.EVERY_SECONDS[0 if self._terminal else 1]:
            return
        self._said = now
        line = f"{done} of {total} {self._noun}, {said}{self._rest(done, total, now)}"
        print(
            f"\r\x1b[K{line}" if self._terminal else line,
            end="" if self._terminal else "\n",
            file=sys.stderr,
            flush=True,
        )
        self._shown = True

    def _rest(self, done: int, total: int, now: float) -> str:
        mine = done - (self._first or 0)
        if mine < 1:
            return ""
        minutes, seconds = divmod(round((now - self._began) / mine * (total - done)), 60)
        return f", {minutes}:{seconds:02d} left"

    def close(self) -> None:
        if self._shown and self._terminal:
            print(file=sys.stderr)
