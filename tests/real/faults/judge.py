"""What must be true whatever befell the cluster, told by the guests' own words and by the raw volumes alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from tests.real.faults.records import Record
from tests.real.faults.words import BEAT, KEPT, Life, Word

SILENCE_SECONDS = 1.0  # a guest beats five times a second


@dataclass
class Verdict:
    """Of all that was heard and is on the disks."""

    kept: int = 0  # records that were acknowledged
    lost: int = 0
    stale: int = 0
    wrongs: tuple[str, ...] = ()  # a line for each of those
    twice: tuple[tuple[str, float], ...] = ()  # and for each time that two incarnations of a VM ran, with the seconds


class Run(NamedTuple):
    """One life on one host without a break."""

    life: Life
    host: str
    first: float
    last: float


def judge(words: Sequence[Word], logs: Mapping[int, Sequence[Record]]) -> Verdict:
    """``logs``: of each VM, up to the first gap, and read after all the words were said."""
    verdict, wrongs, twice = Verdict(), [], []
    for vm, log in logs.items():
        own = [word for word in words if word.life.vm == vm]
        kept = [word for word in own if word.kind == KEPT]
        verdict.kept += len(kept)
        for what, found in (("lost", [*_lost(vm, kept, log)]), ("stale", [*_stale(vm, kept, log)])):
            setattr(verdict, what, getattr(verdict, what) + len(found))
            wrongs += [f"{what}: {each}" for each in found]
        for one, other, seconds in overlaps(own):
            twice.append((f"VM {vm} runs as {_said(one)} and as {_said(other)} for {seconds:.2f} s", seconds))
    verdict.wrongs, verdict.twice = tuple(wrongs), tuple(twice)
    return verdict


def _lost(vm: int, kept: Iterable[Word], log: Sequence[Record]) -> Iterator[str]:
    """What was acknowledged is on the disk, as it was acknowledged."""
    for word in kept:
        there = log[word.seq - 1] if word.seq <= len(log) else None
        if there is None:
            yield f"record {word.seq} of VM {vm}, kept by boot {word.life.number} on {word.host}, is not there"
        elif (there.life, there.nonce) != (word.life, word.nonce):
            yield f"record {word.seq} of VM {vm}, kept by boot {word.life.number}, is of boot {there.life.number}"


def _stale(vm: int, kept: Iterable[Word], log: Sequence[Record]) -> Iterator[str]:
    """No life writes after a later one has begun to, as they were heard and as they are on the disk."""
    newest: Word | None = None
    for word in kept:
        if newest is not None and word.life != newest.life and word.life.number <= newest.life.number:
            yield f"record {word.seq} of VM {vm} by boot {word.life.number} on {word.host} after boot {newest.life.number}"
        elif newest is not None and word.life == newest.life and word.seq <= newest.seq:
            yield f"record {word.seq} of VM {vm} on {word.host} after its record {newest.seq} on {newest.host}"
        else:
            newest = word
    for before, after in pairwise(log):
        if after.life != before.life and after.life.number <= before.life.number:
            yield f"record {after.seq} of VM {vm} is of boot {after.life.number}, the one before of {before.life.number}"


def overlaps(words: Sequence[Word]) -> Iterator[tuple[Run, Run, float]]:
    """Of one VM: which two runs were there at once, and for how long."""
    runs = sorted(_runs(words), key=lambda run: run.first)
    for at, one in enumerate(runs):
        for other in runs[at + 1 :]:
            if other.first >= one.last:
                break
            yield one, other, min(one.last, other.last) - other.first


def _runs(words: Iterable[Word]) -> Iterator[Run]:
    spans: dict[tuple[Life, str], list[float]] = defaultdict(list)
    for word in words:
        if word.kind in (BEAT, KEPT):
            spans[word.life, word.host].append(word.at)
    for (life, host), times in spans.items():
        first = last = times[0]
        for at in times[1:]:
            if at - last > SILENCE_SECONDS:
                yield Run(life, host, first, last)
                first = at
            last = at
        yield Run(life, host, first, last)


def _said(run: Run) -> str:
    return f"boot {run.life.number} on {run.host}"
