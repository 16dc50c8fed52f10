"""Every decision of a run, made again from its recording, comes out as it did."""

from __future__ import annotations

from pathlib import Path

import pytest

from ave.errors import Refused
from ave.placement.explain import explain_batch
from sim import hindsight
from sim.run import Asked, run

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "name", ["ha/host-loss", "jobs/tight-memory", "jobs/maintenance", "jobs/failover-during-create"]
)
def test_a_decision_comes_out_as_it_did(name: str, tmp_path: Path) -> None:
    run(Asked(file=ROOT / "scenarios" / f"{name}.yaml", out=tmp_path))
    recording = hindsight.recording_of(tmp_path)
    decided = hindsight.decisions(recording)
    assert decided
    for decision in decided:
        past = hindsight.before(recording, decision)
        vms = [vm for vm in past.cluster.vms if vm.id in past.asked.vms]
        view, asked = past.cluster.view(), past.asked
        _, found = explain_batch(
            view,
            vms,
            asked.purpose,
            [decision.vm],
            by_priority=asked.by_priority,
            only=asked.host,
            leave=asked.leave,
        )
        explained = found[decision.vm]
        assert (explained.choice.host if explained.choice else "") == decision.host
        assert explained.rejected == decision.rejected
    some = decided[len(decided) // 2]
    assert hindsight.last_decision(recording, some.vm, some.t) == some


def test_a_run_without_a_recording_is_refused_with_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="ave sim run FILE --out"):
        hindsight.recording_of(tmp_path)
