"""Each verb on a cluster in which nothing else happens: what it does, what it refuses, and what it leaves as it was."""

from typing import Any

import msgspec
import pytest

from ave.jobs.worker import ALONE, ATTEMPTS_MAX
from ave.model.host import Host, HostState
from ave.model.vm import Priority, VMState
from ave.model.work import Work, WorkState
from ave.operations import CreateVMs, EditVM, EditVMs, MigrateVMs, NameVMs, NewVM, ShutdownVMs, StartVMs
from ave.ports.hypervisor import DomainState
from ave.ports.store import Change
from drivers.sim.facts import Gone, Paused, Resumed, Started, Wrote
from sim import faults
from tests.unit.vms.world import RESCUED_SECONDS, Cloud, why

WEB = NameVMs(vms=("web-1",))
ALL = NameVMs(vms=("web-1", "web-2", "web-3", "low-1"))


def edit(cloud: Cloud, vm: str = "web-1", **wish: Any) -> Work:
    return cloud.do("vm.edit", EditVMs(vms=(EditVM(id=vm, **wish),)))


def fault(cloud: Cloud, name: str, host: str, seconds: float, **given: Any) -> None:
    end = faults.begin(cloud, name, (host,), given, lasting=True)
    cloud.advance(seconds)
    end()


# Restart and reset


@pytest.mark.parametrize("operation", ["vm.restart", "vm.reset"])
def test_a_restarted_vm_is_a_new_incarnation_where_it_was(operation):
    with Cloud() as cloud:
        before = {name: cloud.vm(name) for name in ALL.vms}
        request = ShutdownVMs(vms=ALL.vms) if operation == "vm.restart" else ALL
        assert cloud.do(operation, request).state is WorkState.DONE
        for name, vm in before.items():
            assert (cloud.vm(name).host, cloud.vm(name).epoch) == (vm.host, vm.epoch + 1)
            assert cloud.incarnations(name) == 1
        cloud.settle(30.0)
        cloud.sound()


def test_a_guest_that_does_not_shut_down_in_time_runs_on_as_it_was():
    with Cloud() as cloud:
        before = cloud.vm("web-1")
        done = cloud.do("vm.restart", ShutdownVMs(vms=("web-1",), seconds=1.0))
        assert why(done) == "web-1 did not shut down within 1 s; force it off with poweroff"
        assert msgspec.structs.replace(cloud.vm("web-1"), version=before.version) == before
        cloud.settle(30.0)
        cloud.sound()


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("operation", ["vm.restart", "vm.reset"])
def test_a_worker_that_dies_over_and_over_stops_the_guest_once(operation, begun):
    with Cloud() as cloud:
        job = cloud.submit(operation, ShutdownVMs(vms=WEB.vms) if operation == "vm.restart" else WEB)
        cloud.until(lambda: cloud.vm("web-1").state is VMState.STARTING)
        if begun:
            cloud.until(lambda: cloud.incarnations("web-1") == 1)
            assert cloud.vm("web-1").state is VMState.STARTING
        for _ in range(3):
            faults.begin(cloud, "process-kill", (cloud.vm("web-1").host,), {"process": "node"}, lasting=False)
            cloud.advance(4.0)
        assert cloud.finish(job).state is WorkState.DONE
        assert cloud.incarnations("web-1") == 1
        cloud.settle(60.0)
        cloud.sound()


@pytest.mark.parametrize("operation", ["vm.poweroff", "vm.delete", "vm.shutdown"])
def test_what_is_given_up_half_way_is_recorded_as_it_is(operation):
    """Its worker dies as often as anybody tries, after the guest is off and before that is written down."""
    with Cloud() as cloud:
        job = cloud.submit(operation, ShutdownVMs(vms=WEB.vms) if operation == "vm.shutdown" else WEB)
        cloud.until(lambda: cloud.told_of("web-1", Gone))
        task = next(work for work in cloud.all(Work) if work.job == job and work.resource == "web-1")
        assert cloud.vm("web-1").state is VMState.RUNNING
        for attempt in (*range(1, ATTEMPTS_MAX), ALONE):
            cloud.until(lambda at=attempt: cloud.work(task.id).attempt >= at)  # type: ignore[misc]
            faults.begin(cloud, "process-kill", (cloud.vm("web-1").host,), {"process": "node"}, lasting=False)
        assert cloud.finish(job).state is WorkState.FAILED
        assert cloud.vm("web-1").state is VMState.STOPPED
        assert cloud.locked() == []


