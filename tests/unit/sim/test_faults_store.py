"""What faults of the store do to the simulated world, looked up in that world."""

from __future__ import annotations

import pytest

from ave.model.host import HostState
from drivers.sim.facts import Gone, Paused
from tests.unit.sim.laboratory import World


def test_a_minority_of_the_store_is_cut_off_and_the_rest_goes_on(world: World) -> None:
    primary = world.store.primary
    end = world.begin("store-minority")
    apart = [host for host in world.store.members if not world.store.serves(host)]
    assert len(apart) == 1
    assert world.during(120.0, Paused, Gone) == []
    assert world.store.primary == primary
    assert world.state(apart[0]) is HostState.UNMANAGED
    end()
    world.advance(30.0)
    assert world.state(apart[0]) is HostState.ONLINE


@pytest.mark.parametrize(("back", "sign"), [(False, 1.0), (True, -1.0)])
def test_store_time_steps_when_the_next_primary_takes_over(world: World, back: bool, sign: float) -> None:
    world.begin("store-clock-step", seconds=3600.0, back=back)
    assert world.store.now() == pytest.approx(world.world.now)
    world.advance(10.0)
    assert world.store.now() == pytest.approx(world.world.now + sign * 3600.0)
