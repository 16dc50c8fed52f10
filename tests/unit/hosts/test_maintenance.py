"""Maintenance on a whole simulated cluster, with every invariant on: who leaves, who returns, and what happens meanwhile."""

import msgspec
import pytest

from ave.hosts.enter import reopen
from ave.hosts.moves import AT_ONCE
from ave.model.cluster import Lock, lock_name
from ave.model.group import Group, GroupState, Rule
from ave.model.host import Host, HostState, Wish
from ave.model.states import move
from ave.model.vm import VM, VMState
from ave.model.work import ENDED, Work, WorkState
from ave.operations import CreateVMs, EnterMaintenance, ExitMaintenance, MigrateVMs, NameVMs, NewVM, StartVMs
from ave.ports.store import Conflict, Replace
from ave.scheduler.steps import CLOSED
from drivers.sim.facts import Gone
from drivers.sim.runtime import SimRuntime
from tests.unit.hosts.lab import Lab, facts, whys

ENTER, EXIT = "host.enter-maintenance", "host.exit-maintenance"
NINE = {"web": (9, 2, True)}
SMALL = 0.02  # about one commit


def everything_runs_once(lab):
    domains = sorted((g.vm, m.name, g.epoch) for m in lab.machines.values() for g in m.guests.values())
    wanted = [vm for vm in lab.all(VM) if vm.state is VMState.RUNNING]
    assert domains == sorted((vm.id, vm.host, vm.epoch) for vm in wanted)


def is_open_or_empty(lab, job, host="host-2"):
    """However it ended: a host takes VMs and nobody wants it empty, or it is wanted empty and is."""
    assert job.state in ENDED
    found = lab.host(host)
    if job.state is WorkState.DONE:
        assert (found.state, found.wish, lab.on(host)) == (HostState.MAINTENANCE, Wish.MAINTENANCE, [])
    else:
        assert (found.state, found.wish, found.away) == (HostState.ONLINE, Wish.SERVE, ())
    everything_runs_once(lab)


# Entering


def test_every_running_vm_leaves_alive_and_the_stopped_stay():
    with Lab(fleets={"web": (6, 2, True), "ci": (3, 2, False)}) as lab:
        (stopped,) = [vm.id for vm in lab.all(VM) if vm.host == "host-2" and vm.id.startswith("ci")]
        lab.do("vm.poweroff", NameVMs(vms=(stopped,)))
        before = {vm.id: (vm.host, vm.epoch) for vm in lab.all(VM)}
        lost = []
        lab.listeners.append(
            lambda fact: lost.append(fact) if isinstance(fact, Gone) and fact.host != "host-2" else None
        )
        job = lab.do(ENTER, EnterMaintenance(host="host-2"))
        is_open_or_empty(lab, job)
        assert job.state is WorkState.DONE
        moved = [id for id, (host, _) in before.items() if host == "host-2" and id != stopped]
        assert set(lab.host("host-2").away) == set(moved)
        for id, (host, epoch) in before.items():
            vm = lab.vm(id)
            assert (vm.host != host, vm.epoch - epoch) == ((True, 1) if id in moved else (False, 0))
        assert lost == [], "nothing else was touched"
        lab.settle()


def test_no_more_than_a_few_move_at_once_and_none_twice():
    with Lab(fleets={"web": (18, 1, True)}) as lab:
        most = 0
        job = lab.submit(ENTER, EnterMaintenance(host="host-2"))
        while lab.work(job).state not in ENDED:
            lab.world.step()
            most = max(most, sum(work.state not in ENDED for work in lab.jobs("vm.migrate")))
        assert lab.work(job).state is WorkState.DONE
        assert most == AT_ONCE
        assert sorted(work.arguments["vms"][0] for work in lab.jobs("vm.migrate")) == sorted(lab.host("host-2").away)
        lab.settle()


def test_a_check_says_where_each_would_go_and_changes_nothing():
    with Lab(fleets=NINE) as lab:
        before = (lab.all(Host), lab.all(VM))
        job = lab.do(ENTER, EnterMaintenance(host="host-2", check_only=True))
        assert job.state is WorkState.DONE
        assert sorted(facts(job)) == ["web-2", "web-5", "web-8"]
        assert {fact.host for fact in facts(job).values()} == {"host-1", "host-3"}
        assert (lab.all(Host), lab.all(VM)) == before
        done = lab.do(ENTER, EnterMaintenance(host="host-2"))
        asked = {work.arguments["vms"][0]: work.arguments["host"] for work in lab.jobs("vm.migrate")}
        went = {id: lab.vm(id).host for id in facts(job)}
        assert asked == went
        assert went == {id: fact.host for id, fact in facts(done).items()}, "they go where it was foreseen"
        lab.settle()