@pytest.mark.parametrize(("vm", "rescued"), [("web-1", True), ("low-1", False)])
def test_a_host_that_is_lost_in_a_restart_has_its_vm_rescued_if_that_is_protected(vm, rescued):
    with Cloud() as cloud:
        old = cloud.vm(vm).host
        job = cloud.submit("vm.restart", ShutdownVMs(vms=(vm,)))
        cloud.advance(1.0)
        faults.begin(cloud, "host-crash", (old,), {}, lasting=False)
        assert cloud.finish(job).state is WorkState.FAILED
        cloud.advance(RESCUED_SECONDS)
        now = cloud.vm(vm)
        assert now.on
        assert (now.state is VMState.RUNNING and now.host != old) == rescued


def test_a_host_that_accepts_no_new_vm_still_restarts_its_own():
    with Cloud() as cloud:
        cloud.commit(Change(Host, cloud.vm("web-1").host, {}, {"state": HostState.ENTERING_MAINTENANCE}))
        assert cloud.do("vm.reset", WEB).state is WorkState.DONE
        assert cloud.vm("web-1").state is VMState.RUNNING


# Suspend and resume


def test_a_suspended_vm_stands_still_keeps_its_memory_and_goes_on():
    with Cloud() as cloud:
        assert cloud.do("vm.suspend", ALL).state is WorkState.DONE
        for name in ALL.vms:
            assert cloud.guest(name).state is DomainState.SUSPENDED
            assert (cloud.vm(name).state, cloud.vm(name).on) == (VMState.SUSPENDED, False)
            assert cloud.vm(name).holds_memory
        cloud.settle(120.0)
        cloud.sound()
        assert cloud.do("vm.resume", ALL).state is WorkState.DONE
        for name in ALL.vms:
            assert (cloud.vm(name).state, cloud.vm(name).on) == (VMState.RUNNING, True)
            assert [type(fact) for fact in cloud.told_of(name)] == [Paused, Resumed]
        cloud.settle(30.0)
        cloud.sound()


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("seconds", [20.0, 75.0])
def test_a_suspended_vm_stays_so_when_its_hosts_lease_comes_back(seconds, killed):
    with Cloud() as cloud:
        cloud.do("vm.suspend", WEB)
        host = cloud.vm("web-1").host
        fault(cloud, "partition", host, seconds)
        if killed:
            faults.begin(cloud, "process-kill", (host,), {"process": "node"}, lasting=False)
        cloud.settle(120.0)
        assert not cloud.told_of("web-1", Resumed)
        assert cloud.vm("web-1").state is VMState.SUSPENDED
        cloud.sound()


def test_a_vm_that_is_suspended_while_its_host_has_no_lease_is_not_resumed_with_the_others():
    with Cloud() as cloud:
        host = cloud.vm("web-1").host
        others = [vm for vm in cloud.on(host) if vm != "web-1"]
        end = faults.begin(cloud, "storage-loss", (host,), {}, lasting=True)
        cloud.until(lambda: cloud.on(host) == [])
        assert cloud.do("vm.suspend", WEB).state is WorkState.DONE
        end()
        cloud.settle(60.0)
        assert cloud.on(host) == others
        cloud.sound()


def test_a_vm_that_is_resumed_while_its_host_has_no_lease_goes_on_when_it_is_back():
    with Cloud() as cloud:
        cloud.do("vm.suspend", WEB)
        host = cloud.vm("web-1").host
        before = cloud.on(host)
        end = faults.begin(cloud, "storage-loss", (host,), {}, lasting=True)
        cloud.until(lambda: cloud.on(host) == [])
        assert cloud.do("vm.resume", WEB).state is WorkState.DONE
        assert cloud.on(host) == []
        end()
        cloud.settle(60.0)
        assert cloud.on(host) == sorted([*before, "web-1"])
        cloud.sound()


def test_a_suspended_vm_can_be_forced_off_and_deleted():
    with Cloud() as cloud:
        cloud.do("vm.suspend", NameVMs(vms=("web-1", "web-2")))
        assert cloud.do("vm.poweroff", WEB).state is WorkState.DONE
        assert cloud.vm("web-1").state is VMState.STOPPED
        assert cloud.do("vm.delete", NameVMs(vms=("web-1", "web-2"))).state is WorkState.DONE
        cloud.settle(30.0)
        cloud.sound()


