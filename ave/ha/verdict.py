"""Is this host alive? A pure judgement of what the leader has itself watched, on its own clock, without a gap.

``Silence`` remembers since when each lease's counter has stood still, ``Signs`` since when each host says something of
itself. A leader that was not looking (it was paused, or has just been elected) knows nothing of the time before: its count
starts again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile

import msgspec

from ave.ha.timing import (
    IDLE_SECONDS,
    LOOP_SECONDS,
    LOOP_STARTS,
    READ_ONLY_SECONDS,
    SUSPECT_SECONDS,
    TICK_SECONDS,
    UNMANAGED_SECONDS,
    Timing,
)
from ave.model.host import Host, HostState, Report
from ave.ports.block import Lease


class Watched(msgspec.Struct, frozen=True):
    """A counter, since when it has not moved, and whether its lease is revoked."""

    counter: int
    since: float
    revoked: bool = False
    moved: bool = False  # was it seen to move, and not just found so?
    turn: int = 1
    turned: float = 0.0  # since when its lease has been in this turn


class Silence:
    """``gap``: a longer pause between two looks is not watching."""

    def __init__(self, gap: float) -> None:
        self._gap = gap
        self._watched: dict[str, Watched] = {}  # in the order in which they moved last
        self._revoked: dict[str, None] = {}
        self._looked = float("-inf")

    def look(self, asked: float, answered: float, leases: Iterable[Lease]) -> None:
        """Take in every lease, read at some moment between the question and the answer.

        A counter that moved did so before the answer, one that did not stood still until the question: either way silence
        is never counted too long.
        """
        if asked - self._looked > self._gap:
            self._watched.clear()
            self._revoked.clear()
        self._looked = asked
        for lease in leases:
            known = self._watched.get(lease.host)
            if known is None or known.counter != lease.counter or known.revoked is not lease.revoked:
                self._move(known, lease, answered)

    def _move(self, known: Watched | None, lease: Lease, answered: float) -> None:
        turned = known.turned if known is not None and known.turn == lease.turn else answered
        self._watched.pop(lease.host, None)
        self._watched[lease.host] = Watched(
            lease.counter, answered, lease.revoked, known is not None, lease.turn, turned
        )
        if lease.revoked:
            self._revoked[lease.host] = None
        else:
            self._revoked.pop(lease.host, None)

    def still(self, seconds: float) -> Iterator[str]:
        """Those that have not moved for so long, without a look at the others."""
        return takewhile(lambda host: self.seconds(host) >= seconds, self._watched)

    def revoked(self) -> Iterator[str]:
        return iter(self._revoked)

    @property
    def valid(self) -> int:
        """How many leases are not revoked."""
        return len(self._watched) - len(self._revoked)

    def of(self, host: str) -> Watched | None:
        return self._watched.get(host)

    def seconds(self, host: str) -> float:
        """For how long its counter has been watched unchanged, by the last look."""
        watched = self._watched.get(host)
        return max(0.0, self._looked - watched.since) if watched else 0.0

    def seconds_of_turn(self, host: str) -> float:
        """For how long its lease has been watched in this turn."""
        watched = self._watched.get(host)
        return max(0.0, self._looked - watched.turned) if watched else 0.0

    def lively(self, host: str) -> bool:
        """Has it been seen to move by this watcher? Only that clears a host of suspicion."""
        watched = self._watched.get(host)
        return watched is not None and watched.moved


class Starts:
    """How often each host's worker was seen to start anew of late."""

    def __init__(self) -> None:
        self._seen: dict[
            str, tuple[str, tuple[float, ...]]
        ] = {}  # host -> the start that is there, and when others came

    def look(self, now: float, workers: Mapping[str, str]) -> None:
        for host, uuid in workers.items():
            known, moments = self._seen.get(host, (uuid, ()))
            moments = (*moments, now) if uuid != known else moments
            self._seen[host] = uuid, tuple(moment for moment in moments if now - moment < LOOP_SECONDS)

    def of(self, host: str) -> int:
        return len(self._seen.get(host, ("", ()))[1])

    def hosts(self) -> list[str]:
        """Those that were seen to start anew."""
        return [host for host, (_, moments) in self._seen.items() if moments]


class Signs:
    """Since when each host says what it says of itself."""

    def __init__(self, gap: float) -> None:
        self._gap = gap
        self._since: dict[tuple[str, str], float] = {}
        self._looked = float("-inf")

    def look(self, now: float, reports: Iterable[Report]) -> None:
        known = self._since if now - self._looked <= self._gap else {}
        said = [(report.id, sign) for report in reports for sign in signs_of(report)]
        self._looked, self._since = now, {sign: known.get(sign, now) for sign in said}

    def seconds(self, host: str, sign: str) -> float | None:
        """None: it does not say so."""
        since = self._since.get((host, sign))
        return None if since is None else self._looked - since

    def hosts(self) -> list[str]:
        """Those that say anything."""
        return [host for host, _ in self._since]


def signs_of(report: Report) -> Sequence[str]:
    if not (report.given_up or report.read_only or report.full or report.down):
        return ()
    signs = [given_up(report.given_up)] if report.given_up else []
    signs += [READ_ONLY] if report.read_only else []
    signs += [FULL] if report.full else []
    return [*signs, *map(network_down, report.down)]


READ_ONLY, FULL = "read-only", "full"


def given_up(turn: int) -> str:
    return f"turn {turn} given up"


