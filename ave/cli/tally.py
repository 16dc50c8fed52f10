"""How far many equal things are, on stderr."""

from __future__ import annotations

import sys
import time


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
