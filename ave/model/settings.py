"""What holds for the whole cluster because its operator wants it so. Where there is no such document, all is as it is here."""

from __future__ import annotations

import msgspec

CLUSTER = "cluster"  # its only id


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    id: str = CLUSTER
    version: int = 0
    network_failure: bool = False  # do VMs leave a host where a network of theirs carries nothing?
    guest_failure: bool = False  # is a VM started again where it is when nothing is heard of its guest any more?


DEFAULTS = Settings()
