"""Rescues on whole simulated clusters: their pace and order, what is tried again and when, a second loss on the way."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from ave.ha.rescue import PACE
from ave.ha.timing import PROFILES, RENEW_SECONDS
from ave.jobs.recovery import INHERITED_SECONDS
from ave.model.host import HostState
from ave.model.vm import PRIORITIES, VM, VMState
from ave.model.work import Work, WorkState
from ave.operations import MigrateVMs, NameVMs, StartVMs
from drivers.sim.facts import Disturbed, Started
from drivers.sim.network import Plane
from sim.cluster import GIB
from sim.scenario.model import Fleet, Forever
from tests.unit.hosts.lab import ALL, GIB_IN_MIB, Lab

SEED = PROFILES["seed"]
IN_TIME = SEED.verdict + 15.0
UNDER_WAY = (WorkState.READY, WorkState.RUNNING)


def fleet(name: str, count: int, gib: int = 1, priority: Any = "medium") -> Fleet:
    return Fleet(name, count, 1, gib * GIB_IN_MIB, GIB, True, priority, Forever())


class Cloud(Lab):
    def __init__(self, fleets: Sequence[Fleet], *, hosts: int = 4, gib: int = 32, seed: int = 1) -> None:
        super().__init__(hosts=hosts, gib=gib, more=fleets, seed=seed)
        self.facts: list[Any] = []
        self.listeners.append(self.facts.append)

    def __enter__(self) -> "Cloud":
        return self

    def incarnations(self, vm: str) -> int:
        return sum(isinstance(fact, Started) and fact.vm == vm for fact in self.facts)


class Starts:
    """Watches which starts of a rescue are under way."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.open: dict[str, str] = {}  # task -> host
        self.peak = 0
        self.peak_of_a_host = 0
        self.order: list[str] = []
        cloud.store.ledger.listeners.append(self.look)

    def look(self, commit: Any) -> None:
        for kind, id, doc in commit.changes:
            if kind == "work" and isinstance(doc, Work) and doc.function == "vm.start" and doc.operation == "ha.rescue":
                if id not in self.open and doc.state is WorkState.READY:
                    self.order.append(doc.resource)
                if doc.state in UNDER_WAY:
                    self.open[id] = doc.lane
                else:
                    self.open.pop(id, None)
        self.peak = max(self.peak, len(self.open))
        self.peak_of_a_host = max([self.peak_of_a_host, *Counter(self.open.values()).values()])


def test_a_mass_rescue_keeps_its_pace_and_its_order_and_is_in_time():
    fleets = [fleet("a-low", 50, priority="low"), fleet("b-mid", 50), fleet("c-high", 50, priority="high")]
    with Cloud(fleets, hosts=10) as cloud:
        starts = Starts(cloud)
        victims = [host for host in cloud.machines if int(host.partition("-")[2]) >= 7]
        left = [vm for host in victims for vm in cloud.on(host)]
        for host in victims:
            cloud.machines[host].power_off()
        cloud.advance(IN_TIME + max(0, len(left) - 50))
        assert len(left) > PACE.total
        assert sorted(starts.order) == sorted(left)
        assert starts.peak == PACE.total
        assert starts.peak_of_a_host <= PACE.each
        assert sum(len(cloud.on(host)) for host in cloud.machines if host not in victims) == 150
        cloud.settle()


def test_of_all_hosts_of_a_mass_failure_the_most_urgent_vms_begin_first():
    fleets = [fleet("a-low", 30, priority="low"), fleet("b-mid", 30), fleet("c-high", 30, priority="high")]
    with Cloud(fleets, hosts=8) as cloud:
        starts = Starts(cloud)
        for host in ("host-5", "host-6", "host-7", "host-8"):
            cloud.machines[host].power_off()
        cloud.advance(IN_TIME)
        (job,) = cloud.jobs("ha.rescue")
        assert sorted(job.arguments["hosts"]) == ["host-5", "host-6", "host-7", "host-8"]
        ranks = [PRIORITIES.index(cloud.vm(name).priority) for name in starts.order]
        assert ranks == sorted(ranks)
        assert ranks.count(0) > 8
        cloud.settle()


# Tried again


