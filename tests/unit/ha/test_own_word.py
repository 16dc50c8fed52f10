"""A host that has lost only its storage says itself that nothing of it runs: its VMs need not wait for a long silence."""

from __future__ import annotations

from typing import Any

import pytest

from ave.ha.lease import LeaseKeeper
from ave.ha.timing import IDLE_SECONDS, PROFILES
from ave.model.host import HostState, Report
from ave.ports.hypervisor import DomainState
from drivers.sim.facts import Disturbed, Gone, Joined, Paused, Resumed, Revoked, Started
from drivers.sim.machine import Machine
from drivers.sim.network import Barrier, Plane
from sim.violation import Violation
from tests.unit.ha.test_lease import BACK_SECONDS, Cluster

SEED = PROFILES["seed"]
STORAGE, MANAGEMENT = Plane.STORAGE, Plane.MANAGEMENT
RESCUED_SECONDS = 75.0


def watched(**given: Any) -> Cluster:
    return Cluster(judged=True, **given)


def report(cluster: Cluster, host: str) -> Report:
    found: Report = cluster.doc(Report, host)
    return found


@pytest.mark.parametrize("phase", [0.0, 1.7, 3.4])
@pytest.mark.parametrize("host", ["host-5", "host-2"])
def test_the_vms_of_a_host_that_lost_only_its_storage_run_elsewhere_soon(host, phase):
    with watched() as cluster:
        cluster.advance(phase)
        names = cluster.running(host)
        cluster.cut(host, STORAGE)
        cut = cluster.world.now
        cluster.advance(RESCUED_SECONDS)
        assert {cluster.doc(type(vm), vm.id).host for vm in cluster.vms() if vm.id in names}.isdisjoint({host})
        started = {fact.vm: at for at, fact in cluster.told(Started) if fact.vm in names}
        assert sorted(started) == names
        assert max(started.values()) <= cut + RESCUED_SECONDS
        ((revoked, _),) = cluster.told(Revoked, host=host)
        assert max(at for at, _ in cluster.told(Paused, host=host)) + IDLE_SECONDS <= revoked
        assert revoked < cluster.storage.leases[host].renewed_at + SEED.revoked_from(), "it was no silence"
        assert "says that nothing runs there any more" in " ".join(cluster.host(host).story)
        cluster.heal(host)
        cluster.advance(BACK_SECONDS + 30.0)
        assert cluster.told(Resumed, host=host) == []
        cluster.everything_runs_once()


def test_whenever_its_storage_comes_back_every_vm_runs_once():
    for tenths in range(540, 760, 15):
        with watched() as cluster:
            cluster.cut("host-5", STORAGE)
            cluster.advance(tenths / 10)
            cluster.heal("host-5")
            cluster.advance(60.0)
            cluster.everything_runs_once()


@pytest.mark.parametrize("killed", [58.0, 61.5, 63.0, 65.0])
def test_a_node_that_starts_again_obeys_the_word_of_the_one_before(killed):
    for healed in (62.0, 64.0, 66.0, 68.0, 71.0):
        with watched() as cluster:
            cluster.cut("host-5", STORAGE)
            cluster.advance(min(killed, healed))
            cluster.machines["host-5"].kill("node")
            cluster.advance(max(0.0, healed - killed))
            cluster.heal("host-5")
            cluster.advance(60.0)
            cluster.everything_runs_once()


def test_a_word_that_comes_late_is_about_a_turn_that_is_over():
    """Cut off from everything the host cannot say it. When it can, it has taken its lease up anew."""
    with watched() as cluster:
        cluster.cut("host-5")
        cluster.advance(66.0)
        assert report(cluster, "host-5").given_up == 0
        cluster.network.heal(("host-5",), (STORAGE,))
        cluster.advance(BACK_SECONDS)
        assert len(cluster.told(Resumed, host="host-5")) == 2
        turn = cluster.storage.leases["host-5"].turn
        cluster.heal("host-5")
        cluster.advance(120.0)
        assert report(cluster, "host-5").given_up == turn - 1
        assert cluster.told(Revoked, Gone, Joined) == []
        cluster.everything_runs_once()


def test_when_all_lose_the_storage_nobody_is_taken_by_the_word_once_it_is_back():
    with watched() as cluster:
        for host in cluster.machines:
            cluster.cut(host, STORAGE)
        cluster.advance(120.0)
        assert all(report(cluster, host).given_up for host in cluster.machines)
        cluster.heal(*cluster.machines)
        cluster.advance(60.0)
        assert cluster.told(Revoked, Gone, Joined) == []
        cluster.everything_runs_once()


