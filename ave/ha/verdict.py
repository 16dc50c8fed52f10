"""Is this host alive? A pure judgement of what the leader has itself watched, on its own clock, without a gap.

``Silence`` remembers since when each lease's counter has stood still. A leader that was not looking (it was paused, or has
just been elected) knows nothing of the time before: its count starts again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from ave.ha.timing import SUSPECT_SECONDS, TICK_SECONDS, UNMANAGED_SECONDS, Timing
from ave.model.host import Host, HostState


class Watched(msgspec.Struct, frozen=True):
    """A counter, since when it has not moved, and whether its lease is revoked."""

    counter: int
    since: float
    revoked: bool = False
    moved: bool = False  # was it seen to move, and not just found so?


class Silence:
    """``gap``: a longer pause between two looks is not watching."""

    def __init__(self, gap: float) -> None:
        self._gap = gap
        self._watched: dict[str, Watched] = {}
        self._looked = float("-inf")

    def look(self, asked: float, answered: float, counters: Iterable[tuple[str, int, bool]]) -> None:
        """Take in (host, counter, revoked) of each, read at some moment between the question and the answer.

        A counter that moved did so before the answer, one that did not stood still until the question: either way silence
        is never counted too long.
        """
        if asked - self._looked > self._gap:
            self._watched.clear()
        self._looked = asked
        for host, counter, revoked in counters:
            known = self._watched.get(host)
            if known is None or (known.counter, known.revoked) != (counter, revoked):
                self._watched[host] = Watched(counter, answered, revoked, known is not None)

    def of(self, host: str) -> Watched | None:
        return self._watched.get(host)

    def seconds(self, host: str) -> float:
        """For how long its counter has been watched unchanged, by the last look."""
        watched = self._watched.get(host)
        return max(0.0, self._looked - watched.since) if watched else 0.0

    def lively(self, host: str) -> bool:
        """Has it been seen to move by this watcher? Only that clears a host of suspicion."""
        watched = self._watched.get(host)
        return watched is not None and watched.moved


class Verdict(msgspec.Struct, frozen=True):
    host: str
    state: HostState
    why: str
    counter: int = 0  # of the lease to revoke
    silence_alone: bool = False  # does it rest on nothing but a lease that is not renewed?


def judge(hosts: Mapping[str, Host], leases: Silence, beats: Silence, timing: Timing) -> list[Verdict]:
    """What must change about the hosts' states, in the order of their names.

    The storage lease alone decides over life and death; the worker's beat in the store only over whether to send work.
    """
    verdicts = []
    for name in sorted(hosts):
        verdict = _judge(hosts[name], leases, beats, timing)
        if verdict is not None and verdict.state is not hosts[name].state:
            verdicts.append(verdict)
    return verdicts


def _judge(host: Host, leases: Silence, beats: Silence, timing: Timing) -> Verdict | None:
    watched, silent = leases.of(host.id), leases.seconds(host.id)
    if watched is None or HostState.FENCED not in host.table.moves[host.state]:
        return None
    if watched.revoked or silent >= timing.verdict:
        why = "its storage lease is revoked" if watched.revoked else f"silent for {silent:.0f} s"
        return Verdict(host.id, HostState.FENCED, why, watched.counter, not watched.revoked)
    if host.state not in (HostState.ONLINE, HostState.SUSPECT, HostState.UNMANAGED):
        return None
    if silent >= SUSPECT_SECONDS:
        return Verdict(host.id, HostState.SUSPECT, f"silent for {silent:.0f} s")
    if (mute := beats.seconds(host.id)) >= UNMANAGED_SECONDS:
        return Verdict(host.id, HostState.UNMANAGED, f"its worker is silent for {mute:.0f} s")
    recent = silent < 2 * TICK_SECONDS or host.state is HostState.UNMANAGED
    if recent and leases.lively(host.id) and beats.lively(host.id):
        return Verdict(host.id, HostState.ONLINE, "renews its lease and its worker beats")
    return None
