"""What faults of migrations and rescues, struck while they are at work do to the simulated world, looked up in that world."""

from __future__ import annotations

import pytest

from drivers.sim.facts import Gone, Paused
from drivers.sim.machine import Phase
from tests.unit.sim.laboratory import HOST, World


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize(
    ("name", "off"),
    [("migration-cut", ""), ("migration-source-crash", "source"), ("migration-target-crash", "target")],
)
def test_a_migration_is_struck_in_its_phase_and_the_next_one_is_not(
    world: World, name: str, off: str, phase: Phase
) -> None:
    vm = world.here(HOST)[0]
    world.begin(name, phase=str(phase))
    world.migrate(vm)
    world.advance(30.0)
    down = [host for host, machine in world.machines.items() if not machine.powered]
    if off:
        assert len(down) == 1
        assert (down == [HOST]) is (off == "source")
    else:
        assert not down
        assert not world.network.whole
    assert all(machine.at_phase is None for machine in world.machines.values())
    world.advance(400.0)
    assert world.network.whole
    assert sum(vm in world.here(host) for host in world.machines) == 1


def test_the_source_of_a_migration_may_lose_its_process(world: World) -> None:
    before = world.machines[HOST].running["node"]
    world.begin("migration-kill", phase="copy")
    world.migrate(world.here(HOST)[0])
    world.advance(30.0)
    assert world.machines[HOST].running["node"] is not before


@pytest.mark.parametrize("moment", ["lead", "place", "start"])
@pytest.mark.parametrize("name", ["rescue-crash", "rescue-kill", "rescue-failover", "rescue-election"])
def test_a_rescue_is_struck_when_it_is_at_that_and_the_next_one_is_not(world: World, name: str, moment: str) -> None:
    before = (
        world.storage.term,
        world.store.term,
        {host: machine.running["node"] for host, machine in world.machines.items()},
    )
    world.begin(name, moment=moment)
    world.advance(60.0)
    assert (world.storage.term, world.store.term) == before[:2], "it waits for a rescue"
    listeners = len(world.store.ledger.listeners)
    world.machines[HOST].power_off()
    world.advance(110.0)
    down = [host for host, machine in world.machines.items() if not machine.powered and host != HOST]
    killed = [
        host for host, machine in world.machines.items() if machine.running.get("node") not in (before[2][host], None)
    ]
    assert len(down) == (name == "rescue-crash")
    assert len(killed) == (name == "rescue-kill")
    assert world.storage.term - before[0] == (name == "rescue-failover" or down == ["host-1"])
    assert world.store.term - before[1] == (name == "rescue-election" or down == ["host-1"])
    assert len(world.store.ledger.listeners) == listeners - 1
    world.advance(400.0)
    assert sum(len(world.here(host)) for host in world.machines) == 18, "all run again"


def test_a_vm_that_rewrites_its_memory_too_fast_is_not_migrated_and_runs_on(world: World) -> None:
    vm = world.here(HOST)[0]
    end = world.begin("busy-memory", HOST, factor=20.0)
    world.migrate(vm)
    assert [fact for fact in world.during(400.0, Paused, Gone) if fact.host == HOST] == []
    end()
    world.migrate(vm)
    world.advance(30.0)
    assert vm not in world.here(HOST)
