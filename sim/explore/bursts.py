"""Faults in bursts, overlapping, with quiet between, so that promises that need calm are tried as well as those that do not."""

from __future__ import annotations

from sim.chance import Source, below, choice, exponential, happens, sample, uniform
from sim.explore.calamity import SHORTEST_SECONDS, Drawn, Rows, length

#: Between two bursts: too short for a rescue, long enough for one, and for whatever is judged only after long calm.
PAUSES = (*6 * ((5.0, 60.0),), *3 * ((150.0, 300.0),), (650.0, 800.0))
BURST_SECONDS = 12.0  # mean time between the faults of one
MOST_OF_A_BURST = 11
LAST = 3  # faults, at most, that go on to the end
RUSH_SECONDS, RUSH_BEFORE_SECONDS = (20.0, 90.0), 1.0
LONG_BEFORE_RATIO, LONG_BEFORE_SECONDS = (
    0.5,
    (2.0, 14.0),
)  # of the rushes meet what began before: nobody has noticed it yet
HINDERING = ("network", "storage")  # themes: they keep work from its end, whomever they hit


def bursts(source: Source, rows: Rows, drawn: Drawn, span: tuple[float, float]) -> None:
    """Within that span, all of them over at its end."""
    at, end = span
    temper, timing = drawn.temper, drawn.scene.timing
    until = at + temper.until * (end - at)
    while rows and at < until - SHORTEST_SECONDS:
        for _ in range(1 + below(source, MOST_OF_A_BURST)):
            at = drawn.moment(at + exponential(source, BURST_SECONDS))
            if at >= until - SHORTEST_SECONDS:
                break
            row = choice(source, rows)
            lasts = min(length(source, timing, temper.longest), until - at) if row.kind.lasting else 0.0
            drawn.strike(at, lasts, row)
        at += uniform(source, *choice(source, PAUSES))
    lasting = tuple(row for row in rows if row.kind.lasting)
    if temper.alone:
        for row in sample(source, lasting, min(LAST, len(lasting))):
            drawn.strike(until, end - until, row)


def hindrances(source: Source, rows: Rows, drawn: Drawn, span: tuple[float, float]) -> None:
    """Somebody is kept from their work while all are busy: so much was asked for that hands are full, then and for long."""
    lasting = [row for row in rows if row.kind.lasting]
    hindering = [row for row in lasting if row.theme in HINDERING or (row.harms and row.kind.target == "host")]
    themes = tuple(dict.fromkeys(row.theme for row in hindering))
    for rush in (rush for rush in drawn.scene.rushes if hindering and rush + RUSH_SECONDS[1] < span[1]):
        theme = choice(source, themes)
        then = rush + uniform(source, -RUSH_BEFORE_SECONDS, RUSH_BEFORE_SECONDS)
        if happens(source, LONG_BEFORE_RATIO):
            then = max(span[0], rush - uniform(source, *LONG_BEFORE_SECONDS))
        lasts = rush - then + uniform(source, *RUSH_SECONDS)
        drawn.strike(then, lasts, choice(source, [row for row in hindering if row.theme == theme]))
