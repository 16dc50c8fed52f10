"""Worlds that one process shows by itself: a simulated cluster whose past can be sought, and a recorded run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ave import __version__
from sim.hindsight import recording_of
from sim.journal import Head
from sim.replay import Replay
from sim.scenario.load import loads
from sim.scenario.model import Scenario
from sim.serve import Books, scenario_of
from sim.served import Served
from sim.showing import Showing
from sim.tables import CATALOGUE

DEMO = """
apiVersion: ave.sim/v1
kind: Scenario
metadata: {name: demo, description: six hosts under load}
spec:
  seed: 7
  duration: 24h
  topology: {hosts: 6, cpu: 32, memory: 128GiB, zones: {a: 3, b: 3}, masters: 3}
  groups:
    - {name: db-apart, rule: prefer-different-hosts}
  workload:
    - {fleet: db, count: 6, vcpu: 4, memory: 16GiB, disk: 100GiB, priority: high, groups: [db-apart]}
    - {fleet: web, count: 48, vcpu: 2, memory: 4GiB, disk: 20GiB}
    - fleet: ci
      count: 100000
      vcpu: 1
      memory: 2GiB
      disk: 10GiB
      ha: false
      arrive: {dist: poisson, rate: 240/h, batch: 2}
      life: {dist: lognormal, median: 150s, sigma: 0.5}
  timeline:
    - {at: 20s, action: vm.create, fleet: web, count: 6}
    - {at: 30s, action: vm.migrate, target: {fleet: db, mode: one}}
"""


def demo() -> Scenario:
    """Six hosts in two zones, VMs that come and go, and nothing that goes wrong by itself."""
    return loads(DEMO, CATALOGUE, Path("demo"))


@contextmanager
def simulated(scenario: Scenario | str, *, seed: int | None = None, out: Path | None = None) -> Iterator[Showing]:
    """A scenario, or the name of a built-in cluster such as sim:6-host, with its past.

    ``out``: the run directory, instead of one that is gone at the end. Raises Refused.
    """
    name, scenario = (scenario, scenario_of(scenario)) if isinstance(scenario, str) else ("demo", scenario)
    seed = scenario.seed if seed is None else seed
    with ExitStack() as held:
        folder = out or Path(held.enter_context(TemporaryDirectory(prefix="ave-")))
        books = held.enter_context(Books(folder, Head(ave=__version__, scenario=name, seed=seed, host=""), None))
        served = held.enter_context(Served(scenario, seed=seed, recorder=books.recorder, journal=books.journal))
        books.clock = lambda: served.now
        yield Showing(served, books.recorded)


def recorded(run: Path) -> Replay:
    """A run directory, standing at its begin. Raises Refused: there is no recording in it."""
    return Replay(recording_of(run))
