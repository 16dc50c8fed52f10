"""How users of a simulated cluster ask, and what they are told. The oracle holds the control plane to its answers."""

from __future__ import annotations

import msgspec


class Asking(msgspec.Struct, frozen=True):
    """``flag``: the Job Queue; ``key``: the idempotency key; ``times``: how often the impatient ask for one thing."""

    flag: str = ""
    key: str = ""
    times: int = 1


ONCE = Asking()


class Answered(msgspec.Struct, frozen=True):
    """A request with an idempotency key was acknowledged as this Job."""

    key: str
    request: str  # what makes two requests the same
    job: str


class Shown(msgspec.Struct, frozen=True):
    """A user who asked this host for a Job was shown this version of it; 0: that there is none."""

    job: str
    host: str
    asked: float  # when
    version: int