@pytest.mark.parametrize("check_only", [False, True])
def test_what_is_in_the_way_is_named_and_nothing_moves(check_only):
    with Lab(gib=8, fleets={"web": (9, 2, True)}) as lab:
        before = lab.all(VM)
        job = lab.do(ENTER, EnterMaintenance(host="host-2", check_only=check_only))
        why = whys(job)["host-2"]
        assert why.startswith("host-2 cannot be emptied: none of 3 hosts fits web-")
        assert "HostAvailableMemoryFilter" in why
        assert lab.jobs("vm.migrate") == []
        assert lab.all(VM) == before
        is_open_or_empty(lab, job)
        lab.settle()


def test_a_vm_that_a_job_is_at_work_on_is_in_the_way_and_the_job_is_named():
    with Lab(fleets={"web": (9, 2, True)}) as lab:
        other = lab.submit("vm.migrate", MigrateVMs(vms=("web-2",)))
        lab.until(lambda: lab.doc(VM, "web-2").reserved)
        job = lab.do(ENTER, EnterMaintenance(host="host-2"))
        assert whys(job) == {"host-2": f"host-2 cannot be emptied: Job {other} is at work on web-2: wait for its end"}
        lab.finish(other)
        is_open_or_empty(lab, job)


def test_so_is_one_that_is_on_its_way_to_the_host():
    with Lab(fleets={"web": (9, 2, True)}) as lab:
        other = lab.submit("vm.migrate", MigrateVMs(vms=("web-1",), host="host-2"))
        lab.until(lambda: lab.doc(VM, "web-1").reserved == "host-2")
        job = lab.do(ENTER, EnterMaintenance(host="host-2"))
        assert f"Job {other} is at work on web-1" in whys(job)["host-2"]
        assert lab.finish(other).state is WorkState.DONE
        lab.settle()


def test_there_is_one_host_in_maintenance_at_a_time_also_if_two_are_asked_for_at_once():
    with Lab(hosts=5, fleets={"web": (10, 2, True)}) as lab:
        jobs = [lab.submit(ENTER, EnterMaintenance(host=host), door="host-1") for host in ("host-4", "host-5")]
        ended = [lab.finish(job) for job in jobs]
        assert sorted(job.state for job in ended) == [WorkState.DONE, WorkState.FAILED]
        (why,) = [why for job in ended for why in whys(job).values()]
        assert "must wait, only one host at a time" in why
        late = lab.do(ENTER, EnterMaintenance(host="host-2"))
        assert whys(late)["host-2"].endswith("is maintenance: host-2 must wait, only one host at a time")
        assert [host.state for host in lab.all(Host)].count(HostState.MAINTENANCE) == 1
        lab.settle()


def test_nothing_is_placed_on_a_host_from_the_moment_it_is_closed():
    """Users ask for VMs, for starts and for migrations to that very host, again and again, while it is being emptied."""
    with Lab(fleets={"web": (9, 2, True), "ci": (2, 2, False)}) as lab:
        lab.do("vm.poweroff", NameVMs(vms=("ci-1", "ci-2")))
        job = lab.submit(ENTER, EnterMaintenance(host="host-2"))
        asked = []
        for number in range(12):
            asked.append(lab.submit("vm.create", CreateVMs(vms=(NewVM(id=f"new-{number}", vcpus=1, memory_mib=512),))))
            if number % 3 == 0:
                asked.append(lab.submit("vm.migrate", MigrateVMs(vms=(f"web-{number % 9 + 1}",), host="host-2")))
                asked.append(lab.submit("vm.start", StartVMs(vms=(f"ci-{number % 2 + 1}",), host="host-2")))
            lab.advance(0.05)
        ended = lab.finish(job)
        for each in asked:
            lab.finish(each)
        is_open_or_empty(lab, ended)
        assert ended.state is WorkState.DONE or "is at work on" in whys(ended)["host-2"]
        lab.settle()


