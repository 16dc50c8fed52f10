"""What ``ave node`` takes on its command line, by the key of the configuration that it stands for."""

from __future__ import annotations


def flags_of(host: str, services: str, store: str, root: str) -> dict[str, str]:
    return {"node.host": host, "node.services": services, "store.url": store, "hypervisor.root": root}
