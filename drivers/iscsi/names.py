"""How the things of a volume are called on the wire: its target, the host that may open it, and that host's credentials.

All of it follows from the names of volume and host, the epoch, and the cluster's storage secret. So a host needs to ask
nobody, nothing secret is ever sent, and what belongs to an older epoch has another name than what belongs to the newest.
"""

from __future__ import annotations

import hashlib
import hmac

import msgspec

AUTHORITY = "iqn.2026-01.io.ave"
LUN = 1  # tgtd keeps 0 for itself
PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789")
PART_MAX = 72  # characters of a name in a name: two of them and the rest stay below iSCSI's limit of 223


class Way(msgspec.Struct, frozen=True):
    """How a host opens a volume under an epoch."""

    portal: str  # "10.78.0.20:3260"
    target: str
    lun: int
    initiator: str  # the name under which the host must log in
    user: str  # of CHAP
    usage: str  # by which libvirt's secret object is found: one for each host, the same for all its volumes


def way(portal: str, volume: str, host: str, epoch: int) -> Way:
    return Way(portal, target(volume, host, epoch), LUN, initiator(host, epoch), user(host), usage(host))


def initiator(host: str, epoch: int) -> str:
    return f"{AUTHORITY}:host.{part(host)}.{epoch}"


def target(volume: str, host: str, epoch: int) -> str:
    """A target of its own for each (volume, owner): the older one is not changed, it is removed."""
    return f"{AUTHORITY}:volume.{part(volume)}.{part(host)}.{epoch}"


def is_ours(name: str) -> bool:
    """Was this target put up by a storage box of AVE?"""
    return name.startswith(f"{AUTHORITY}:volume.")


def user(host: str) -> str:
    return f"host.{part(host)}"


def usage(host: str) -> str:
    return f"ave.iscsi.{part(host)}"


def chap_secret(key: bytes, host: str) -> str:
    """The host's CHAP secret: 128 bits that follow from the cluster's storage secret."""
    return hmac.new(key, b"chap/" + host.encode(), hashlib.sha256).hexdigest()[:32]


def part(name: str) -> str:
    """Any name in the letters that an iSCSI name may have, so that no two names become the same one."""
    plain = "".join(chr(byte) if byte in PLAIN else f"-{byte:02x}" for byte in name.encode())
    if len(plain) <= PART_MAX:
        return plain
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    return f"{plain[: PART_MAX - 34]}--{digest}"  # no short one has two dashes in a row
