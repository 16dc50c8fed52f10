"""P10: a thousand hosts with fifty thousand VMs, the control plane alone, in simulated seconds per CPU-second.

CPU-seconds drift with whatever else runs, so a second here is 618,000 wake-ups of bare SimPy, what a core of the
reference machine does, measured by turns. A day is not simulated: a span is, in which every host's regular looks come once
(``SPAN`` is the period of the timetable's Jobs that have a task for every host; the rare ``host.report`` is left out).
"""

from __future__ import annotations

from statistics import median

from sim.cluster import SimCluster
from tests.bench.large import TOPOLOGY, Customers, switched_on
from tests.bench.row import Row
from tests.bench.simulator import Raw, cpu

PAIRS = 3
SPAN = 600.0  # simulated seconds
DAY = 86400.0
WAKEUPS = 618_000  # of the reference, per CPU-second
RAW_HOSTS = 1_000
JOBS_PER_DAY = 24_000
GOAL_BEATS, GOAL_QUIET, GOAL_BUSY = 0.004 * DAY, DAY, 0.15 * DAY


def run(*, quick: bool = False) -> list[Row]:
    pairs, span = (1, 120.0) if quick else (PAIRS, SPAN)
    rows = []
    with switched_on(SimCluster(TOPOLOGY, seed=1, lazy=False)) as cluster:
        rows.append(_row("1,000 quiet hosts, beat by beat", _speed(cluster, pairs, span), GOAL_BEATS))
    with switched_on(SimCluster(TOPOLOGY, seed=1)) as cluster:
        rows.append(_row("1,000 quiet hosts, lazy leases", _speed(cluster, pairs, span), GOAL_QUIET))
        customers = Customers(cluster, JOBS_PER_DAY)
        rows.append(_row(f"the same, {JOBS_PER_DAY:,} Jobs a day", _speed(cluster, pairs, span), GOAL_BUSY))
        asked = pairs * span * JOBS_PER_DAY / 2 / DAY
        assert abs(customers.asked - asked) <= 2, f"{customers.asked} VMs were asked for, not {asked:g}"
    return rows


def _row(what: str, measured: float, goal: float) -> Row:
    return Row("P10", what, measured, "s", goal, "more", due=False)


def _speed(cluster: SimCluster, pairs: int, span: float) -> float:
    """Simulated seconds in a CPU-second of the reference."""
    raw, world = Raw(RAW_HOSTS), cluster.world
    raw.wakeup(WAKEUPS // 6)
    found = []
    for _ in range(pairs):
        seconds = cpu(lambda: world.advance(world.now + span))
        found.append(span / (seconds / (raw.wakeup(WAKEUPS // 3) * WAKEUPS)))
    return median(found)
