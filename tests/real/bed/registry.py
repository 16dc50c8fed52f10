"""Which beds there are on this machine: a number for each, and a file that outlives whoever made it.

The file is written before anything else of the bed is made, and removed last.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.real.bed.command import BedError, until
from tests.real.bed.maker import began
from tests.real.bed.names import BEDS, Names

FOLDER = Path("/run/ave-bed")
LOCK_SECONDS = 120.0  # a sweep of several beds holds it


@dataclass(frozen=True)
class Record:
    bed: int
    root: str
    owner: int  # the process that makes it, and with which it ends
    owner_since: int  # when that process began, in clock ticks since boot: its number may be given again
    kept: bool = False  # it is complete, and stays when its owner ends

    @property
    def names(self) -> Names:
        return Names(self.bed)

    @property
    def orphan(self) -> bool:
        return not self.kept and began(self.owner) != self.owner_since


@contextmanager
def locked() -> Iterator[None]:
    """One process at a time gives numbers, or looks for what others left."""
    held: list[int] = []
    until(lambda: _locked(held), f"{FOLDER}/lock is free", LOCK_SECONDS)
    try:
        yield
    finally:
        os.close(held[0])


def _locked(held: list[int]) -> bool:
    """Whoever took the last bed down has removed the file for which others may still have waited."""
    path = FOLDER / "lock"
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:  # removed with its folder, just now
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_ino == path.stat().st_ino:
            held.append(lock)
            return True
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(lock)
    return False


def claim(root: Path) -> Record:
    """A new bed's number. With the lock held."""
    taken = {record.bed for record in records()}
    bed = next((bed for bed in range(BEDS) if bed not in taken), None)
    if bed is None:
        raise BedError(f"{BEDS} beds already: python -m tests.real.bed down")
    return _written(Record(bed, str(root), os.getpid(), began(os.getpid())))


def keep(record: Record) -> Record:
    """Let it stay when this process ends."""
    return _written(replace(record, kept=True))


def _written(record: Record) -> Record:
    part = FOLDER / f"{record.bed}.part"
    part.write_text(json.dumps(asdict(record)))
    part.replace(_file(record.bed))
    return record


def records() -> list[Record]:
    found = []
    for bed in range(BEDS):
        try:
            found.append(Record(**json.loads(_file(bed).read_text())))
        except FileNotFoundError:
            continue
    return found


def forget(record: Record) -> None:
    _file(record.bed).unlink(missing_ok=True)


def close_if_empty() -> None:
    """Leave no folder behind when no bed is left. With the lock held."""
    if not records():
        shutil.rmtree(FOLDER, ignore_errors=True)


def _file(bed: int) -> Path:
    return FOLDER / f"{bed}.json"