def test_a_suspended_vm_of_a_lost_host_is_not_started_elsewhere_and_is_off_when_its_host_is_back():
    with Cloud() as cloud:
        cloud.do("vm.suspend", WEB)
        fault(cloud, "host-crash", cloud.vm("web-1").host, 400.0)
        assert cloud.vm("web-1").state is VMState.UNKNOWN
        cloud.settle(300.0)
        assert cloud.incarnations("web-1") == 0
        assert cloud.vm("web-1").state is VMState.STOPPED
        cloud.sound()


def test_a_suspension_whose_record_was_lost_is_found_and_recorded():
    """It took effect, and its host was silent for so long that its Job was ended without it."""
    with Cloud() as cloud:
        host = cloud.vm("web-1").host
        job = cloud.submit("vm.suspend", WEB)
        cloud.until(lambda: cloud.guest("web-1").state is DomainState.SUSPENDED)
        fault(cloud, "management-loss", host, 60.0)
        assert cloud.finish(job).state is WorkState.FAILED
        cloud.settle(90.0)
        assert (cloud.vm("web-1").state, cloud.vm("web-1").on) == (VMState.SUSPENDED, False)
        cloud.sound()


# Edit


def test_what_only_the_document_knows_is_changed_at_once():
    with Cloud() as cloud:
        wish: dict[str, Any] = {"name": "the shop", "ha": False, "priority": Priority.LOW, "labels": {"a": "b"}}
        assert edit(cloud, **wish).state is WorkState.DONE
        assert {field: getattr(cloud.vm("web-1"), field) for field in wish} == wish
        assert cloud.told_of("web-1") == []


def test_a_stopped_vm_gets_other_vcpus_and_memory_and_starts_with_them():
    with Cloud() as cloud:
        assert "shut it down first" in why(edit(cloud, memory_mib=2048))
        cloud.do("vm.poweroff", WEB)
        assert edit(cloud, memory_mib=2048, vcpus=4).state is WorkState.DONE
        cloud.do("vm.start", StartVMs(vms=WEB.vms))
        assert cloud.guest("web-1").memory_mib == 2048
        cloud.sound()


def test_a_running_vm_writes_to_a_volume_from_when_it_is_attached_until_it_is_detached():
    with Cloud() as cloud:
        cloud.make_volumes("data")
        wrote: list[float] = []
        cloud.listeners.append(lambda fact: _note(cloud, fact, "data", wrote))
        assert edit(cloud, attach=("data",)).state is WorkState.DONE
        cloud.advance(20.0)
        assert wrote
        assert edit(cloud, detach=("data",)).state is WorkState.DONE
        wrote.clear()
        cloud.advance(20.0)
        assert wrote == []
        assert (cloud.volume("data").vm, cloud.storage.volumes["data"].owner) == ("", "")
        assert cloud.told_of("web-1") == []  # it never stopped
        cloud.sound()


def test_a_running_vm_may_have_again_what_it_gave_away():
    with Cloud() as cloud:
        cloud.make_volumes("data")
        for _ in range(2):
            assert edit(cloud, attach=("data",)).state is WorkState.DONE
            assert edit(cloud, detach=("data",)).state is WorkState.DONE
        assert cloud.vm("web-1").had == ("data",)
        assert "runs under 1: shut it down first" in why(edit(cloud, "web-2", attach=("data",)))
        assert "runs under 1: shut it down first" in why(edit(cloud, "web-2", attach=("data",)))  # nor after its undo
        cloud.do("vm.reset", WEB)
        assert cloud.vm("web-1").had == ()
        assert edit(cloud, attach=("data",)).state is WorkState.DONE
        cloud.settle(30.0)
        cloud.sound()


def test_a_volume_that_was_used_by_another_vm_is_attached_while_the_next_one_is_off_and_starts_with_it():
    """Its epochs are those of the VMs that had it: the next one's must be newer, or the storage would not give it."""
    with Cloud() as cloud:
        cloud.make_volumes("data")
        for _ in range(5):
            cloud.do("vm.reset", WEB)
        edit(cloud, attach=("data",))
        edit(cloud, detach=("data",))
        refused = edit(cloud, "web-2", attach=("data",))
        assert why(refused) == ("volume data was attached under epoch 6, and web-2 runs under 1: shut it down first")
        cloud.sound()
        cloud.do("vm.poweroff", NameVMs(vms=("web-2",)))
        assert edit(cloud, "web-2", attach=("data",)).state is WorkState.DONE
        assert cloud.do("vm.start", StartVMs(vms=("web-2",))).state is WorkState.DONE
        assert cloud.guest("web-2").volumes == ("web-2-disk-1", "data")
        cloud.settle(30.0)
        cloud.sound()


