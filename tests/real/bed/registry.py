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
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.real.bed.command import BedError, until
from tests.real.bed.names import BEDS, Names

FOLDER = Path("/run/ave-bed")
LOCK_SECONDS = 120.0  # a sweep of several beds holds it


@dataclass(frozen=True)
class Record:
    bed: int
    root: str
    owner: int  # the process it ends with; 0: it stays until somebody takes it down
    owner_since: int  # when that process began, in clock ticks since boot: its number may be given again

    @property
    def names(self) -> Names:
        return Names(self.bed)

    @property
    def orphan(self) -> bool:
        return self.owner != 0 and began(self.owner) != self.owner_since


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


def claim(root: Path, *, kept: bool) -> Record:
    """A new bed's number. With the lock held."""
    taken = {record.bed for record in records()}
    bed = next((bed for bed in range(BEDS) if bed not in taken), None)
    if bed is None:
        raise BedError(f"{BEDS} beds already: python -m tests.real.bed down")
    owner = 0 if kept else os.getpid()
    record = Record(bed, str(root), owner, began(owner) if owner else 0)
    part = FOLDER / f"{bed}.part"
    part.write_text(json.dumps(asdict(record)))
    part.replace(_file(bed))
    return record


def records() -> list[Record]:
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        try:
            found.append(Record(**json.loads(path.read_text())))
        except FileNotFoundError:  # taken down in between
            continue
    return found


def forget(record: Record) -> None:
    _file(record.bed).unlink(missing_ok=True)


def close_if_empty() -> None:
    """Leave no folder behind when no bed is left. With the lock held."""
    if not records():
        shutil.rmtree(FOLDER, ignore_errors=True)


def began(pid: int) -> int:
    """When that process began, in clock ticks since boot; -1 if there is none, or only its grave."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return -1
    return -1 if fields[0] in "ZX" else int(fields[19])


def _file(bed: int) -> Path:
    return FOLDER / f"{bed}.json"
