"""How far long work is, on stderr."""

from __future__ import annotations

import sys
import time

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
