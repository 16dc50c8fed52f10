"""Which store this is: drawn once, by whoever looks first."""

from __future__ import annotations

import msgspec

STORE = "store"  # its only id


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """``uuid`` tells its revisions from those of any other store, also of one that stands where this one stood."""

    id: str = STORE
    version: int = 0
    uuid: str