def test_what_a_vm_gives_away_that_got_epochs_since_it_used_it_is_free_for_one_that_is_older_than_these():
    with Cloud() as cloud:
        cloud.make_volumes("data")
        edit(cloud, attach=("data",))
        cloud.do("vm.poweroff", WEB)
        for _ in range(3):
            cloud.do("vm.migrate", MigrateVMs(vms=WEB.vms))  # only where it is to run next: an epoch each
        cloud.do("vm.reset", NameVMs(vms=("web-2",)))
        assert cloud.vm("web-1").epoch > cloud.vm("web-2").epoch > cloud.storage.volumes["data"].epoch
        assert edit(cloud, detach=("data",)).state is WorkState.DONE
        assert edit(cloud, "web-2", attach=("data",)).state is WorkState.DONE
        cloud.sound()


def test_an_edit_that_fails_half_way_is_undone_before_its_job_ends():
    with Cloud() as cloud:
        cloud.make_volumes("good", "worn")
        cloud.do("vm.reset", NameVMs(vms=("web-2",)))
        edit(cloud, "web-2", attach=("worn",))
        edit(cloud, "web-2", detach=("worn",))
        before = cloud.vm("web-1")
        refused = edit(cloud, attach=("good", "worn"), detach=("web-1-disk-1",), name="x")
        assert why(refused) == "volume worn was attached under epoch 2, and web-1 runs under 1: shut it down first"
        assert cloud.told_effects("good") == ["create", "attach", "detach"]
        after = cloud.vm("web-1")
        assert (after.volumes, after.name, after.had, after.refit) == (before.volumes, "", ("good",), False)
        cloud.sound()


def test_a_vm_is_deleted_with_its_volumes_and_not_with_what_it_gave_away_nor_with_its_medium():
    with Cloud() as cloud:
        cloud.make_volumes("data", "iso")
        edit(cloud, attach=("data",), detach=("web-1-disk-1",), cdrom="iso")
        assert cloud.guest("web-1").media == ("data", "iso")
        assert cloud.do("vm.delete", WEB).state is WorkState.DONE
        assert cloud.volume("data") is None
        assert (cloud.volume("iso").vm, cloud.volume("web-1-disk-1").vm) == ("", "")
        cloud.sound()


def test_a_medium_is_ejected_and_another_vm_may_have_it():
    with Cloud() as cloud:
        cloud.make_volumes("iso")
        edit(cloud, cdrom="iso")
        assert "belongs to VM web-1" in why(edit(cloud, "web-2", cdrom="iso"))
        edit(cloud, cdrom="")
        assert (cloud.vm("web-1").cdrom, cloud.volume("iso").vm) == ("", "")
        cloud.do("vm.poweroff", NameVMs(vms=("web-2",)))
        assert edit(cloud, "web-2", cdrom="iso").state is WorkState.DONE
        cloud.sound()


def test_a_running_vm_gets_no_nic_on_a_network_that_its_host_lacks():
    with Cloud() as cloud:
        before = cloud.vm("web-1")
        assert "lacks network other: migrate web-1" in why(edit(cloud, networks=("vm", "other"), name="x"))
        cloud.settle(30.0)
        assert cloud.vm("web-1").networks == before.networks
        assert cloud.vm("web-1").name == ""
        assert edit(cloud, networks=("vm", "vm")).state is WorkState.DONE
        cloud.sound()


def test_two_vms_that_want_the_same_volume_at_once_do_not_both_get_it():
    with Cloud() as cloud:
        cloud.make_volumes("data")
        wishes = [EditVMs(vms=(EditVM(id=vm, attach=("data",)),)) for vm in ("web-1", "web-2")]
        jobs = [cloud.submit("vm.edit", wish) for wish in wishes]
        assert sorted(cloud.finish(job).state for job in jobs) == [WorkState.DONE, WorkState.FAILED]
        cloud.sound()


# Migrate


def test_a_stopped_vm_is_assigned_to_another_host_and_takes_nothing_of_it():
    with Cloud() as cloud:
        cloud.do("vm.poweroff", WEB)
        before = cloud.vm("web-1")
        assert cloud.do("vm.migrate", MigrateVMs(vms=WEB.vms)).state is WorkState.DONE
        after = cloud.vm("web-1")
        assert (after.state, after.epoch, after.reserved) == (VMState.STOPPED, before.epoch + 1, "")
        assert after.host != before.host
        assert cloud.do("vm.start", StartVMs(vms=WEB.vms)).state is WorkState.DONE
        cloud.sound()


