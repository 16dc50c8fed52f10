"""Which seeds are done: a file with a line for each, so that a campaign that was stopped goes on where it stood.

A line counts only for the same code and the same wishes: anything else would be another story by the same seed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from sim.explore.trial import Trial

ROOT = Path(__file__).parents[2]
CODE = ("ave", "drivers", "sim")


class Line(msgspec.Struct, frozen=True):
    key: str
    trial: Trial


def key_of(faults: tuple[str, ...], hours: float) -> str:
    """Of everything but the seed that a trial follows from."""
    made = hashlib.sha256(f"{sorted(faults)} {hours!r}\n".encode())
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            made.update(f"{path.relative_to(ROOT)}\n".encode())
            made.update(path.read_bytes())
    return made.hexdigest()[:16]


class Journal:
    """Nothing is kept without a path."""

    def __init__(self, path: Path | None, key: str) -> None:
        self._path, self._key = path, key

    def read(self) -> dict[int, Trial]:
        """What is done. A last line that was cut short is not."""
        if self._path is None or not self._path.is_file():
            return {}
        found: dict[int, Trial] = {}
        for line in self._path.read_bytes().splitlines():
            try:
                read = msgspec.json.decode(line, type=Line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            if read.key == self._key:
                found[read.trial.seed] = read.trial
        return found

    def begin(self) -> None:
        """Forget what is there: it is another campaign's."""
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_bytes(b"")

    def add(self, trial: Trial) -> None:
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(Line(self._key, trial)) + b"\n")
