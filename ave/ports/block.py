"""The BlockStorage port: volumes that obey one owner, and the storage lease by which a host is known to be alive.

A volume is a LUN of zeros when it is made. It accepts writes of exactly one (owner, epoch). ``attach`` fences every older
epoch before it answers, durably: no write of an older epoch is acknowledged afterwards, not even one that was in flight.

The lease is a counter kept by the storage's meta quorum. A host renews it by a round trip; whoever leads the VM Monitor
watches the counters on its own clock. ``revoke`` is atomic with renewal: it succeeds only if the counter still is the one
that was watched, and from then on that lease cannot be renewed, only joined anew.

A lease has turns. A host may give up a turn for good: then what it is granted in it lets nothing run there, and it needs
another turn. That is how a host can say, with no hurry and through a store that may be late, that nothing of it runs: who
finds the lease still in that turn, and revokes it as it was found, knows that it is true.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from ave.ports.hypervisor import Stamp


class Grant(msgspec.Struct, frozen=True):
    """The answer to a renewal: who leads the storage's meta service, and since which term."""

    leader: str
    term: int
    turn: int = 1  # of the host's lease; never goes back, not even when it is joined anew


class Lease(msgspec.Struct, frozen=True):
    host: str
    counter: int
    revoked: bool
    turn: int = 1


class Slot(msgspec.Struct, frozen=True):
    """A LUN of a target that volumes share."""

    target: str
    lun: int


class BlockStorage(Protocol):
    @property
    def luns_per_target(self) -> int:
        """Volumes that may share a target; 1 where each has one of its own, which is the storage's own business."""
        ...

    @property
    def targets_max(self) -> int:
        """How many targets it can have, 0 if there is no such limit."""
        ...

    async def create(self, volume: str, size_gib: int, stamp: Stamp, slot: Slot | None = None) -> None:
        """As the LUN of this slot, where volumes share targets. Refused if there is one of another size, Unavailable while
        the slot is another volume's."""
        ...

    async def grow(self, volume: str, size_gib: int, stamp: Stamp) -> None:
        """At least so large from now on, attached or not; Refused if it is larger already."""
        ...

    async def delete(self, volume: str, stamp: Stamp) -> None:
        """Gone already is success; Refused while it is attached."""
        ...

    async def attach(self, volume: str, owner: str, stamp: Stamp) -> None:
        """Give the volume to this host under the stamp's epoch; Refused if a newer epoch holds it, or if it is attached
        under another VM's lock."""
        ...

    async def admit(self, volume: str, host: str, stamp: Stamp) -> None:
        """Let this host open the volume for a VM that migrates to it: its copy is of the epoch after the stamp's. It owns
        nothing, and writes nothing before it is attached. Refused unless the volume is attached under the stamp's epoch.
        Every later attach, detach or admit takes it back, but for the host that is attached then."""
        ...

    async def detach(self, volume: str, stamp: Stamp) -> None:
        """Nobody may write any more; what is older than the stamp's epoch cannot be attached any more."""
        ...

    async def owner(self, volume: str) -> tuple[str, int]:
        """(host, epoch); host "" when nobody may write."""
        ...

    async def join(self, host: str, boot: str) -> None:
        """Ask for a lease for this boot of the host. Only after nothing of an older one can run here any more."""
        ...

    async def renew(self, host: str, boot: str, *, anew: bool = False) -> Grant:
        """``anew``: in the lease's next turn. Refused once the lease was revoked or belongs to another boot; Unavailable or
        UnknownOutcome without a whole round trip: then nothing is renewed as far as the host knows."""
        ...

    async def keep(
        self, host: str, boot: str, grant: Grant, renewed: Callable[[float], bool], *, every: float
    ) -> Grant:
        """Renew about every so many seconds, and return the first answer that is not this grant. ``renewed`` is told when,
        on this host's clock, each renewal was sent that was granted, at the latest before anybody here looks until when
        VMs may run; it says whether to go on. Raises what renew raises."""
        ...

    async def leases(self) -> tuple[Lease, ...]:
        """Every host's lease, from the meta leader itself; Unavailable on any other host."""
        ...

    async def revoke(self, host: str, counter: int) -> None:
        """Refused when the lease was renewed since that counter was seen."""
        ...

    async def step_aside(self, seconds: float) -> None:
        """Stop leading the meta service: another member is elected, and for so long this host only if no other can be.
        Refused if no other is there, Unavailable on a host that does not lead."""
        ...
