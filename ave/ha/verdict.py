"""Is this host alive? A pure judgement of what the leader has itself watched, on its own clock, without a gap.

``Silence`` remembers since when each lease's counter has stood still. A leader that was not looking (it was paused, or has
just been elected) knows nothing of the time before: its count starts again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from ave.ha.timing import SUSPECT_SECONDS, TICK_SECONDS, Timing
from ave.model.host import Host, HostState
from ave.ports.block import Lease

GAP_SECONDS = 3 * TICK_SECONDS  # a longer pause between two looks is not watching


class Watched(msgspec.Struct, frozen=True):
    """A lease's counter, since when it has not moved, and the last look at it."""

    counter: int
    since: float
    revoked: bool


class Silence:
    def __init__(self) -> None:
        self._watched: dict[str, Watched] = {}
        self._looked = float("-inf")

    def look(self, now: float, leases: Iterable[Lease]) -> None:
        """Take in what the meta leader says; ``now`` is when it was asked, never later than when it answered."""
        if now - self._looked > GAP_SECONDS:
            self._watched.clear()
        self._looked = now
        for lease in leases:
            known = self._watched.get(lease.host)
            if known is None or known.counter != lease.counter or known.revoked != lease.revoked:
                self._watched[lease.host] = Watched(lease.counter, now, lease.revoked)

    def of(self, host: str) -> Watched | None:
        return self._watched.get(host)

    def seconds(self, host: str) -> float:
        """How long its lease has been watched unchanged, by the last look."""
        watched = self._watched.get(host)
        return self._looked - watched.since if watched else 0.0


class Verdict(msgspec.Struct, frozen=True):
    host: str
    state: HostState
    why: str
    counter: int = 0  # of the lease to revoke


def judge(hosts: Mapping[str, Host], silence: Silence, timing: Timing) -> list[Verdict]:
    """What must change about the hosts' states, in the order of their names."""
    verdicts = []
    for name in sorted(hosts):
        verdict = _judge(hosts[name], silence, timing)
        if verdict is not None:
            verdicts.append(verdict)
    return verdicts


def _judge(host: Host, silence: Silence, timing: Timing) -> Verdict | None:
    watched, seconds = silence.of(host.id), silence.seconds(host.id)
    if watched is None or HostState.FENCED not in host.table.moves[host.state]:
        return None
    if watched.revoked or seconds >= timing.verdict:
        why = "its storage lease is revoked" if watched.revoked else f"silent for {seconds:.0f} s"
        return Verdict(host.id, HostState.FENCED, why, watched.counter)
    if seconds >= SUSPECT_SECONDS and host.state is HostState.ONLINE:
        return Verdict(host.id, HostState.SUSPECT, f"silent for {seconds:.0f} s")
    if seconds < SUSPECT_SECONDS and host.state is HostState.SUSPECT and seconds < 2 * TICK_SECONDS:
        return Verdict(host.id, HostState.ONLINE, "renews its lease again")
    return None