def network_down(network: str) -> str:
    return f"network {network} down"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the leader knows of one host."""

    lease: Watched | None = None
    silent: float = 0.0  # for so long its lease was not renewed
    lively: bool = False  # it was seen to be renewed
    mute: float = 0.0  # for so long its worker has not beaten in the store
    beats: bool = False  # it was seen to beat
    idle: float | None = None  # for so long its own word has stood that nothing runs there, in this turn of its lease
    starts: int = 0  # so often its worker was started anew of late
    read_only: float | None = None  # for so long it has said that its file system takes no writes
    full: bool = False  # does it say that its file system has no room left?


def doubtful(
    hosts: Mapping[str, Host], odd: Iterable[str], leases: Silence, beats: Silence, signs: Signs, starts: Starts
) -> dict[str, Host]:
    """The hosts of which there may be anything to judge: not those that are online (the others are ``odd``), are heard, and
    say nothing of themselves. Of a thousand hosts these are a few, and the leader looks every second."""
    silent = (*leases.still(SUSPECT_SECONDS), *leases.revoked(), *beats.still(UNMANAGED_SECONDS))
    return {name: hosts[name] for name in (*odd, *silent, *signs.hosts(), *starts.hosts()) if name in hosts}


def weigh(
    hosts: Iterable[str], reports: Mapping[str, Report], leases: Silence, beats: Silence, signs: Signs, starts: Starts
) -> dict[str, Evidence]:
    return {host: _weigh(host, leases, beats, reports.get(host), signs, starts.of(host)) for host in hosts}


def _weigh(host: str, leases: Silence, beats: Silence, report: Report | None, signs: Signs, starts: int) -> Evidence:
    lease = leases.of(host)
    idle = None
    # A word about an older turn is no word about this one: the host has taken its lease up again since.
    if lease is not None and report is not None and report.given_up >= lease.turn:
        said = signs.seconds(host, given_up(report.given_up))
        idle = min(leases.seconds_of_turn(host), said) if said is not None else None
    return Evidence(
        lease=lease,
        silent=leases.seconds(host),
        lively=leases.lively(host),
        mute=beats.seconds(host),
        beats=beats.lively(host),
        idle=idle,
        read_only=signs.seconds(host, READ_ONLY),
        full=signs.seconds(host, FULL) is not None,
        starts=starts,
    )


class Verdict(msgspec.Struct, frozen=True):
    host: str
    state: HostState
    why: str
    counter: int = 0  # of the lease to revoke
    silence_alone: bool = False  # does it rest on nothing but a lease that is not renewed?


def judge(hosts: Mapping[str, Host], evidence: Mapping[str, Evidence], timing: Timing) -> list[Verdict]:
    """What must change about the hosts' states, in the order of their names.

    The storage lease alone decides over life and death: its silence, or the host's own word about its turn. The worker's
    beat and what else the host says of itself decide only over whether to send work there, and whether to leave it.
    """
    verdicts = []
    for name in sorted(hosts):
        verdict = _judge(hosts[name], evidence[name], timing)
        if verdict is not None and verdict.state is not hosts[name].state:
            verdicts.append(verdict)
    return verdicts


JUDGED = (HostState.ONLINE, HostState.SUSPECT, HostState.UNMANAGED, HostState.READ_ONLY)  # others are in other hands


def _judge(host: Host, seen: Evidence, timing: Timing) -> Verdict | None:
    if seen.lease is None or HostState.FENCED not in host.table.moves[host.state]:
        return None
    if why := _proved_dead(seen):
        return Verdict(host.id, HostState.FENCED, why, seen.lease.counter)
    if seen.silent >= timing.verdict:
        return Verdict(host.id, HostState.FENCED, _silent(seen), seen.lease.counter, silence_alone=True)
    if host.state not in JUDGED:
        return None
    if host.state is HostState.READ_ONLY:
        healed = seen.read_only is None and seen.silent < SUSPECT_SECONDS and seen.lively and seen.beats
        return Verdict(host.id, HostState.ONLINE, "its file system takes writes again") if healed else None
    if seen.silent >= SUSPECT_SECONDS:
        return Verdict(host.id, HostState.SUSPECT, _silent(seen))
    if seen.mute >= UNMANAGED_SECONDS:
        return Verdict(host.id, HostState.UNMANAGED, f"its worker is silent for {seen.mute:.0f} s")
    if seen.starts >= LOOP_STARTS:
        why = f"its worker was started {seen.starts} times within {LOOP_SECONDS:g} s"
        return Verdict(host.id, HostState.UNMANAGED, why)
    if seen.read_only is not None and seen.read_only >= READ_ONLY_SECONDS:
        return Verdict(host.id, HostState.READ_ONLY, f"its file system takes no writes for {seen.read_only:.0f} s")
    if seen.full:
        return Verdict(host.id, HostState.UNMANAGED, "its file system is full")
    recent = seen.silent < 2 * TICK_SECONDS or host.state is HostState.UNMANAGED
    if recent and seen.lively and seen.beats:
        return Verdict(host.id, HostState.ONLINE, "renews its lease and its worker beats")
    return None


def _proved_dead(seen: Evidence) -> str:
    """Why the host's lease may be revoked now, however long it has been silent, or nothing."""
    if seen.lease is not None and seen.lease.revoked:
        return "its storage lease is revoked"
    if seen.idle is not None and seen.idle >= IDLE_SECONDS:
        return f"says that nothing runs there any more, {_silent(seen)}"
    return ""


def _silent(seen: Evidence) -> str:
    worker = f", its worker for {seen.mute:.0f} s" if seen.mute >= UNMANAGED_SECONDS else ""
    return f"silent for {seen.silent:.0f} s{worker}"
