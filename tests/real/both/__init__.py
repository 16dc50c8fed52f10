"""A scenario file on the real bed, unchanged: see docs/both-worlds.md."""

from tests.real.both.fit import require_fit
from tests.real.both.kept import played
from tests.real.both.world import Played, play

__all__ = ["Played", "play", "played", "require_fit"]
