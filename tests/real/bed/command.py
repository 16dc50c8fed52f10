"""Run programs of this machine, and wait for what they do, both with a limit."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from time import monotonic, sleep

from tests.real.bed import maker

COMMAND_SECONDS = 60.0
LOOK_SECONDS = 0.02
PROGRAM = (sys.executable, "-I", "-S", "-B")  # no environment, no site-packages, nothing left behind


class BedError(Exception):
    """What the bed could not do, and what was said about it."""


def run(*argv: str, given: str = "", environ: Mapping[str, str] | None = None, seconds: float = COMMAND_SECONDS) -> str:
    """What it prints. BedError if it fails, is not there, or takes longer than ``seconds``."""
    try:
        done = subprocess.run(
            argv,
            input=given,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env=maker.environ(environ),
        )
    except FileNotFoundError:
        raise BedError(f"{argv[0]} is not installed: make test-real installs what is needed") from None
    except subprocess.TimeoutExpired:
        raise BedError(f"{_line(argv)} took longer than {seconds:.0f} s") from None
    if done.returncode:
        raise BedError(f"{_line(argv)} ended with {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def tried(*argv: str, given: str = "") -> bool:
    """Did it succeed? For removing what may be gone already."""
    try:
        run(*argv, given=given)
    except BedError:
        return False
    return True


def until(true: Callable[[], bool], what: str, seconds: float) -> None:
    """Return when it is true. BedError with ``what`` if it is not within ``seconds``."""
    deadline = monotonic() + seconds
    while not true():
        if monotonic() > deadline:
            raise BedError(f"{what}: not within {seconds:.0f} s")
        sleep(LOOK_SECONDS)


def _line(argv: Sequence[str]) -> str:
    line = " ".join(argv)
    return line if len(line) < 200 else f"{line[:200]}…"
