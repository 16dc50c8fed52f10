"""What SQLite's errors mean to a caller of the store, and what a person can do about them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ave.errors import AveError, Unavailable, UnknownOutcome

_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DAMAGED = "is damaged: stop AVE on this host, keep the file, and restore a backup"
_DISK = "could not be read or written: look at its disk and at the kernel's log"

# primary result code -> what is wrong with the file, and what to do
_SAYINGS = {
    sqlite3.SQLITE_BUSY: "was locked by another process for too long: look for who holds it (fuser)",
    sqlite3.SQLITE_LOCKED: "was locked by another process for too long: look for who holds it (fuser)",
    sqlite3.SQLITE_FULL: "does not fit on its disk any more: free some space",
    sqlite3.SQLITE_IOERR: _DISK,
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: do its folder and the file exist, and may this user write there?",
    sqlite3.SQLITE_READONLY: "cannot be written: may this user write it, and is its file system mounted read-only?",
    sqlite3.SQLITE_PERM: "cannot be written: may this user write it?",
    sqlite3.SQLITE_NOMEM: "could not be used: memory is short",
    sqlite3.SQLITE_PROTOCOL: "was locked by another process for too long: look for who holds it (fuser)",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}


def code(error: sqlite3.Error) -> int:
    """The primary result code; 0 if the error is not SQLite's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    return code(error) in _BUSY


def translated(error: Exception, path: Path, *, committing: bool = False) -> Exception:
    """What the caller is told: Unavailable, or UnknownOutcome when a commit may yet turn out to have happened.

    An error that no disk or lock explains is a bug, and comes back as it is.
    """
    if isinstance(error, AveError) or not isinstance(error, sqlite3.Error) or code(error) not in _SAYINGS:
        return error
    said = f"{path} {_SAYINGS[code(error)]} ({getattr(error, 'sqlite_errorname', error)})"
    # A disk that is full has not taken the whole of a commit's last page, and that page is what makes it one. After any
    # other failure it may stand in the log, and a restart would find it there.
    unsure = committing and not is_busy(error) and code(error) != sqlite3.SQLITE_FULL
    return UnknownOutcome(f"{said}; whether this was written is unknown") if unsure else Unavailable(said)
