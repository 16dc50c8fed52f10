"""What the bed has shown, kept in files: it takes minutes to be seen again."""

from __future__ import annotations

from pathlib import Path

import msgspec

from sim.scenario.model import Scenario
from tests.real.both.world import Played, Tell, play


class Kept(msgspec.Struct, frozen=True):
    text: str  # of the file that was played
    played: Played


def played(file: Path, scenario: Scenario, out: Path, resume: bool, tell: Tell) -> Played:
    """``resume``: what was played is not played again, as long as its file is the same."""
    text, path = file.read_text(encoding="utf-8"), out / f"{scenario.metadata.name}.json"
    if resume and path.exists():
        kept = msgspec.json.decode(path.read_bytes(), type=Kept)
        if kept.text == text:
            return kept.played
    shown = play(scenario, tell)
    path.write_bytes(msgspec.json.encode(Kept(text, shown)))
    return shown
