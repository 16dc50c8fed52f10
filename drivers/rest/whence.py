"""Where a request comes from: its address, and whether a page of somebody else's sent it.

A browser sends what any page tells it to, also to this machine's own addresses. So whoever is let in without a token must have
called us by an address or as localhost, which no page elsewhere can be served under; and no page but our own may ask at all.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ave.api.problems import Foreign

UNKNOWN = "unknown"
KNOWN_MOST = 1024  # addresses that were read of late, for each request asks
_LOCAL = ("localhost", "ip6-localhost")


def address_of(scope: Mapping[str, Any]) -> str:
    """Of IPv6 the network of 64 bits: whoever has one address in it has them all."""
    client = scope.get("client")
    return _network(client[0]) if client else UNKNOWN


@lru_cache(KNOWN_MOST)
def _network(address: str) -> str:
    found = _address(address)
    if found is None:
        return UNKNOWN
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return "::1" if found.is_loopback else str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


@lru_cache(KNOWN_MOST)
def is_here(address: str) -> bool:
    """Is it this very machine?"""
    found = _address(address)
    return found is not None and found.is_loopback


def require_own_page(headers: Mapping[str, str]) -> None:
    """Raises Foreign. Programs send no Origin."""
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != headers.get("host", "").lower():
        raise Foreign(f"a page of {origin[:100]} may not ask this host")


def has_two_lengths(headers: Mapping[str, str]) -> bool:
    """Somebody between us may go by the other one, and take the end of this request for another one's begin."""
    return "transfer-encoding" in headers and "content-length" in headers


def require_local_name(headers: Mapping[str, str]) -> None:
    """Raises Foreign. A name that is not ours may be one that somebody else lets point to us."""
    host = headers.get("host", "")
    name = host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    found = _address(name)
    if name.lower() not in _LOCAL and (found is None or not found.is_loopback):
        raise Foreign(f"without a token this host is asked as 127.0.0.1 or localhost, and not as {host[:100]!r}")


@lru_cache(maxsize=4096)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
