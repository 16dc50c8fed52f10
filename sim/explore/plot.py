"""Plots: the same trouble again and again with the same victims, while somebody insists on the same requests.

Bursts of whatever there is seldom bring together the two or three things that a bug takes: a host that hangs *and* somebody who
makes VMs on it just then; a host that is lost *and* an election before its verdict is due. A plot draws these few things once
and plays them in rounds, each time a little differently.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ave.ha.timing import Timing
from sim.chance import Source, below, choice, exponential, happens, sample, uniform
from sim.explore.calamity import RECOVERS_SECONDS, SHORTEST_SECONDS, Drawn, Row, Rows, Timed, length
from sim.explore.temper import LONGEST_SECONDS
from sim.explore.values import Names, given, seconds
from sim.scenario.catalogue import ActionKind

LASTING_RATIO = 0.8  # of the plots are about a fault that lasts
MOST_VICTIMS = 4  # hosts
SAME_LENGTH_RATIO = 0.5  # of the plots: it lasts equally long each round
ROUNDS = (2, 4)
CALMS = (*3 * ((5.0, 150.0),), (170.0, 350.0))  # seconds between rounds, once a host that was off is up again
BY_THEME_RATIO = 0.5  # of the faults: each theme as often as any other, however many faults it has
LONG_RATIO, LONG_SECONDS = (
    0.2,
    (900.0, 1800.0),
)  # of the plots have one round, of a fault that hardly ends; and no other fault
PARTNER_RATIO = 0.6  # of the plots have a second fault …
PARTNER_SECONDS = 120.0  # … for at most so long …
AT_A_THRESHOLD_RATIO = 0.5  # … that often strikes when something is due because of the first
NEAR_SECONDS = 20.0
AFTER_SECONDS = 20.0  # else while the first lasts, or so soon after
ASKED_RATIO, ASKED_MORE_RATIO, ASKED_MOST = 0.85, 0.5, 3  # of the plots: something; and each time something more
CROWD_RATIO, CROWD_MOST, CROWD_STEP_SECONDS = 0.5, 8, 0.02
JUST_BEFORE_RATIO, JUST_BEFORE_SECONDS = (
    0.5,
    0.25,
)  # of the crowds are at work when it begins: a task takes so long, on average
CROWD_BEFORE_SECONDS = 1.5  # the others come before or after
SPREAD_MOST, SPREAD_BEFORE_SECONDS, SPREAD_AFTER_SECONDS = 5, 3.0, 10.0
OF_VMS_RATIO = 0.7  # of the requests are for VMs that are there
CANCEL, CANCELLED_RATIO = "job.cancel", 0.2  # of what more is asked for cancels the Jobs of the first
#: What must have been asked for before, so that there is something to ask for.
PREPARED = {"vm.start": "vm.poweroff", "vm.resume": "vm.suspend", "host.exit-maintenance": "host.enter-maintenance"}
PREPARED_SECONDS = 30.0
THERE_RATIO = 0.5  # of the requests that can name a host name the victim
SEVERAL = (2, 10)  # VMs


class Cast(msgspec.Struct, frozen=True):
    """Who and what a plot is drawn from. ``fleets``: how many VMs each has at the begin."""

    rows: Rows
    actions: tuple[ActionKind, ...]
    hosts: tuple[str, ...]
    fleets: dict[str, int]
    names: Names
    timing: Timing


class Plot(msgspec.Struct, frozen=True):
    first: Row
    partner: Row | None
    asked: tuple[ActionKind, ...]
    victims: tuple[str, ...]  # hosts, and it is the first whom requests name
    bystanders: tuple[str, ...]  # whom the second fault hits
    vm: str
    whom: dict[str, Any]  # whom requests are for
    lasts: float | None  # the first fault; None: each round another time
    rounds: int


def plots(source: Source, cast: Cast, drawn: Drawn, span: tuple[float, float]) -> list[Timed]:
    """The requests, one plot after the other; the faults go to ``drawn``."""
    requests: list[Timed] = []
    at, until = span
    while cast.rows and at < until:
        plot = _plot(source, cast, drawn)
        for _ in range(plot.rounds):
            at = _round(source, cast, plot, drawn, requests, at, until) + uniform(source, *choice(source, CALMS))
    return requests


def _plot(source: Source, cast: Cast, drawn: Drawn) -> Plot:
    lasting = tuple(row for row in cast.rows if row.kind.lasting)
    first = _row(source, lasting if lasting and happens(source, LASTING_RATIO) else cast.rows)
    long = first.kind.lasting and happens(source, LONG_RATIO)
    some = drawn.victims(MOST_VICTIMS)
    others = tuple(host for host in cast.hosts if host not in some)
    fleet = choice(source, tuple(cast.fleets))
    vm = f"{fleet}-{1 + below(source, cast.fleets[fleet])}"
    several = {"mode": "fixed", "value": SEVERAL[0] + below(source, SEVERAL[1] - SEVERAL[0] + 1)}
    whom: list[dict[str, Any]] = [
        {"fleet": fleet, "mode": "all"},
        {"names": vm},
        *([several] if first.kind.target != "vm" else []),
    ]
    lasts = length(source, cast.timing, LONGEST_SECONDS) if happens(source, SAME_LENGTH_RATIO) else None
    return Plot(
        first=first,
        partner=_row(source, cast.rows) if not long and happens(source, PARTNER_RATIO) else None,
        asked=_asked(source, cast.actions) if happens(source, ASKED_RATIO) else (),
        victims=some,
        bystanders=(choice(source, others if happens(source, 0.5) else some),),
        vm=vm,
        whom=choice(source, whom),
        lasts=uniform(source, *LONG_SECONDS) if long else lasts,
        rounds=1 if long else ROUNDS[0] + below(source, ROUNDS[1] - ROUNDS[0] + 1),
    )


def _row(source: Source, rows: Rows) -> Row:
    if happens(source, BY_THEME_RATIO):
        theme = choice(source, tuple(dict.fromkeys(row.theme for row in rows)))
        rows = tuple(row for row in rows if row.theme == theme)
    return choice(source, rows)


def _asked(source: Source, actions: tuple[ActionKind, ...]) -> tuple[ActionKind, ...]:
    """One, two or three."""
    asked: list[ActionKind] = []
    while actions and (not asked or (len(asked) < ASKED_MOST and happens(source, ASKED_MORE_RATIO))):
        some = actions
        if asked and happens(source, CANCELLED_RATIO):
            some = tuple(action for action in actions if action.name == CANCEL)
        elif happens(source, OF_VMS_RATIO):
            some = tuple(action for action in actions if action.target == "vm")
        asked += sample(source, some, min(1, len(some)))
    return tuple(asked)


def _round(
    source: Source, cast: Cast, plot: Plot, drawn: Drawn, requests: list[Timed], at: float, until: float
) -> float:
    """Returns when it is over."""
    lasting = plot.first.kind.lasting
    lasts = plot.lasts if plot.lasts is not None else length(source, cast.timing, LONGEST_SECONDS)
    begin = at + PREPARED_SECONDS
    if until - begin < SHORTEST_SECONDS:
        return until
    lasts = min(lasts, until - begin)
    drawn.strike(begin, lasts if lasting else 0.0, plot.first, plot.victims, plot.vm)
    if plot.partner is not None:
        then = _second(source, cast.timing, begin, lasts)
        rest = min(length(source, cast.timing, PARTNER_SECONDS), until - then)
        if rest >= SHORTEST_SECONDS:
            lasts_too = rest if plot.partner.kind.lasting else 0.0
            drawn.strike(then, lasts_too, plot.partner, plot.bystanders, plot.vm)
    known = {action.name: action for action in cast.actions}
    for action in plot.asked:
        before = known.get(PREPARED.get(action.name, ""))
        if before is not None:
            requests.append((at, _request(source, cast, plot, before, at)))
        for then in _moments(source, begin, lasts):
            if then < until:
                requests.append((then, _request(source, cast, plot, action, then)))
    return begin + lasts + RECOVERS_SECONDS * source.random()


def _second(source: Source, timing: Timing, begin: float, lasts: float) -> float:
    if happens(source, AT_A_THRESHOLD_RATIO):
        due = choice(source, (timing.give_up, timing.verdict, lasts))
        return max(begin, begin + due + uniform(source, -NEAR_SECONDS, NEAR_SECONDS))
    return begin + uniform(source, 0.0, lasts + AFTER_SECONDS)


def _moments(source: Source, begin: float, lasts: float) -> list[float]:
    """Several at once when it begins, or one after the other while it lasts."""
    if happens(source, CROWD_RATIO):
        first = begin + uniform(source, -CROWD_BEFORE_SECONDS, CROWD_BEFORE_SECONDS)
        if happens(source, JUST_BEFORE_RATIO):
            first = begin - exponential(source, JUST_BEFORE_SECONDS)
        return [first + CROWD_STEP_SECONDS * n for n in range(1 + below(source, CROWD_MOST))]
    span = (begin - SPREAD_BEFORE_SECONDS, begin + lasts + SPREAD_AFTER_SECONDS)
    return [uniform(source, *span) for _ in range(1 + below(source, SPREAD_MOST))]


def _request(source: Source, cast: Cast, plot: Plot, action: ActionKind, at: float) -> dict[str, Any]:
    entry: dict[str, Any] = {"at": seconds(at), "action": action.name}
    if action.target == "vm":
        entry["target"] = plot.whom.get("names", plot.whom)
    elif action.target in ("host", "hosts"):
        entry["target"] = plot.victims[0]
    said = given(source, action.parameters, cast.names)
    if any(parameter.name == "host" for parameter in action.parameters):
        said.pop("host", None)
        if happens(source, THERE_RATIO):
            said["host"] = plot.victims[0]
    return entry | said
