"""Chance for the simulator: every draw is made of ``Random.random()`` and of our own distributions.

The other methods of ``Random`` may change between Python releases and a seed must not mean something else then;
``random()`` itself may not.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


class Source(Protocol):
    """What a draw needs: the uniform one, in [0, 1)."""

    def random(self) -> float: ...


def stream(seed: int, name: str) -> Random:
    """The stream of that name: adding draws to one stream never shifts another."""
    return Random(f"{seed}/{name}")


def uniform(source: Source, low: float, high: float) -> float:
    return low + (high - low) * source.random()


def below(source: Source, count: int) -> int:
    """A whole number in [0, count). ValueError if there is none."""
    if count < 1:
        raise ValueError("nothing to draw from")
    return min(int(source.random() * count), count - 1)


def happens(source: Source, ratio: float) -> bool:
    """Draws once whatever the ratio, so that changing one shifts nothing behind it."""
    return source.random() < ratio


def exponential(source: Source, mean: float) -> float:
    return -mean * math.log(1.0 - source.random())


def normal(source: Source) -> float:
    """Box–Muller's first number. The second is thrown away: keeping it would make a stream remember its readers."""
    radius = math.sqrt(-2.0 * math.log(1.0 - source.random()))
    return radius * math.cos(2.0 * math.pi * source.random())


def lognormal(source: Source, median: float, sigma: float) -> float:
    return median * math.exp(sigma * normal(source))


def choice(source: Source, items: Sequence[T]) -> T:
    return items[below(source, len(items))]


def sample(source: Source, items: Sequence[T], count: int) -> tuple[T, ...]:
    """``count`` different items in the order they were given. ValueError if there are fewer."""
    if not 0 <= count <= len(items):
        raise ValueError(f"cannot draw {count} of {len(items)}")
    taken: list[T] = []
    for index, item in enumerate(items):
        if source.random() * (len(items) - index) < count - len(taken):
            taken.append(item)
    return tuple(taken)


class Weights(msgspec.Struct, frozen=True):
    """Running totals of the weights of a choice: build once, pick often."""

    totals: tuple[float, ...]

    @classmethod
    def of(cls, weights: Sequence[float]) -> Weights:
        """ValueError unless the weights are finite, none is negative and one is above zero."""
        if not all(0.0 <= weight < math.inf for weight in weights) or not any(weights):
            raise ValueError(f"not weights: {weights}")
        return cls(tuple(accumulate(weights)))

    def pick(self, source: Source) -> int:
        """An index; one of weight zero never."""
        return bisect_right(self.totals, self._within(source.random() * self.totals[-1]))

    def _within(self, drawn: float) -> float:
        # Rounding may land on the total itself, behind the last index.
        return min(drawn, math.nextafter(self.totals[-1], 0.0))


class Curve(msgspec.Struct, frozen=True):
    """A distribution by its knots, straight between them: a share of ``shares[i]`` lies at or below ``values[i]``.

    Both rise, and the shares run from 0 to 1.
    """

    shares: tuple[float, ...]
    values: tuple[float, ...]

    def draw(self, source: Source) -> float:
        return self.at(source.random())

    def at(self, share: float) -> float:
        """The value below which that share lies, for a share in [0, 1]."""
        index = min(bisect_right(self.shares, share), len(self.shares) - 1)
        low, high = self.shares[index - 1], self.shares[index]
        start, end = self.values[index - 1], self.values[index]
        return start + (end - start) * ((share - low) / (high - low))
