"""Token buckets: how often somebody may do something, and when again. Of this host alone: each of them counts for itself.

Time comes from whoever makes them. However many ask, so many buckets there are: the one that was used least lately goes first,
which at worst forgets what somebody who has stayed away had used up.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from ave.api.problems import TooMany

BUCKETS_MOST = 10_000
BURST_SECONDS = 5.0  # what one may save up


class Buckets:
    """One for each key: ``burst`` at once, and ``per_second`` after that."""

    def __init__(self, now: Callable[[], float], per_second: float, burst: float, most: int = BUCKETS_MOST) -> None:
        self._now, self._per_second, self._burst, self._most = now, per_second, burst, most
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what is left, and when that was so

    def __len__(self) -> int:
        return len(self._levels)

    def take(self, key: str) -> float:
        """Seconds until it may be tried again; 0: it was taken."""
        now = self._now()
        left = self._left(key, now)
        taken = left >= 1.0
        self._put(key, left - 1.0 if taken else left, now)
        return 0.0 if taken else (1.0 - left) / self._per_second

    def give_back(self, key: str) -> None:
        """What was taken has done no harm."""
        now = self._now()
        self._put(key, min(self._burst, self._left(key, now) + 1.0), now)

    def _left(self, key: str, now: float) -> float:
        left, at = self._levels.get(key, (self._burst, now))
        return min(self._burst, left + (now - at) * self._per_second)

    def _put(self, key: str, left: float, now: float) -> None:
        self._levels[key] = left, now
        self._levels.move_to_end(key)
        if len(self._levels) > self._most:
            self._levels.popitem(last=False)


class Rates:
    """How many requests are taken in a second from one address, and from one token; 0: any number."""

    def __init__(self, now: Callable[[], float], *, address: float = 0.0, token: float = 0.0) -> None:
        self._addresses = _buckets(now, address)
        self._tokens = _buckets(now, token)

    def require_address(self, address: str) -> None:
        """Raises TooMany. ``address`` "": this very machine, which is not limited."""
        _require(self._addresses, address, "requests from this address")

    def require_token(self, token: str) -> None:
        """Raises TooMany. ``token``: its id; "": there is none."""
        _require(self._tokens, token, "requests with this token")


def _buckets(now: Callable[[], float], per_second: float) -> Buckets | None:
    return Buckets(now, per_second, max(1.0, per_second * BURST_SECONDS)) if per_second else None


def _require(buckets: Buckets | None, key: str, what: str) -> None:
    if buckets is not None and key and (seconds := buckets.take(key)):
        raise TooMany(f"too many {what}", seconds)