def test_a_vm_that_found_no_place_starts_as_soon_as_room_returns_and_not_only_at_its_next_turn():
    """Three hosts, full but for one place. After ten minutes every pause is 100 s; then another VM is turned off."""
    with Cloud([fleet("web", 5, gib=12)], hosts=3) as cloud:
        victim = next(host for host in ("host-3", "host-2") if len(cloud.on(host)) == 2)
        lost = cloud.on(victim)
        cloud.machines[victim].power_off()
        cloud.advance(660.0)
        (waiting,) = (vm for vm in lost if cloud.vm(vm).state is VMState.UNKNOWN)
        attempts = len(cloud.jobs("ha.rescue"))
        cloud.advance(200.0)
        assert len(cloud.jobs("ha.rescue")) - attempts <= 2, "it is tried patiently by now"

        cloud.until(lambda: len(cloud.jobs("ha.rescue")) > attempts + 1)
        cloud.advance(20.0)
        stopped = next(vm.id for vm in cloud.all(VM) if vm.id not in lost)
        began = cloud.world.now
        assert cloud.do("vm.poweroff", NameVMs(vms=(stopped,))).state == "done"
        cloud.until(lambda: cloud.vm(waiting).state is VMState.RUNNING, limit=15.0)
        assert cloud.world.now - began < 15.0
        cloud.settle()


def test_a_host_that_returns_is_room_for_what_waits_for_it():
    with Cloud([fleet("web", 6, gib=15)], hosts=3) as cloud:
        lost = cloud.on("host-3")
        cloud.machines["host-3"].power_off()
        cloud.advance(900.0)
        assert [cloud.vm(vm).state for vm in lost] == [VMState.UNKNOWN] * 2
        cloud.machines["host-3"].restart(0.0)
        cloud.until(lambda: cloud.host("host-3").state is HostState.ONLINE)
        cloud.until(lambda: cloud.on("host-3") == lost, limit=15.0)
        cloud.settle()


# Something else happens meanwhile


@pytest.mark.parametrize("after", [0.3, 0.8, 1.5, 3.0, 10.0])
def test_a_target_that_dies_during_the_rescue_costs_a_further_epoch_and_the_vm_runs_elsewhere(after):
    with Cloud([fleet("web", 4)], hosts=5) as cloud:
        vm = cloud.on("host-5")[0] if cloud.on("host-5") else cloud.on("host-4")[0]
        first = cloud.vm(vm).host
        cloud.machines[first].power_off()
        cloud.until(lambda: cloud.vm(vm).host != first or cloud.vm(vm).reserved not in ("", first), limit=IN_TIME)
        cloud.advance(after)
        second = cloud.vm(vm).reserved or cloud.vm(vm).host
        assert second != first
        cloud.machines[second].power_off()
        cloud.advance(IN_TIME + 10.0)  # the storage's or the store's leader may have been lost with it
        third = cloud.vm(vm)
        assert third.state is VMState.RUNNING
        assert third.host not in (first, second)
        assert vm in cloud.on(third.host)
        assert third.epoch >= 2
        assert third.epoch == 3 or after < 1.5
        cloud.settle()


RACES = [5.0, 30.0, 80.0, 89.0, 90.5, 91.0, 91.5, 92.0, 93.0, 95.0, 100.0, 130.0]


@pytest.mark.parametrize("at", RACES)
@pytest.mark.parametrize("verb", ["vm.poweroff", "vm.delete"])
def test_a_user_who_wants_a_vm_off_or_gone_while_it_is_rescued_gets_that(verb, at):
    """Asked before the host is fenced the Job waits for that, for nobody knows whether the VM still runs; it is not rescued."""
    with Cloud([fleet("web", 4)], hosts=4) as cloud:
        vm = cloud.on("host-4")[0]
        cloud.network.cut(("host-4",), ALL)
        cloud.advance(at)
        assert cloud.do(verb, NameVMs(vms=(vm,)), limit=IN_TIME).state == "done"
        assert cloud.host("host-4").state in (HostState.FENCED, HostState.RECOVERED)
        cloud.advance(200.0)
        assert cloud.incarnations(vm) <= (at > SEED.verdict - RENEW_SECONDS)
        cloud.network.heal(("host-4",), ALL)
        cloud.settle()
        assert [host for host in cloud.machines if vm in cloud.on(host)] == []
        document = cloud.doc(VM, vm)
        assert (document is None) == (verb == "vm.delete")
        assert document is None or (document.state, document.on) == (VMState.STOPPED, False)
        assert (f"{vm}-disk-1" in cloud.storage.volumes) == (document is not None)