@pytest.mark.parametrize("state", [HostState.MAINTENANCE, HostState.ENTERING_MAINTENANCE])
@pytest.mark.parametrize("stopped", [True, False])
def test_a_target_in_maintenance_is_refused_by_name(state, stopped):
    with Cloud() as cloud:
        if stopped:
            cloud.do("vm.poweroff", WEB)
        target = next(host for host in cloud.machines if host != cloud.vm("web-1").host)
        cloud.commit(Change(Host, target, {}, {"state": state}))
        before = cloud.vm("web-1")
        done = cloud.do("vm.migrate", MigrateVMs(vms=WEB.vms, host=target))
        assert "MaintenanceFilter" in why(done)
        assert (cloud.vm("web-1").host, cloud.vm("web-1").epoch) == (before.host, before.epoch)
        cloud.advance(30.0)
        cloud.sound()


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.97, 0.99, 1.0])
def test_a_migration_that_is_cancelled_leaves_its_vm_running_once(share):
    with Cloud() as cloud:
        begin = cloud.world.now
        with Cloud() as twin:
            twin.finish(twin.submit("vm.migrate", MigrateVMs(vms=WEB.vms)))
            seconds = twin.world.now - begin
        old = cloud.vm("web-1").host
        job = cloud.submit("vm.migrate", MigrateVMs(vms=WEB.vms))
        cloud.advance(share * (seconds - 0.02))
        cloud.cancel(job, "host-2")
        done = cloud.finish(job)
        cloud.settle(30.0)
        assert cloud.vm("web-1").host != old or done.state is not WorkState.DONE
        assert cloud.incarnations("web-1") == 0
        cloud.sound()


# Create and delete


def test_a_batch_of_many_is_made_in_groups_and_has_a_result_for_each():
    with Cloud(gib=128) as cloud:
        new = tuple(NewVM(id=f"n{i}", vcpus=1, memory_mib=512, disks_gib=(1,)) for i in range(120))
        done = cloud.do("vm.create", CreateVMs(vms=new))
        assert done.state is WorkState.DONE
        assert set(done.results) == {one.id for one in new}
        assert {cloud.vm(one.id).state for one in new} == {VMState.RUNNING}
        cloud.settle(30.0)
        cloud.sound()


def test_of_a_batch_of_many_those_without_a_place_stay_stopped():
    with Cloud(gib=8) as cloud:
        new = tuple(NewVM(id=f"n{i}", vcpus=1, memory_mib=512, disks_gib=(1,)) for i in range(60))
        done = cloud.do("vm.create", CreateVMs(vms=new))
        states = [cloud.vm(one.id).state for one in new]
        assert states.count(VMState.RUNNING) == 40  # 24 GiB, of which 4 are taken
        assert states.count(VMState.STOPPED) == 20
        assert sum("HostAvailableMemoryFilter" in result.why for result in done.results.values()) == 20
        cloud.settle(30.0)
        cloud.sound()


def test_a_vm_whose_volumes_cannot_be_made_leaves_nothing():
    with Cloud() as cloud:
        both = NewVM(id="new", vcpus=1, memory_mib=512, disks_gib=(1, 1))
        cloud.do("vm.create", CreateVMs(vms=(both,), start=False))
        cloud.do("vm.edit", EditVMs(vms=(EditVM(id="new", detach=("new-disk-2",)),)))
        cloud.do("vm.delete", NameVMs(vms=("new",)))  # its second disk stays
        new = (both, NewVM(id="other", vcpus=1, memory_mib=512))
        done = cloud.do("vm.create", CreateVMs(vms=new))
        assert done.results["other"].ok
        assert why(done) == "new needs a volume new-disk-2, and there already is one, of no VM"
        cloud.advance(10.0)
        assert cloud.all_ids() == ["low-1", "other", "web-1", "web-2", "web-3"]
        assert cloud.volume("new-disk-2") is not None
        cloud.sound()


def test_a_vm_that_no_storage_takes_is_undone_when_the_storage_is_back():
    with Cloud() as cloud:
        cut = tuple(cloud.machines)
        end = faults.begin(cloud, "storage-loss", cut, {}, lasting=True)
        job = cloud.submit("vm.create", CreateVMs(vms=(NewVM(id="new", vcpus=1, memory_mib=512),), start=False))
        cloud.advance(600.0)
        assert cloud.work(job).state is WorkState.WAITING  # it is being undone, patiently
        end()
        done = cloud.finish(job)
        assert done.state is WorkState.FAILED
        assert "new" not in cloud.all_ids()


