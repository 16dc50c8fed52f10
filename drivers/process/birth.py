"""Start a guest so that it exists for certain or not at all, whenever its starter dies.

It is born asking. Whoever starts it writes down who it is, durably, and then says the word; a guest that sees its starter
go before that ends by itself. It is nobody's child: it outlives its starter, and nobody has to bury it.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ave.errors import Unavailable
from drivers.process import guest, life
from drivers.process.life import Life

PROGRAM = str(Path(guest.__file__).absolute())
BORN_SECONDS = 5.0
_PYTHON = ("-I", "-S", "-B")  # no environment, no site-packages, nothing left behind


class Newborn:
    def __init__(self, life: Life, ask: IO[bytes], answers: IO[bytes]) -> None:
        self.life = life
        self._ask, self._answers = ask, answers

    def say(self, word: bytes) -> None:
        """It goes on by itself when this returns; told to hold, it stands still."""
        try:
            os.write(self._ask.fileno(), word)
        except BrokenPipeError:
            raise Unavailable(f"process {self.life.pid} ended before it was let run") from None
        if _line(self._answers) != guest.UP:
            raise Unavailable(f"process {self.life.pid} did not come up")
        if word == guest.HOLD:
            life.wait_until_standing(self.life)


@contextmanager
def born(arguments: Sequence[str]) -> Iterator[Newborn]:
    """A guest with these arguments, which ends with this block unless it was let run."""
    with subprocess.Popen(
        [sys.executable, *_PYTHON, PROGRAM, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={},
    ) as starter:
        assert starter.stdin is not None
        assert starter.stdout is not None
        try:
            told = _line(starter.stdout)
            known = life.life_of(int(told)) if told.strip().isdigit() else None
            if known is None:
                raise Unavailable("no process for a VM could be started")
            yield Newborn(known, starter.stdin, starter.stdout)
        finally:
            starter.kill()  # it has ended long ago, unless it hangs; the guest is not its business any more


def _line(pipe: IO[bytes]) -> bytes:
    """What it says within BORN_SECONDS; nothing if it ends first."""
    ready, _, _ = select.select([pipe], [], [], BORN_SECONDS)
    return os.read(pipe.fileno(), 64) if ready else b""