def test_who_cannot_pause_one_of_its_vms_says_nothing(monkeypatch):
    pause = Machine.pause
    with watched() as cluster:
        stuck, other = cluster.running("host-5")

        def sticks(machine: Machine, guest: Any) -> None:
            if guest.vm != stuck:
                pause(machine, guest)

        monkeypatch.setattr(Machine, "pause", sticks)
        cluster.cut("host-5", STORAGE)
        cluster.advance(SEED.give_up + 10.0)
        assert cluster.running("host-5") == [stuck]
        assert report(cluster, "host-5").given_up == 0
        assert cluster.told(Revoked) == []
        monkeypatch.setattr(Machine, "pause", pause)
        cluster.advance(3.0)
        assert report(cluster, "host-5").given_up
        assert cluster.machines["host-5"].guests[other].state is DomainState.PAUSED


def test_to_act_on_a_turn_that_was_given_up_is_caught(monkeypatch):
    """The host says that nothing will run there, and then takes its word back without asking for another turn."""
    give_up = LeaseKeeper._give_up

    def forgetful(keeper: LeaseKeeper) -> None:
        give_up(keeper)
        keeper._given_up = 0

    monkeypatch.setattr(LeaseKeeper, "_give_up", forgetful)
    with pytest.raises(Violation, match=r"S4: .* on its word, and web-\d+ runs there"), watched() as cluster:
        cluster.cut("host-5", STORAGE)
        cluster.until(lambda: report(cluster, "host-5").given_up > 0)
        cluster.heal("host-5")
        cluster.advance(30.0)


def test_a_node_that_does_not_ask_for_another_turn_when_it_starts_is_caught(monkeypatch):
    begin = LeaseKeeper.__init__

    def trusting(keeper: LeaseKeeper, *given: Any) -> None:
        begin(keeper, *given)
        keeper._given_up = 0

    monkeypatch.setattr(LeaseKeeper, "__init__", trusting)
    with pytest.raises(Violation, match="S4"), watched() as cluster:
        cluster.cut("host-5", STORAGE)
        cluster.until(lambda: report(cluster, "host-5").given_up > 0)
        cluster.machines["host-5"].kill("node")
        cluster.heal("host-5")
        cluster.advance(30.0)


def test_to_speak_while_something_runs_is_caught(monkeypatch):
    async def blind(keeper: LeaseKeeper) -> bool:
        return False

    monkeypatch.setattr(LeaseKeeper, "_pause", blind)
    with pytest.raises(Violation, match=r"S4: .* on its word, and web-\d+ runs there"), watched() as cluster:
        cluster.cut("host-5", STORAGE)
        cluster.advance(RESCUED_SECONDS)


def test_a_host_that_does_not_stop_in_time_is_caught(monkeypatch):
    from ave import guard

    async def blind(keeper: LeaseKeeper) -> bool:
        return True

    monkeypatch.setattr(LeaseKeeper, "_pause", blind)
    monkeypatch.setattr(guard, "GUARD_GRACE_SECONDS", 30.0)
    with pytest.raises(Violation, match=r"T1: .* it may for 77\.1 s"), watched() as cluster:
        cluster.cut("host-5", STORAGE)
        cluster.advance(SEED.verdict)


def test_a_host_is_not_lost_for_standing_still_while_it_is_told_that_its_lease_goes_on():
    with watched() as cluster:
        cluster.advance(300.0)
        assert report(cluster, "host-5").given_up == 0
        assert cluster.host("host-5").state is HostState.ONLINE
        cluster.cut("host-5", MANAGEMENT)
        cluster.advance(120.0)
        assert cluster.told(Revoked, Paused) == []


def test_a_host_that_hears_nothing_of_the_storage_is_rescued_by_its_word():
    """One-way loss: what it sends arrives, and no answer comes back."""
    with watched() as cluster:
        names = cluster.running("host-5")
        deaf = [Barrier(STORAGE, receivers=("host-5",))]
        cluster.witness(Disturbed("storage-in-loss", ("host-5",)))
        cluster.network.bar(deaf)
        cluster.advance(RESCUED_SECONDS)
        assert sorted(fact.vm for _, fact in cluster.told(Started)) == names
        cluster.network.lift(deaf)
        cluster.advance(60.0)
        cluster.everything_runs_once()
