"""The brake of mass failures: when many hosts fall silent together, it is rather the storage, a switch or the watcher itself.

Revoking a lease is what cannot be taken back: a host that returns unrevoked resumes its VMs, one that was revoked destroys
them. So of hosts that fell silent together none is judged on the silence of its lease alone. Either it is proved not to run
its VMs, or a second witness says the same: its worker has stopped beating in the store. And witnesses count only for as
long as they are seen to hear others: a store that nobody can write to, or a leader that nobody reaches, says nothing about a
host, nor does either in the moment in which it is well again.

Whatever the verdict rests on, no VM starts before the storage has fenced every volume of it (docs/ha.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ave.ha.timing import SUSPECT_SECONDS, Timing
from ave.ha.verdict import Silence
from ave.model.host import Host, HostState

WINDOW_SECONDS = 60.0
HOSTS_MAX = 2  # that may fall silent within it, and …
SHARE_MAX = 0.3  # … this share of all, before it is a mass failure
GONE = (HostState.FENCED, HostState.RECOVERED)


class Brake:
    """What one watcher knows of it, by its own clock. ``own``: its host, whose voice proves nothing to it."""

    def __init__(self, own: str, timing: Timing) -> None:
        self._own, self._timing = own, timing
        self._fell: dict[str, float] = {}  # host -> when; who was judged since still counts
        self._together: dict[str, None] = {}  # those of a mass failure, until each is heard again
        self._hears: float | None = None  # since when both the storage and the store are heard of by others
        self._mute: dict[str, float] = {}  # host -> for how long the store has not heard of it

    def look(self, now: float, hosts: Mapping[str, Host], leases: Silence, beats: Silence) -> None:
        perhaps = dict.fromkeys([*self._fell, *leases.still(SUSPECT_SECONDS)])
        self._fell = {
            host: since for host in perhaps if host in hosts and (since := self._since(host, leases)) is not None
        }
        found = many(self._fell, max(HOSTS_MAX, SHARE_MAX * self._there(hosts))) if self._fell else {}
        self._together = {host: None for host in self._fell if host in self._together or host in found}
        heard = all(any(_heard(other, voices) for other in self._others(hosts)) for voices in (leases, beats))
        self._hears = (now if self._hears is None else self._hears) if heard else None
        long_heard = self._hears is not None and now - self._hears >= self._timing.give_up
        self._mute = {host: beats.seconds(host) for host in self._together} if long_heard else {}

    def holds(self, host: str) -> bool:
        """Is the silence of its lease too little against this host? Not if the store has long heard of others, not of it."""
        return host in self._together and self._mute.get(host, 0.0) < self._timing.give_up

    def expects(self, seconds: float, leases: Silence) -> bool:
        """Is one of a mass failure about to be judged, within so long?"""
        verdict = self._timing.verdict
        return any(verdict - seconds <= leases.seconds(host) < verdict for host in self._together)

    def _there(self, hosts: Mapping[str, Host]) -> int:
        return sum(host.state not in GONE or name in self._fell for name, host in hosts.items())

    def _others(self, hosts: Mapping[str, Host]) -> Iterator[str]:
        return (host for host in hosts if host not in self._together and host != self._own)

    def _since(self, host: str, leases: Silence) -> float | None:
        watched, known = leases.of(host), self._fell.get(host)
        if watched is None or watched.revoked:
            return known
        return None if leases.seconds(host) < SUSPECT_SECONDS else watched.since if known is None else known


def _heard(host: str, voices: Silence) -> bool:
    return voices.lively(host) and voices.seconds(host) < SUSPECT_SECONDS


def many(since: Mapping[str, float], limit: float) -> dict[str, None]:
    """All who belong to more than so many within one window."""
    order = sorted(since, key=lambda host: (since[host], host))
    found: dict[str, None] = {}
    first = 0
    for last, host in enumerate(order):
        while since[host] - since[order[first]] > WINDOW_SECONDS:
            first += 1
        if last + 1 - first > limit:
            found |= dict.fromkeys(order[first : last + 1])
    return found