def test_a_delete_outlasts_a_storage_that_is_away_for_ten_minutes():
    with Cloud() as cloud:
        cloud.do("vm.poweroff", WEB)
        cut = tuple(cloud.machines)
        end = faults.begin(cloud, "storage-loss", cut, {}, lasting=True)
        job = cloud.submit("vm.delete", WEB)
        cloud.advance(600.0)
        end()
        assert cloud.finish(job).state is WorkState.DONE
        assert "web-1" not in cloud.all_ids()
        assert "web-1-disk-1" not in cloud.storage.volumes


def test_a_vm_whose_creation_was_cancelled_before_it_began_can_be_deleted_and_made_anew():
    with Cloud() as cloud:
        new = tuple(NewVM(id=f"n{i}", vcpus=1, memory_mib=512, disks_gib=(1,)) for i in range(120))
        job = cloud.submit("vm.create", CreateVMs(vms=new))
        cloud.until(lambda: cloud.doc(Work, f"{job}/place") is not None)
        cloud.cancel(job)
        cloud.finish(job)
        left = [name for name in cloud.all_ids() if name.startswith("n")]
        if left:
            assert cloud.do("vm.delete", NameVMs(vms=tuple(left))).state is WorkState.DONE
        assert cloud.do("vm.create", CreateVMs(vms=new[:3])).state is WorkState.DONE
        cloud.sound()


# Start


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
def test_a_start_that_is_cancelled_leaves_the_vm_off_or_running_and_no_wish_for_anything_else(share):
    with Cloud() as cloud:
        cloud.do("vm.poweroff", WEB)
        job = cloud.submit("vm.start", StartVMs(vms=WEB.vms))
        cloud.advance(share * 0.9)
        cloud.cancel(job, "host-2")
        cloud.finish(job)
        cloud.settle(200.0)
        vm = cloud.vm("web-1")
        assert vm.state in (VMState.STOPPED, VMState.RUNNING)
        assert len(cloud.told_of("web-1", Started)) <= 1
        cloud.sound()


@pytest.mark.parametrize("after", [0.0, 0.02, 0.03, 0.04])
def test_of_a_start_that_is_cancelled_before_its_vm_runs_nothing_can_run_later(after):
    with Cloud() as cloud:
        cloud.do("vm.poweroff", WEB)
        job = cloud.submit("vm.start", StartVMs(vms=WEB.vms))
        cloud.until(lambda: cloud.vm("web-1").state is VMState.STARTING)
        cloud.advance(after)
        cloud.cancel(job, "host-2")
        assert cloud.finish(job).state is WorkState.CANCELLED
        assert (cloud.vm("web-1").state, cloud.vm("web-1").on) == (VMState.STOPPED, False)
        assert cloud.storage.volumes["web-1-disk-1"].owner == ""
        cloud.settle(60.0)
        cloud.sound()


def test_a_shutdown_that_is_cancelled_leaves_a_vm_that_is_wanted_on_again():
    with Cloud() as cloud:
        job = cloud.submit("vm.shutdown", ShutdownVMs(vms=WEB.vms))
        cloud.advance(0.5)
        cloud.cancel(job, "host-2")
        assert cloud.finish(job).state is WorkState.CANCELLED
        assert (cloud.vm("web-1").state, cloud.vm("web-1").on) == (VMState.RUNNING, True)
        cloud.settle(60.0)
        cloud.sound()


# What nobody asked for


@pytest.mark.parametrize("after", [0.01 * i for i in range(1, 13)])
def test_what_a_worker_that_was_away_would_still_do_for_an_ended_job_is_not_done(after):
    """Cut off from the store it does not know that its Job was ended; when it is back, it finds out before it acts."""
    with Cloud() as cloud:
        job = cloud.submit("vm.poweroff", WEB)
        cloud.advance(after)
        fault(cloud, "management-loss", cloud.vm("web-1").host, 100.0)
        state = cloud.finish(job).state
        cloud.settle(120.0)
        assert state is WorkState.DONE or cloud.vm("web-1").state is not VMState.STOPPED or not cloud.vm("web-1").on
        cloud.sound()


def _note(cloud: Cloud, fact: Any, volume: str, at: list[float]) -> None:
    if isinstance(fact, Wrote) and any(write[0] == volume for write in fact.writes):
        at.append(cloud.world.now)
