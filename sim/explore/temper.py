"""What kind of trouble a drawn cluster is in. Scenarios that are all of the average kind would all find the same: so one leaves
out most kinds of faults and gets the rest again and again, one is crowded, in one users are in a hurry, one is hit once and
left alone with it for an hour."""

from __future__ import annotations

import msgspec

from sim.chance import Source, choice, happens

FEW_RATIO = 0.5  # of the scenarios have few kinds of faults, and as many, independently, few kinds of requests …
FEW_SHARES = (0.08, 0.25)  # … of all there are
CROWDED_RATIO = 0.15
FULL_SHARES = (0.5, 0.5, 0.5, 0.9)
PACKED_RATIO = 0.15
RUSHES = (0, 0, 1, 3)
PLOTTED_RATIO = 0.5
ASKED_EVERY_SECONDS = (8.0, *3 * (60.0,), *3 * (120.0,), *3 * (300.0,))  # few are in a hurry: that costs most
BOUNDED_RATIO = 0.65
EARLY_RATIO, EARLY_SHARE = 0.2, 0.4
ALONE_RATIO = 0.5  # of those that are left in peace early
CHASED_SHARES = (0.15, 0.15, 0.6)
LONGEST_SECONDS, LINGERING_SECONDS = 400.0, 1500.0
LINGERING_RATIO = 0.15


class Temper(msgspec.Struct, frozen=True):
    faults: float  # the share of all kinds that may strike
    actions: float  # the share of all kinds that users ask for
    asked_every: float  # seconds from one request to the next, on average
    full: float  # at most so much of the memory is taken at time 0
    packed: bool  # with few large VMs, which have nowhere to go when a host is lost
    crowded: bool  # few hosts with many VMs each
    rushes: int  # so often more is asked for at a time than hosts have hands
    plotted: bool  # a few things befall it again and again, and else nothing does
    bounded: bool  # a minority is down at once; else anything may be
    until: float  # after this share of the time nothing strikes any more: who waits for ever is found out by waiting …
    alone: bool  # … but for a few last faults that go on to the end
    chased: float  # the share of faults that strike while an earlier one is dealt with
    longest: float  # seconds that a fault lasts at most


def temper(source: Source) -> Temper:
    early = happens(source, EARLY_RATIO)
    return Temper(
        faults=_share(source),
        actions=_share(source),
        asked_every=choice(source, ASKED_EVERY_SECONDS),
        full=choice(source, FULL_SHARES),
        packed=happens(source, PACKED_RATIO),
        crowded=happens(source, CROWDED_RATIO),
        rushes=choice(source, RUSHES),
        plotted=happens(source, PLOTTED_RATIO),
        bounded=happens(source, BOUNDED_RATIO),
        until=EARLY_SHARE if early else 1.0,
        alone=happens(source, ALONE_RATIO) and early,
        chased=choice(source, CHASED_SHARES),
        longest=LINGERING_SECONDS if happens(source, LINGERING_RATIO) else LONGEST_SECONDS,
    )


def _share(source: Source) -> float:
    share = choice(source, FEW_SHARES)
    return share if happens(source, FEW_RATIO) else 1.0
