"""The wires between hosts: which host reaches which, on which plane, and how long a hop takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from enum import StrEnum

import msgspec

from drivers.sim import physics


class Plane(StrEnum):
    MANAGEMENT = "management"  # the store, Jobs, migration
    STORAGE = "storage"  # volumes and the storage lease


class Barrier(msgspec.Struct, frozen=True):
    """What these send to those is lost. Nobody named: everybody."""

    plane: Plane
    senders: tuple[str, ...] = ()
    receivers: tuple[str, ...] = ()

    def stops(self, sender: str, receiver: str) -> bool:
        return (not self.senders or sender in self.senders) and (not self.receivers or receiver in self.receivers)


class Line(msgspec.Struct, frozen=True):
    """What is wrong with a host's line, on all planes and both ways."""

    loss: float = 0.0  # the share of its packets that is lost
    delay: float = 0.0  # seconds that every packet takes longer


class Cut(msgspec.Struct, frozen=True):
    """These hosts stand apart, together, until it is mended."""

    number: int
    hosts: tuple[str, ...]
    planes: tuple[Plane, ...]


class Network:
    """Hosts are up or down; on each plane there are cuts, and only those on the same side of each reach each other. Besides,
    barriers stop what some send to others, one way, and lines lose packets and delay them. What is done to it twice must be
    undone twice."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self.hosts = tuple(hosts)
        self.lines: dict[str, Line] = {}  # by host: of all that is wrong with its line, the worst
        self.half_open: dict[str, None] = {}  # hosts whose connections are not closed when they are cut
        self._down: dict[str, None] = {}
        self._cuts: dict[Plane, dict[str, tuple[int, ...]]] = {
            plane: {} for plane in Plane
        }  # that a host is cut off by
        self._barriers: dict[Plane, list[Barrier]] = {plane: [] for plane in Plane}
        self._made = 0
        self._lines: dict[str, list[Line]] = {}
        self.whole = True  # the usual case, kept cheap
        self.sound = True  # whole but for hosts that are down
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def up(self, host: str) -> bool:
        return host not in self._down

    def carries(self, sender: str, receiver: str, plane: Plane) -> bool:
        """Does what one sends arrive at the other?"""
        if self.whole:
            return True
        if sender in self._down or receiver in self._down:
            return False
        if self.sound or sender == receiver:
            return True
        cuts = self._cuts[plane]
        if cuts and cuts.get(sender, ()) != cuts.get(receiver, ()):
            return False
        barriers = self._barriers[plane]
        return not barriers or not any(barrier.stops(sender, receiver) for barrier in barriers)

    def reaches(self, one: str, other: str, plane: Plane) -> bool:
        """Can they talk, as every connection must to be made: there and back?"""
        if self.sound:
            return one not in self._down and other not in self._down
        return self.carries(one, other, plane) and self.carries(other, one, plane)

    def set_power(self, host: str, *, on: bool) -> None:
        if on:
            self._down.pop(host, None)
        else:
            self._down[host] = None
        self._changed()

    def cut(self, hosts: Iterable[str], planes: Iterable[Plane]) -> Cut:
        """Put these hosts on a side of their own."""
        self._made += 1
        made = Cut(self._made, tuple(hosts), tuple(planes))
        for plane in made.planes:
            cuts = self._cuts[plane]
            cuts.update({host: (*cuts.get(host, ()), made.number) for host in made.hosts})
        self._changed()
        return made

    def mend(self, made: Cut) -> None:
        """Undo it; other cuts stay."""
        for plane in made.planes:
            for host in made.hosts:
                self._keep(plane, host, tuple(n for n in self._cuts[plane].get(host, ()) if n != made.number))
        self._changed()

    def heal(self, hosts: Iterable[str], planes: Iterable[Plane]) -> None:
        """Undo every cut of these hosts."""
        for plane in planes:
            for host in tuple(hosts):
                self._keep(plane, host, ())
        self._changed()

    def _keep(self, plane: Plane, host: str, cuts: tuple[int, ...]) -> None:
        if cuts:
            self._cuts[plane][host] = cuts
        else:
            self._cuts[plane].pop(host, None)

    def bar(self, barriers: Iterable[Barrier]) -> None:
        for barrier in barriers:
            self._barriers[barrier.plane].append(barrier)
        self._changed()

    def lift(self, barriers: Iterable[Barrier]) -> None:
        """Take down what ``bar`` put up; of equal ones, one each."""
        for barrier in barriers:
            if barrier in self._barriers[barrier.plane]:
                self._barriers[barrier.plane].remove(barrier)
        self._changed()

    def strain(self, host: str, line: Line) -> None:
        self._lines.setdefault(host, []).append(line)
        self._weigh(host)

    def relieve(self, host: str, line: Line) -> None:
        """Undo what ``strain`` did; of equal ones, one each."""
        self._lines[host].remove(line)
        self._weigh(host)

    def _weigh(self, host: str) -> None:
        lines = self._lines[host]
        if lines:
            self.lines[host] = Line(max(line.loss for line in lines), max(line.delay for line in lines))
        else:
            self.lines.pop(host, None)
        self._changed()

    def extra_seconds(self, one: str, other: str, random: Callable[[], float]) -> float:
        """How much longer a message from one to the other takes: each loss is noticed by a timer that doubles."""
        if not self.lines or one == other:
            return 0.0
        seconds = 0.0
        for host in (one, other):
            line = self.lines.get(host)
            if line is None:
                continue
            seconds += line.delay
            timer = physics.RETRANSMIT_SECONDS
            while line.loss and random() < line.loss and timer < physics.GIVE_UP_SECONDS:
                seconds += timer
                timer *= 2.0
        return seconds

    def delay(self, host: str) -> float:
        """How much longer than usual everything takes that this host sends or is sent."""
        line = self.lines.get(host)
        return line.delay if line is not None else 0.0

    def trip_seconds(self, one: str, other: str) -> float:
        """How much longer than usual it takes there and back, if nothing is lost."""
        if not self.lines or one == other:
            return 0.0
        return 2.0 * (self.delay(one) + self.delay(other))

    def mib_per_second(self, one: str, other: str, full: float) -> float:
        """What one stream between them carries: a window per round trip, smaller the more is lost."""
        if not self.lines:
            return full
        lines = [line for host in (one, other) if (line := self.lines.get(host))]
        trip = 2.0 * (physics.HOP_SECONDS + sum(line.delay for line in lines))
        loss = max((line.loss for line in lines), default=0.0)
        window = physics.WINDOW_MIB if not loss else min(physics.WINDOW_MIB, physics.SEGMENT_MIB / math.sqrt(loss))
        return min(full, window / trip)

    @property
    def parted(self) -> bool:
        """Is anybody cut off, as far as wires go?"""
        return any(self._cuts.values()) or any(self._barriers.values())

    def _changed(self) -> None:
        barred = any(self._barriers.values())
        self.sound = not (self.lines or barred or any(self._cuts.values()))
        self.whole = self.sound and not self._down
        for listener in self._listeners:
            listener()


def hop_seconds(draw: float) -> float:
    """One way through the management or storage network; ``draw`` is uniform in [0, 1)."""
    return physics.HOP_SECONDS * (0.5 + draw)
