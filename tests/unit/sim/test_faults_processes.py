"""What faults of processes that hang or are killed do to the simulated world, looked up in that world."""

from __future__ import annotations

from ave.ha.timing import HUNG_SECONDS, LOOP_SECONDS
from ave.model.host import Host, HostState
from drivers.sim.facts import Gone, Paused, Resumed
from tests.unit.sim.laboratory import HOST, LEASE, World


def test_a_node_that_hangs_lets_its_lease_end_and_the_guard_freezes_its_vms(world: World) -> None:
    end = world.begin("node-stall", HOST)
    assert world.during(LEASE - 5.0, Paused) == []
    assert {fact.host for fact in world.during(25.0, Paused)} == {HOST}
    assert any(event == "guard froze VMs" for _, event, _ in world.told)
    end()
    assert {fact.host for fact in world.during(10.0, Resumed)} == {HOST}


def test_a_node_that_is_seen_to_hang_is_ended_by_the_guard_and_started_anew_and_no_vm_stops(world: World) -> None:
    node = world.machines[HOST].running["node"]
    end = world.begin("node-stall", HOST, seen=True)
    assert world.during(HUNG_SECONDS - 1.0, Paused, Gone) == []
    assert world.machines[HOST].running["node"] is node
    assert world.during(6.0, Paused, Gone) == []
    assert world.machines[HOST].running["node"] is not node
    end()
    assert world.during(LEASE + 60.0, Paused, Gone) == []
    host: Host = world.store.ledger.get(Host, HOST)
    assert (host.state, host.epoch) == (HostState.ONLINE, 1)


def test_a_node_that_goes_on_in_time_is_not_ended(world: World) -> None:
    node = world.machines[HOST].running["node"]
    for _ in range(3):
        end = world.begin("node-stall", HOST, seen=True)
        world.advance(HUNG_SECONDS - 1.0)
        end()
        world.advance(0.5)
    world.advance(HUNG_SECONDS)
    assert world.machines[HOST].running["node"] is node


def test_a_guard_that_hangs_stops_nobody(world: World) -> None:
    end = world.begin("guard-stall", HOST)
    assert world.during(200.0, Paused, Gone) == []
    end()
    assert world.during(200.0, Paused, Gone) == []


def test_a_process_that_hangs_alone_goes_on_hanging_when_its_host_goes_on(world: World) -> None:
    node = world.machines[HOST].running["node"]
    end = world.begin("node-stall", HOST)
    world.begin("host-stall", HOST)()
    assert node.halted
    end()
    assert not node.halted


def test_a_process_in_a_crash_loop_is_started_again_and_again_and_no_vm_stops(world: World) -> None:
    end = world.begin("crash-loop", HOST, process="node", seconds=10.0)
    started = [world.machines[HOST].running.get("node")]
    for _ in range(12):
        assert world.during(5.0, Paused, Gone) == []
        started.append(world.machines[HOST].running.get("node"))
    assert len(dict.fromkeys(started)) > 5
    assert world.store.ledger.get(Host, HOST).state is HostState.UNMANAGED, "it gets no new VM"
    end()
    world.advance(5.0)
    last = world.machines[HOST].running["node"]
    world.advance(LOOP_SECONDS)
    assert world.machines[HOST].running["node"] is last
    assert world.store.ledger.get(Host, HOST).state is HostState.ONLINE


def test_a_leader_whose_process_hangs_stays_leader(world: World) -> None:
    leader = world.storage.leader
    end = world.begin("leader-stall")
    world.advance(30.0)
    assert world.storage.leader == leader
    assert leader is not None
    assert world.machines[leader].running["node"].halted
    end()
    assert not world.machines[leader].running["node"].halted
