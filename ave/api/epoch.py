"""The epoch of what is shown: revisions of one store mean the same on every host, and nothing beside those of another store."""

from __future__ import annotations

from ave.model.identity import STORE, Identity
from ave.ports.store import Conflict, Insert
from ave.ports.together import Ports


async def epoch_of(ports: Ports) -> str:
    """That of this host's store. Raises Unavailable, UnknownOutcome."""
    known = await ports.store.get(Identity, STORE)
    if known is None:
        try:
            (known,) = await ports.store.commit(Insert(Identity(uuid=f"{ports.runtime.random.getrandbits(48):012x}")))
        except Conflict:  # another host was quicker
            known = await ports.store.get(Identity, STORE)
    assert known is not None, "it is never deleted"
    return known.uuid
