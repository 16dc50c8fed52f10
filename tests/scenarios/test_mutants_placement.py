"""Bugs put into placement on purpose, each by one small patch at run time, and the invariant that catches it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ave.jobs.leader import Leader
from ave.model.cluster import Role
from ave.model.vm import VM
from ave.model.work import Work
from ave.placement import filters, groups
from ave.placement.purpose import Purpose
from ave.placement.unit import Unit
from ave.placement.view import View
from ave.ports.store import Check
from ave.ports.together import Ports
from ave.scheduler import active
from ave.scheduler.active import Scheduler
from ave.scheduler.mirror import Mirror
from ave.scheduler.role import Held
from ave.vms import reconcile
from drivers.sim.store import SimStore
from sim.invariants.d3_decided_on_what_holds import DecidedOnWhatHolds
from sim.invariants.p1_placed_by_rule import PlacedByRule
from tests.scenarios.test_mutants_jobs import caught


def test_mutant_15_a_decision_by_what_a_lagging_secondary_knows_breaks_p2() -> None:
    """Read anew for each decision, by a client that has seen nothing, and so by whatever member is nearest. It forgets what
    is where, so P1 finds rules that are broken as well; here it does not look."""
    sound_place = Scheduler.place

    async def by_a_secondary(self: Scheduler, ports: Ports, task: Work) -> Any:
        store = ports.store
        assert isinstance(store, SimStore)
        self.mirror = Mirror()
        await self.mirror.read(SimStore(store._set, store._runtime, ports.host))
        return await sound_place(self, ports, task)

    def lag(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(PlacedByRule, "handlers", lambda self: {})
        patch.setattr(Scheduler, "place", by_a_secondary)

    invariant, what = caught("placement/lagging-secondaries.yaml", lag)
    assert invariant == "P2", what


def test_mutant_16_memory_that_is_promised_and_not_counted_breaks_p2() -> None:
    put = View.put_vm

    def forgetful(view: View, vm: VM) -> None:
        put(view, msgspec.structs.replace(vm, reserved=""))

    invariant, what = caught("placement/memory.yaml", lambda patch: patch.setattr(View, "put_vm", forgetful))
    assert invariant == "P2", what


def test_mutant_17_room_that_a_failed_job_does_not_give_back_breaks_p2() -> None:
    def look_away(patch: pytest.MonkeyPatch) -> None:
        """The net below: hosts give back what nobody's Job holds."""

        async def nothing(ports: Ports) -> None:
            return None

        patch.setattr(reconcile, "_give_back", nothing)

    async def keep(self: Leader, plan: Any, failed: Any) -> list[Any]:
        return []

    def leak(patch: pytest.MonkeyPatch) -> None:
        look_away(patch)
        patch.setattr(Leader, "_unreserve", keep)

    assert caught("jobs/cancel-midway.yaml", look_away) == ("", "nothing was caught"), "the net is not the mutant"
    invariant, what = caught("jobs/cancel-midway.yaml", leak)
    assert invariant == "P2", what
    assert "still holds room" in what


def test_mutant_18_a_must_rule_that_a_rescue_does_not_keep_breaks_p1() -> None:
    sound_kept = groups.kept

    def only_by_users(unit: Unit, view: View, purpose: Purpose) -> Any:
        return None if purpose is Purpose.RESCUE else sound_kept(unit, view, purpose)

    for name in ("placement/host-rules.yaml", "placement/together-or-apart.yaml", "placement/zones.yaml"):
        invariant, what = caught(name, lambda patch: patch.setattr("ave.placement.filters.kept", only_by_users))
        assert invariant == "P1", what
        assert "must be" in what


def test_mutant_19_a_host_in_maintenance_that_may_take_vms_breaks_p1() -> None:
    nobody = filters._IN_MAINTENANCE & False
    invariant, what = caught(
        "placement/maintenance-is-no-place.yaml", lambda patch: patch.setattr(filters, "_IN_MAINTENANCE", nobody)
    )
    assert invariant == "P1", what
    assert "maintenance" in what


def test_pins_that_are_not_counted_break_p3() -> None:
    put = View.put_vm

    def forgetful(view: View, vm: VM) -> None:
        put(view, msgspec.structs.replace(vm, pinned=False))

    invariant, what = caught("placement/pinning.yaml", lambda patch: patch.setattr(View, "put_vm", forgetful))
    assert invariant == "P3", what


def test_a_scheduler_whose_role_nobody_checks_breaks_p4() -> None:
    sound_wait = Held.wait_for_loss

    def late(patch: pytest.MonkeyPatch) -> None:
        """It notices late that it was replaced. That its commits depend on nothing is D3's to find; here it does not look."""
        patch.setattr(DecidedOnWhatHolds, "handlers", lambda self: {})

        async def wait(self: Held, term: int) -> None:
            await sound_wait(self, term)
            await self._ports.runtime.sleep(20.0)

        patch.setattr(Held, "wait_for_loss", wait)

    def unchecked(patch: pytest.MonkeyPatch) -> None:
        late(patch)
        patch.setattr(active, "still_held", lambda held: Check(Role, held.id, {}))

    assert caught("placement/two-schedulers.yaml", late, range(1, 3)) == ("", "nothing was caught")
    invariant, what = caught("placement/two-schedulers.yaml", unchecked)
    assert invariant == "P4", what


def test_a_prefer_rule_that_turns_hosts_away_breaks_p6() -> None:
    sound_kept = groups.kept

    def strict(unit: Unit, view: View, purpose: Purpose) -> Any:
        must, prefer = sound_kept(unit, view, purpose), groups.broken(unit, view, purpose)
        return must if prefer is None else prefer == 0 if must is None else must & (prefer == 0)

    invariant, what = caught(
        "placement/host-rules.yaml", lambda patch: patch.setattr("ave.placement.filters.kept", strict)
    )
    assert invariant == "P6", what
