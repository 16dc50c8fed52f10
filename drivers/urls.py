"""Addresses as operators write them: read, refused if they are none, and shown without what is secret in them."""

from __future__ import annotations

import re
from ipaddress import ip_address

from ave.errors import Refused

HIDDEN = "…"
SQLITE, MONGODB = "sqlite:", ("mongodb://", "mongodb+srv://")

_WHO = re.compile(r"(?<=://)[^/?#]*@")  # greedy: a password may hold an @
_SECRET = re.compile(r"([?&;][^=&;]*(?:password|secret|token|authmechanismproperties)[^=&;]*=)[^&;]*", re.IGNORECASE)


def endpoint(text: str) -> tuple[str, int]:
    """Address and port of "10.78.0.20:3270" or "[fd00::1]:3270". Refused if it is neither."""
    address, _, port = text.rpartition(":")
    if not address or not port.isdigit() or not 0 < int(port) < 65536:
        raise Refused(f"{text!r} is no address and port, such as 10.78.0.20:3270")
    return address.strip("[]"), int(port)


def loopback(text: str) -> tuple[str, int]:
    """Address and port that only this machine reaches. Refused if it is another."""
    found = endpoint(text)
    if not is_loopback(text):
        raise Refused(
            f"{text!r} is reached from elsewhere, and tokens would go in clear: set api.certificate and api.key"
        )
    return found


def is_loopback(text: str) -> bool:
    address, _ = endpoint(text)
    try:
        return address == "localhost" or ip_address(address).is_loopback
    except ValueError:
        return False


def require_store(url: str) -> None:
    """Refused if it names no store that AVE knows, or holds a user or a password: a URL is shown."""
    if not url.startswith((SQLITE, *MONGODB)):
        scheme = url.partition(":")[0]
        raise Refused(f"{scheme}: is no store that AVE knows; write sqlite:FILE or mongodb://…")
    if url.startswith(MONGODB) and _WHO.search(url):
        raise Refused("it must hold no user and no password: set user, and password_file or AVE_MONGO_PASSWORD")


def shown(url: str) -> str:
    """Without passwords, wherever in it one may stand."""
    return _SECRET.sub(rf"\g<1>{HIDDEN}", _WHO.sub(f"{HIDDEN}@", url))
