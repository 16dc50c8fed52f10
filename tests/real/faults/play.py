"""Play faults one after the other on one cluster, and hold it to what must be true after each."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from time import monotonic

import msgspec

from tests.real.faults.stage import NotWhole, Stage, stage
from tests.real.faults.strikes import Struck
from tests.real.faults.table import Fault


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    fault: str
    what: str
    seconds: float  # of the strike, until it was healed
    whole: float  # from then on, until the cluster was whole
    kept: int  # records that were acknowledged since the cluster was made
    lost: int
    stale: int
    twice: float  # seconds, at most
    wrongs: tuple[str, ...] = ()


async def play(faults: Sequence[Fault], runs: int, seed: str, kept: Path, tell: Callable[[Row], None]) -> None:
    """``kept``: where the logs of a cluster go that was not as it must be; then a new one is made."""
    random, played = Random(seed), Counter[str]()
    while played.total() < runs:
        with tempfile.TemporaryDirectory(prefix="ave-faults-") as folder:
            async with stage(Path(folder)) as made:
                made.random = random
                row = await _on_one(made, faults, runs, played, tell)
                if row is not None:
                    _keep(Path(folder), made, kept / f"{played.total():03}-{row.fault.partition(':')[0]}")


async def _on_one(
    made: Stage, faults: Sequence[Fault], runs: int, played: Counter[str], tell: Callable[[Row], None]
) -> Row | None:
    """The run after which not all was as it must be, if there was one."""
    before = made.verdict()
    known = {*before.wrongs, *(text for text, _ in before.twice)}
    while played.total() < runs:
        fault = made.random.choice(list(_next(faults, played, bool(await made.steady_hosts()))))
        played[fault.name] += 1
        row = await _run(made, fault, known)
        tell(row)
        if row.wrongs:
            return row
    return None


def _next(faults: Sequence[Fault], played: Counter[str], steady: bool) -> Iterator[Fault]:
    """Of those that can be played now, those that were played least."""
    possible = [fault for fault in faults if steady or not fault.returns]
    least = min(played[fault.name] for fault in possible)
    return (fault for fault in possible if played[fault.name] == least)


async def _run(made: Stage, fault: Fault, known: set[str]) -> Row:
    lives, began, whole = made.lives(), monotonic(), 0.0
    struck, wrongs = Struck("it was not done"), []
    try:
        struck = await fault.strike(made)
    except (NotWhole, AssertionError) as lacking:
        wrongs.append(f"not so: {str(lacking).splitlines()[0]}")
    seconds = monotonic() - began
    try:
        whole = await made.whole()
    except NotWhole as lacking:
        wrongs.append(f"not whole: {lacking}")
    verdict = made.verdict()
    now = made.lives()
    booted = {vm for vm, life in now.items() if life != lives[vm]}
    wrongs += [f"{vm} booted without need" for vm in sorted(booted - struck.may_boot - struck.must_boot)]
    wrongs += [f"{vm} did not boot anew" for vm in sorted(struck.must_boot - booted)]
    wrongs += [wrong for wrong in verdict.wrongs if wrong not in known]
    new = [(text, overlap) for text, overlap in verdict.twice if text not in known]
    known |= {text for text, _ in new}
    wrongs += [f"twice: {text}" for text, overlap in new if overlap > struck.overlap]
    return Row(
        fault=fault.name,
        what=struck.what,
        seconds=seconds,
        whole=whole,
        kept=verdict.kept,
        lost=verdict.lost,
        stale=verdict.stale,
        twice=max((overlap for _, overlap in new), default=0.0),
        wrongs=tuple(wrongs),
    )


def _keep(folder: Path, made: Stage, place: Path) -> None:
    """The logs of everybody, and what the guests said."""
    place.mkdir(parents=True, exist_ok=True)
    for log in folder.glob("*.log"):
        shutil.copy(log, place)
    for file in folder.glob("store*"):
        shutil.copy(file, place)
    for host in made.bed.hosts:
        for log in (*host.log.glob("*.log"), *host.log.glob("qemu/*.log")):
            shutil.copy(log, place / f"{host.name}-{log.name}")
    (place / "words").write_text("".join(f"{word}\n" for word in made.ear.words))
