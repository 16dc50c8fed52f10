"""What the bed cannot play it refuses at once, with every reason; and what ships for it fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.faults import FAULTS
from sim.scenario.load import load, loads
from sim.tables import CATALOGUE
from tests.real.both.faults import ROWS
from tests.real.both.fit import Unfit, against, require_fit
from tests.real.faults.table import FAULTS as STRUCK

SCENARIOS = Path(__file__).parents[3] / "scenarios"


@pytest.mark.parametrize("file", sorted((SCENARIOS / "both").glob("*.yaml")), ids=lambda file: file.stem)
def test_what_ships_for_both_worlds_fits(file: Path) -> None:
    assert list(against(load(file, CATALOGUE))) == []


def test_a_large_cluster_is_refused_with_all_reasons() -> None:
    file = SCENARIOS / "ha/zone-loss.yaml"
    with pytest.raises(Unfit) as refused:
        require_fit(load(file, CATALOGUE), file)
    assert "hosts, and the bed has 3" in str(refused.value)
    assert "thresholds or arms" in str(refused.value)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("{at: 1s, fault: partition, target: host-1}", "timeline[0]: partition has no row"),
        ("{at: 1s, fault: node-stall, target: host-1}", "timeline[0]: node-stall on the bed needs seen: True"),
        ("{at: 1s, action: job.cancel}", "timeline[0]: job.cancel"),
        ("{at: 1s, action: vm.create, fleet: web, flag: slow}", "timeline[0]: vm.create with flag"),
    ],
)
def test_what_cannot_be_done_is_named(entry: str, reason: str) -> None:
    text = f"""
apiVersion: ave.sim/v1
kind: Scenario
metadata: {{name: odd}}
spec:
  duration: 10s
  topology: {{hosts: 3, cpu: 2, memory: 4GiB, reserve: 512MiB}}
  workload: [{{fleet: web, count: 1, vcpu: 1, memory: 192MiB, disk: 1GiB}}]
  timeline: [{entry}]
"""
    (found,) = against(loads(text, CATALOGUE, Path("odd.yaml")))
    assert found.startswith(reason)


def test_rows_are_of_faults_that_there_are() -> None:
    struck = {fault.name for fault in STRUCK}
    for name, row in ROWS.items():
        assert name in FAULTS
        assert not row.real or row.real in struck
        assert not FAULTS[name].kind.lasting or row.end is not None