@pytest.mark.parametrize("fault", ["power", "worker", "store", "storage", "scheduler"])
@pytest.mark.parametrize("after", [0.0, 0.05, 1.0, 3.0, 7.0])
def test_whatever_dies_in_the_middle_the_host_is_empty_or_open_and_every_vm_runs_once(fault, after):
    """``power``: a target of the migrations is lost. ``scheduler``: the host that places loses power."""
    with Lab(hosts=5, fleets={"web": (15, 2, True)}) as lab:
        before = lab.on("host-4")
        job = lab.submit(ENTER, EnterMaintenance(host="host-4"), door="host-3")
        lab.advance(after)
        if fault == "power":
            lab.machines["host-5"].power_off()
        elif fault == "worker":
            for host in ("host-1", "host-3", "host-4"):
                lab.machines[host].kill("node")
        elif fault == "store":
            lab.store.step_down()
        elif fault == "storage":
            lab.storage.step_down()
        else:
            lab.machines["host-1"].power_off()
        ended = lab.finish(job)
        lab.settle(300.0)
        is_open_or_empty(lab, ended, "host-4")
        assert sum(vm.state is VMState.RUNNING for vm in lab.all(VM)) == 15
        if ended.state is WorkState.DONE:
            assert sorted(lab.host("host-4").away) == before, "whoever repeats it knows who was moved before"


@pytest.mark.parametrize("seed", range(4))
def test_lost_answers_double_nothing(seed):
    with Lab(fleets=NINE, seed=seed) as lab:
        lab.store.lost_answers = 0.3
        job = lab.do(ENTER, EnterMaintenance(host="host-2"))
        lab.store.lost_answers = 0.0
        assert job.state is WorkState.DONE
        is_open_or_empty(lab, job)
        per_vm = [work.arguments["vms"][0] for work in lab.jobs("vm.migrate") if work.state is WorkState.DONE]
        assert sorted(per_vm) == ["web-2", "web-5", "web-8"]
        lab.settle()


@pytest.mark.parametrize("after", [0.5, 2.0, 5.0])
def test_a_host_that_dies_while_it_is_emptied_fails_the_job_and_takes_vms_when_it_returns(after):
    with Lab(fleets={"web": (12, 4, True)}) as lab:
        job = lab.submit(ENTER, EnterMaintenance(host="host-2"))
        lab.advance(after)
        lab.machines["host-2"].power_off()
        ended = lab.finish(job)
        assert "host-2" in whys(ended)["host-2"] or "web-" in whys(ended)["host-2"]
        lab.advance(200.0)
        assert sum(vm.state is VMState.RUNNING for vm in lab.all(VM)) == 12, "its VMs were rescued"
        assert lab.on("host-2") == []
        lab.machines["host-2"].restart(0.0)
        lab.settle(200.0)
        assert (lab.host("host-2").state, lab.host("host-2").wish) == (HostState.ONLINE, Wish.SERVE)
        everything_runs_once(lab)


def test_a_vm_that_cannot_leave_is_named_and_the_others_stay_where_they_went():
    """The CPUs of the others turn out to be unlike its own after the first has left."""
    with Lab(fleets=NINE) as lab:
        job = lab.submit(ENTER, EnterMaintenance(host="host-2"))
        lab.until(lambda: any(work.state is WorkState.DONE for work in lab.jobs("vm.migrate")))
        moved = [vm.id for vm in lab.all(VM) if vm.id in ("web-2", "web-5", "web-8") and vm.host != "host-2"]
        for host in ("host-1", "host-3"):
            facts = lab.machines[host].facts
            lab.machines[host].facts = msgspec.structs.replace(facts, cpu_model="other")
            lab.commit(Replace(msgspec.structs.replace(lab.host(host), cpu_model="other")))
        for vm in lab.all(VM):
            if vm.host == "host-2":
                lab.commit(Replace(msgspec.structs.replace(lab.vm(vm.id), cpu_model="this")))
        lab.commit(Replace(msgspec.structs.replace(lab.host("host-2"), cpu_model="this")))
        ended = lab.finish(job)
        stayed, why = lab.on("host-2"), whys(ended)["host-2"]
        assert stayed
        assert moved
        assert any(why.startswith(f"{vm} cannot leave host-2: none of 3 hosts fits {vm}") for vm in stayed)
        assert "CpuModelFilter" in why
        is_open_or_empty(lab, ended)
        assert all(lab.vm(vm).host != "host-2" for vm in moved)
        lab.settle()


def test_a_vm_that_its_user_stops_meanwhile_is_in_nobodys_way_and_was_not_moved():
    with Lab(fleets=NINE) as lab:
        job = lab.submit(ENTER, EnterMaintenance(host="host-2"))
        lab.until(lambda: lab.host("host-2").state is HostState.ENTERING_MAINTENANCE)
        for host in ("host-1", "host-3"):
            lab.commit(Replace(msgspec.structs.replace(lab.host(host), cpu_model="other")))
        mine = lab.on("host-2")
        for vm in mine:
            lab.commit(Replace(msgspec.structs.replace(lab.vm(vm), cpu_model="this")))
        lab.until(lambda: any(work.state is WorkState.FAILED for work in lab.jobs("vm.migrate")))
        assert lab.do("vm.poweroff", NameVMs(vms=tuple(mine))).state is WorkState.DONE
        assert lab.finish(job).state is WorkState.DONE
        assert (lab.on("host-2"), lab.host("host-2").away) == ([], ())
        lab.settle()


