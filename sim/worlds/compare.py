"""Whether two worlds did the same with one scenario: each thing went through the same states, at about the same times.

A time is taken from the entry of the timeline before it, so that a late moment is not allowed more than an early one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from sim.scenario.model import Scenario
from sim.worlds.chronicle import Moment, histories

SHARE, SECONDS = 0.2, 2.0  # of the time that it takes on the bed, and besides


class Pair(NamedTuple):
    """One state of one thing in both worlds; seconds since the story began, and since its last entry before both."""

    state: str
    simulated: float
    real: float
    since: float

    @property
    def apart(self) -> float:
        return abs(self.simulated - self.real)

    @property
    def allowed(self) -> float:
        return SECONDS + SHARE * (self.real - self.since)

    @property
    def near(self) -> bool:
        return self.apart <= self.allowed


class Thing(msgspec.Struct, frozen=True):
    """A VM, host, volume or Job: its states in either world, in order, with the one that it begins in."""

    what: str
    simulated: tuple[Moment, ...]
    real: tuple[Moment, ...]
    pairs: tuple[Pair, ...] = ()  # without that one; empty if the orders differ

    @property
    def same_order(self) -> bool:
        return [moment.state for moment in self.simulated] == [moment.state for moment in self.real]

    @property
    def passed(self) -> bool:
        return self.same_order and all(pair.near for pair in self.pairs)


def entries(scenario: Scenario) -> list[float]:
    """When something is done to the cluster, or ends."""
    begun = [event.at for event in scenario.timeline]
    ended = [event.at + event.lasts for event in scenario.timeline if event.lasts is not None]
    return sorted({0.0, *begun, *ended})


def compare(simulated: Sequence[Moment], real: Sequence[Moment], entered: Sequence[float]) -> list[Thing]:
    """Every thing that either world has shown, by name. ``entered``: see ``entries``."""
    one, other = histories(simulated), histories(real)
    return [_thing(what, one.get(what, []), other.get(what, []), entered) for what in sorted({*one, *other})]


def _thing(what: str, simulated: Sequence[Moment], real: Sequence[Moment], entered: Sequence[float]) -> Thing:
    thing = Thing(what, tuple(simulated), tuple(real))
    if not thing.same_order:
        return thing
    return Thing(what, thing.simulated, thing.real, tuple(_pairs(thing, entered)))


def _pairs(thing: Thing, entered: Sequence[float]) -> Iterator[Pair]:
    for one, other in zip(thing.simulated, thing.real, strict=True):
        if one.at <= 0.0 and other.at <= 0.0:
            continue  # where it begins
        earlier = min(one.at, other.at)
        yield Pair(one.state, one.at, other.at, max(at for at in entered if at <= max(0.0, earlier)))