@pytest.mark.parametrize("at", RACES)
@pytest.mark.parametrize("verb", ["vm.migrate", "vm.start", "vm.reset"])
def test_a_user_who_wants_something_else_of_a_vm_while_it_is_rescued_does_not_keep_it_from_running(verb, at):
    with Cloud([fleet("web", 4)], hosts=4) as cloud:
        vm = cloud.on("host-4")[0]
        cloud.network.cut(("host-4",), ALL)
        cloud.advance(at)
        request = {"vm.migrate": MigrateVMs, "vm.start": StartVMs}.get(verb, NameVMs)(vms=(vm,))
        cloud.do(verb, request)
        cloud.until(lambda: vm in cloud.on(cloud.vm(vm).host) and cloud.vm(vm).host != "host-4", limit=IN_TIME + 30.0)
        cloud.network.heal(("host-4",), ALL)
        cloud.settle()
        assert [host for host in cloud.machines if vm in cloud.on(host)] == [cloud.vm(vm).host]


@pytest.mark.parametrize("verb", ["vm.poweroff", "vm.delete"])
def test_what_is_wanted_of_a_host_that_answers_again_is_done_there(verb):
    with Cloud([fleet("web", 4)], hosts=4) as cloud:
        vm = cloud.on("host-4")[0]
        cloud.network.cut(("host-4",), ALL)
        cloud.advance(5.0)
        job = cloud.submit(verb, NameVMs(vms=(vm,)))
        cloud.advance(45.0)
        assert cloud.work(job).state == "waiting"
        cloud.witness(Disturbed("partition", ("host-4",)))  # it needs a moment to come back
        cloud.network.heal(("host-4",), ALL)
        assert cloud.finish(job, limit=60.0).state == "done"
        assert cloud.host("host-4").epoch == 1, "it was never judged"
        cloud.settle()
        assert vm not in cloud.machines["host-4"].guests


def test_nobody_waits_for_ever_for_a_host_that_renews_its_lease_and_does_nothing_else():
    with Cloud([fleet("web", 4)], hosts=4) as cloud:
        vm = cloud.on("host-4")[0]
        cloud.network.cut(("host-4",), (Plane.MANAGEMENT,))
        cloud.advance(60.0)
        job = cloud.do("vm.delete", NameVMs(vms=(vm,)), limit=INHERITED_SECONDS + 30.0)
        assert "host-4 does not answer, and is unmanaged" in job.results[vm].why
        assert vm in cloud.on("host-4"), "it runs on, and its volume is its own"
        cloud.network.heal(("host-4",), (Plane.MANAGEMENT,))
        cloud.settle()


def test_a_vm_that_was_forced_off_on_a_host_that_did_not_answer_is_attached_once_when_that_returns():
    """INC-02: an operator forces a VM off on an unreachable host and starts it elsewhere; then the host comes back."""
    with Cloud([fleet("web", 4)], hosts=4) as cloud:
        vm = cloud.on("host-4")[0]
        cloud.network.cut(("host-4",), ALL)
        cloud.advance(40.0)  # its copy still runs there
        off = cloud.submit("vm.poweroff", NameVMs(vms=(vm,)))
        cloud.until(lambda: cloud.host("host-4").state is HostState.FENCED)
        assert cloud.work(off).state == "waiting", "it may still have run until now"
        assert cloud.finish(off).state == "done"
        assert cloud.do("vm.start", StartVMs(vms=(vm,))).state == "done"
        there = cloud.vm(vm)
        cloud.network.heal(("host-4",), ALL)
        cloud.settle()
        assert cloud.on(there.host).count(vm) == 1
        assert vm not in cloud.machines["host-4"].guests
        lun = cloud.storage.volumes[f"{vm}-disk-1"]
        assert (lun.owner, lun.epoch) == (there.host, there.epoch)
