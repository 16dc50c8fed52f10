"""What tests of served simulations share."""

from hashlib import sha256

import msgspec

from sim.served import Served


def documents(served: Served) -> str:
    """A hash of all there is in the store."""
    hash = sha256()
    for name, shelf in sorted(served.story.cluster.store.ledger.shelves_by_name.items()):
        for id in sorted(shelf.docs):
            hash.update(f"{name}/{id}".encode() + msgspec.json.encode(shelf.docs[id], order="deterministic"))
    return hash.hexdigest()
