"""An alarm: something that a person must look at, because nothing in the cluster will put it right by itself."""

from __future__ import annotations

import msgspec


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    id: str  # what it is about, so that one cause raises one alarm
    version: int = 0
    what: str
    raised: float = 0.0  # store time
