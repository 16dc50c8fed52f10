"""What faults of hosts that lose power do to the simulated world, looked up in that world."""

from __future__ import annotations

import pytest

from drivers.sim.facts import Disturbed, Powered
from tests.unit.sim.laboratory import HOST, World


def test_a_host_that_reboots_is_back_when_it_was_said_with_another_boot_id(world: World) -> None:
    before = world.machines[HOST].facts.boot
    world.begin("host-reboot", HOST, seconds=30.0)
    assert world.during(29.9, Powered) == []
    assert world.during(0.2, Powered) == [Powered(HOST, True)]
    assert world.machines[HOST].facts.boot != before


def test_a_zone_that_crashes_takes_all_its_hosts_and_no_other(world: World) -> None:
    end = world.begin("zone-crash", zone="b")
    assert [name for name, machine in world.machines.items() if not machine.powered] == ["host-3", "host-4"]
    assert next(f for _, f in world.facts if isinstance(f, Disturbed)).harms == ("host-3", "host-4")
    end()
    world.advance(91.0)
    assert all(machine.powered for machine in world.machines.values())


@pytest.mark.parametrize(("name", "who"), [("leader-crash", "storage"), ("primary-crash", "store")])
def test_who_leads_is_found_when_it_begins_and_remembered_until_it_ends(world: World, name: str, who: str) -> None:
    world.begin("storage-failover")
    world.advance(15.0)
    host = world.storage.leader if who == "storage" else world.store.primary
    end = world.begin(name)
    assert [name for name, machine in world.machines.items() if not machine.powered] == [host]
    world.advance(20.0)
    assert host != (world.storage.leader if who == "storage" else world.store.primary)
    end()
    world.advance(91.0)
    assert host is not None
    assert world.machines[host].powered