@pytest.mark.parametrize("after", [0.3, 1.0, 3.0])
def test_what_a_reboot_of_the_host_killed_is_rescued_and_not_moved(after):
    with Lab(fleets={"web": (12, 2, True)}) as lab:
        job = lab.submit(ENTER, EnterMaintenance(host="host-2"))
        lab.advance(after)
        lab.machines["host-2"].power_off()
        lab.machines["host-2"].power_on()
        ended = lab.finish(job)
        lab.settle(200.0)
        is_open_or_empty(lab, ended)
        assert sum(vm.state is VMState.RUNNING for vm in lab.all(VM)) == 12
        assert sum(work.state is WorkState.FAILED for work in lab.jobs("vm.migrate")) <= AT_ONCE, "those under way"


@pytest.mark.parametrize("seed", range(4))
def test_no_placement_is_decided_between_the_look_and_the_closing(seed):
    """Otherwise a start would be on its way to a host that is closed, and refused there."""
    with Lab(fleets=NINE, seed=seed) as lab:
        job = lab.submit(ENTER, EnterMaintenance(host="host-2"), lane="host-1")
        made = []
        for number in range(40):
            lab.advance(0.0007)
            new = CreateVMs(vms=(NewVM(id=f"new-{number}", vcpus=1, memory_mib=256),))
            made.append(lab.submit("vm.create", new, lane=f"host-{number % 3 + 1}"))
        assert {lab.finish(each).state for each in made} == {WorkState.DONE}
        ended = lab.finish(job)
        is_open_or_empty(lab, ended)
        assert ended.state is WorkState.DONE or "is at work on new-" in whys(ended)["host-2"]


# Taking back


def task_of(lab, state, holder="job"):
    """A task of a Job that may hold the host's lock, on a host in that state."""
    host = Host(id="host-9", cpus=8, memory_mib=1024, state=state, wish=Wish.MAINTENANCE, away=("gone",))
    lab.put(host, Lock(id=lock_name(Host, "host-9"), job=holder))
    return Work(id="job/undo", job="job", function="host.reopen", lane="host-1", resource="host-9")


@pytest.mark.parametrize("state", HostState)
def test_whatever_became_of_the_host_nobody_wants_it_empty_after_all(state):
    with Lab() as lab:
        ports = lab.ports("host-1", SimRuntime(lab.world, "undo"))
        task = task_of(lab, state)
        for _ in range(2):
            lab.ask(reopen(ports, task))
            now = lab.host("host-9")
            assert (now.wish, now.away) == (Wish.SERVE, ())
            assert now.state is (HostState.ONLINE if state in CLOSED else state)


def test_only_the_job_that_holds_the_host_takes_it_back():
    with Lab() as lab:
        ports = lab.ports("host-1", SimRuntime(lab.world, "undo"))
        task = task_of(lab, HostState.MAINTENANCE, holder="another")
        with pytest.raises(Conflict):
            lab.ask(reopen(ports, task))
        assert lab.host("host-9").state is HostState.MAINTENANCE


@pytest.mark.parametrize("after", [0.0, SMALL, 2 * SMALL, 3 * SMALL, 0.1, 0.3, 1.0, 2.0, 4.0, 6.0])
def test_a_cancelled_job_leaves_a_host_that_takes_vms(after):
    """Also if it is cancelled between the moment at which the host is closed and the first move."""
    with Lab(fleets={"web": (12, 2, True)}) as lab:
        job = lab.submit(ENTER, EnterMaintenance(host="host-2"))
        lab.advance(after)
        lab.cancel(job)
        ended = lab.finish(job)
        lab.settle()
        is_open_or_empty(lab, ended)
        assert ended.state is not WorkState.FAILED
        assert sum(vm.state is VMState.RUNNING for vm in lab.all(VM)) == 12


@pytest.mark.parametrize("steps", range(0, 120, 4))
def test_it_is_so_at_every_moment_around_the_closing(steps):
    with Lab(fleets=NINE) as lab:
        job = lab.submit(ENTER, EnterMaintenance(host="host-2"))
        for _ in range(steps):
            lab.world.step()
        lab.cancel(job)
        ended = lab.finish(job)
        lab.advance(30.0)
        is_open_or_empty(lab, ended)


