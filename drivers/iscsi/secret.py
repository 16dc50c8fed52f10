"""The cluster's storage secret: one file, on the box and on every host, that nobody else may read."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from ave.errors import Refused
from drivers import disk

MIN_BYTES = 16


def read_secret(path: Path) -> bytes:
    """Refused if others may read it, or if it is too short to be one."""
    try:
        mode, text = path.stat().st_mode, path.read_bytes().strip()
    except OSError as problem:
        raise Refused(f"{path}, the storage secret, cannot be read: {problem.strerror}") from None
    if stat.S_IMODE(mode) & 0o077:
        raise Refused(f"{path}, the storage secret, may be read by others: chmod 600 {path}")
    if len(text) < MIN_BYTES:
        raise Refused(f"{path}, the storage secret, has {len(text)} bytes: it needs at least {MIN_BYTES}")
    return text


def make_secret(path: Path) -> bytes:
    """The box's first start draws it; later ones read it."""
    if not path.exists():
        os.makedirs(path.parent, mode=0o700, exist_ok=True)
        disk.replace(path, secrets.token_hex(32).encode() + b"\n")
    return read_secret(path)
