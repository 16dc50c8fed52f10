"""What a storage box needs of whatever serves its files over iSCSI. tgtd is one; LIO in the kernel would be another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec


class Export(msgspec.Struct, frozen=True):
    """One volume for one initiator: a target that only it may open, with the CHAP secret of one user."""

    target: str
    initiator: str
    user: str
    path: str
    size: int  # bytes
    serial: str  # what the disk says of itself: the same for every initiator


class Backend(Protocol):
    """Every method blocks, ends within seconds, and is safe to repeat. Unavailable if the server does not answer, or does
    not come to an end in time: what was asked for may then be half done."""

    luns_per_target: int  # volumes that may share a target: 1 where whoever may open a target reaches all its volumes

    def look(self, wanted: Mapping[str, Export]) -> dict[str, bool]:
        """The names of all targets, ours or not, and whether each serves just what is wanted of it."""
        ...

    def require(self, target: str) -> None:
        """Unavailable unless it is still the one that was seen."""
        ...

    def put_up(self, export: Export, secret: str) -> None:
        """Its initiator can open it when this returns. There is no target of that name."""
        ...

    def reopen(self, export: Export) -> None:
        """Its target stays, and serves the file as it is by now. No command fails: initiators see a short interruption.
        Unavailable if there is no such target."""
        ...

    def take_down(self, target: str) -> None:
        """Nothing that came through this target is under way, and nothing can come any more: also not from who was in the
        middle of a login. Gone already is success."""
        ...