def test_a_host_that_nobody_empties_any_more_takes_vms_again():
    with Lab(fleets=NINE) as lab:
        job = lab.do(ENTER, EnterMaintenance(host="host-2", check_only=True))  # its lock exists from here on
        assert lab.doc(Lock, lock_name(Host, "host-2")).job == ""
        closed = move(
            lab.host("host-2"), HostState.ENTERING_MAINTENANCE, "by a Job that is gone", wish=Wish.MAINTENANCE
        )
        lab.commit(Replace(closed))
        lab.advance(10.0)
        assert (lab.host("host-2").state, lab.host("host-2").wish) == (HostState.ONLINE, Wish.SERVE)
        assert job.state is WorkState.DONE


# In maintenance


def test_the_wish_outlives_the_host_being_judged_dead():
    with Lab(fleets=NINE) as lab:
        lab.do(ENTER, EnterMaintenance(host="host-2"))
        lab.machines["host-2"].power_off()
        lab.until(lambda: lab.host("host-2").state is HostState.RECOVERED)
        other = lab.do(ENTER, EnterMaintenance(host="host-3"))
        assert whys(other)["host-3"] == (
            "host-2 is recovered and returns into maintenance: host-3 must wait, only one host at a time"
        )
        lab.machines["host-2"].restart(0.0)
        lab.until(lambda: lab.host("host-2").epoch == 2)
        lab.advance(60.0)
        assert (lab.host("host-2").state, lab.on("host-2")) == (HostState.MAINTENANCE, [])
        lab.settle()


def test_a_reboot_that_is_over_before_the_verdict_does_not_end_maintenance():
    with Lab(fleets=NINE, seed=3) as lab:
        lab.do(ENTER, EnterMaintenance(host="host-2"))
        lab.machines["host-2"].power_off()
        lab.machines["host-2"].power_on()
        lab.until(lambda: lab.host("host-2").epoch == 2)
        assert lab.host("host-2").state is HostState.MAINTENANCE
        lab.settle()


def test_a_rescue_never_goes_to_a_host_in_maintenance():
    with Lab(hosts=4, gib=16, fleets={"web": (12, 2, True)}) as lab:
        lab.do(ENTER, EnterMaintenance(host="host-4"))
        assert lab.on("host-4") == []
        lab.machines["host-3"].power_off()
        lab.settle(300.0)
        assert lab.on("host-4") == []
        assert sum(vm.state is VMState.RUNNING for vm in lab.all(VM)) == 12


# Placement groups


def rule(name, rule, vms, **places):
    return Group(id=name, state=GroupState.ENABLED, rule=rule, vms=vms, **places)


def test_vms_that_must_share_a_host_leave_it_and_return_together():
    with Lab(fleets={"web": (2, 2, True)}) as lab:
        first, second = (vm.id for vm in lab.all(VM))
        if lab.vm(first).host != lab.vm(second).host:
            lab.do("vm.migrate", MigrateVMs(vms=(second,), host=lab.vm(first).host))
        here = lab.vm(first).host
        lab.put(rule("pair", Rule.MUST_SAME_HOST, (first, second)))
        alone = lab.do("vm.migrate", MigrateVMs(vms=(first,)))
        other = next(host.id for host in lab.all(Host) if host.id != here)
        assert whys(alone) == {
            first: f"none of 3 hosts fits {first}: 1 by TargetHostFilter; 2 by PlacementGroupMustFilter."
            f" Cheapest change: move {second} to {other}, or take {first} out of group pair"
        }
        job = lab.do(ENTER, EnterMaintenance(host=here))
        assert job.state is WorkState.DONE
        assert lab.vm(first).host == lab.vm(second).host != here
        assert set(lab.host(here).away) == {first, second}
        assert lab.do(EXIT, ExitMaintenance(host=here, bring_back=True)).state is WorkState.DONE
        assert (lab.vm(first).host, lab.vm(second).host) == (here, here)
        everything_runs_once(lab)


def test_a_host_is_not_emptied_against_a_must_rule():
    with Lab(fleets={"web": (3, 2, True)}) as lab:
        names = tuple(vm.id for vm in lab.all(VM))
        lab.put(rule("apart", Rule.MUST_DIFFERENT_HOSTS, names))
        job = lab.do(ENTER, EnterMaintenance(host="host-2"))
        (stuck,) = [vm.id for vm in lab.all(VM) if vm.host == "host-2"]
        assert job.state is WorkState.FAILED
        assert whys(job)["host-2"] == (
            f"host-2 cannot be emptied: none of 3 hosts fits {stuck}: 2 by PlacementGroupMustFilter; 1 by MaintenanceFilter"
        )
        assert lab.host("host-2").state is HostState.ONLINE
