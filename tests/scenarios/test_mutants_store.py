"""What MongoDB allows and we must not use, put in on purpose, is caught by a scenario that ships."""

from __future__ import annotations

from typing import Any

import pytest

from ave.jobs.crew import Crew
from ave.ports.together import Ports
from drivers.sim.runtime import SimRuntime
from drivers.sim.store import EarlyStore
from sim.cluster import SimCluster
from tests.scenarios.test_mutants import caught


def test_mutant_14_inserting_a_job_before_a_majority_has_it_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """w:1: the primary that is alone acknowledges a Job, and rolls it back when it hears of its successor."""

    def hasty(cluster: SimCluster, host: str, runtime: SimRuntime) -> tuple[Ports, Crew]:
        store = EarlyStore(cluster.store, runtime, host)
        ports = Ports(host, runtime, store, None, None, None)  # type: ignore[arg-type]
        return ports, Crew(ports)

    monkeypatch.setattr(SimCluster, "client", hasty)
    found: dict[str, Any] = caught("jobs/store-stale-primary.yaml")
    assert "was acknowledged and is not in the store" in found["J1"]
