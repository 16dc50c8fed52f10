"""Volumes on a whole simulated cluster: whatever dies or gets lost, what the store says and what the storage has agree."""

import pytest

from ave.errors import Refused
from ave.model.cluster import Lock
from ave.model.vm import VM, VMState
from ave.model.volume import StoragePolicy, Volume, VolumeState
from ave.model.work import Work, WorkState
from ave.operations import (
    CreateVMs,
    CreateVolumes,
    EditVM,
    EditVMs,
    GrowVolumes,
    MigrateVMs,
    NameVMs,
    NameVolumes,
    NewVM,
    NewVolume,
    StartVMs,
)
from ave.ports.store import Conflict, Insert
from ave.storage.create import create, discard
from ave.storage.delete import delete
from drivers.sim.network import Plane
from drivers.sim.runtime import SimRuntime
from tests.unit.hosts.lab import Lab, whys

NAMES = tuple(f"d{n}" for n in range(12))
MOMENTS = [0.0, 0.004, 0.01, 0.02, 0.04, 0.06, 0.08, 0.12, 0.2]


def new(*names, size_gib=5):
    return CreateVolumes(volumes=tuple(NewVolume(id=name, size_gib=size_gib) for name in names))


def luns(lab):
    return {name: lun.size_gib for name, lun in lab.storage.volumes.items()}


def said(lab):
    """What the store says; nothing may be left half way."""
    assert {volume.state for volume in lab.all(Volume)} <= {VolumeState.READY}
    return {volume.id: volume.size_gib for volume in lab.all(Volume)}


def agree(lab):
    assert said(lab) == luns(lab)
    assert lab.locked() == []


# Making


def test_volumes_are_made_as_asked_for():
    with Lab() as lab:
        policy = StoragePolicy(replicas=3, thin=False, stripes=4, stripe_kib=64)
        request = CreateVolumes(volumes=(NewVolume(id="a", size_gib=7, policy=policy), NewVolume(id="b", size_gib=9)))
        job = lab.do("volume.create", request)
        assert job.state is WorkState.DONE
        assert luns(lab) == {"a": 7, "b": 9}
        assert (lab.doc(Volume, "a").policy, lab.doc(Volume, "b").policy) == (policy, StoragePolicy())
        agree(lab)


def test_of_a_batch_those_that_exist_are_refused_and_unchanged():
    with Lab() as lab:
        lab.do("volume.create", new("a", size_gib=5))
        job = lab.do("volume.create", new("a", "b", size_gib=9))
        assert whys(job) == {"a": "there already is a volume a: choose another name"}
        assert luns(lab) == {"a": 5, "b": 9}
        agree(lab)


def test_what_cannot_be_made_leaves_nothing():
    """No host reaches the storage for longer than a task is tried; taking back waits until it can be reached again."""
    with Lab() as lab:
        lab.do("volume.create", new("first"))
        hosts = tuple(lab.machines)
        job = lab.submit("volume.create", new(*NAMES))
        lab.until(lambda: any(volume.state is VolumeState.CREATING for volume in lab.all(Volume)))
        for host in hosts:
            lab.network.cut((host,), (Plane.STORAGE,))
        lab.advance(55.0)
        for host in hosts:
            lab.network.heal((host,), (Plane.STORAGE,))
        ended = lab.finish(job)
        assert ended.state is WorkState.FAILED
        assert all(not result.ok for result in ended.results.values())
        assert luns(lab) == {"first": 5}
        agree(lab)


@pytest.mark.parametrize("operation", ["volume.create", "volume.grow", "volume.delete"])
@pytest.mark.parametrize("fault", ["power", "worker", "store", "cancel"])
@pytest.mark.parametrize("after", MOMENTS)
def test_whatever_happens_in_the_middle_store_and_storage_agree_in_the_end(operation, fault, after):
    with Lab(seed=2) as lab:
        if operation != "volume.create":
            lab.do("volume.create", new(*NAMES))
        request = {
            "volume.create": new(*NAMES),
            "volume.grow": GrowVolumes(sizes_gib=dict.fromkeys(NAMES, 8)),
            "volume.delete": NameVolumes(volumes=NAMES),
        }[operation]
        job = lab.submit(operation, request)
        lab.advance(after)
        lab.disturb(fault, job)
        ended = lab.finish(job)
        lab.advance(60.0)
        if fault == "cancel":
            assert ended.state in (WorkState.DONE, WorkState.CANCELLED)
        else:
            assert ended.state is WorkState.DONE, whys(ended)
        done = [name for name, result in ended.results.items() if result.ok]
        there = luns(lab)
        if operation == "volume.create":
            assert set(there) == set(done)
        elif operation == "volume.grow":
            assert {name for name, size in there.items() if size == 8} >= set(done)
            assert set(there) == set(NAMES)
        else:
            assert set(there) == set(NAMES) - set(done)
        if operation != "volume.grow":
            agree(lab)
        else:
            assert all(said(lab)[name] <= there[name] for name in NAMES), "what the store promises is there"


@pytest.mark.parametrize("seed", range(5))
def test_lost_answers_change_nothing(seed):
    with Lab(seed=seed) as lab:
        lab.store.lost_answers = 0.4
        made = lab.do("volume.create", new(*NAMES))
        grown = lab.do("volume.grow", GrowVolumes(sizes_gib=dict.fromkeys(NAMES, 8)))
        deleted = lab.do("volume.delete", NameVolumes(volumes=NAMES[:6]))
        lab.store.lost_answers = 0.0
        assert (made.state, grown.state, deleted.state) == (WorkState.DONE,) * 3
        assert luns(lab) == dict.fromkeys(NAMES[6:], 8)
        lab.settle()
        agree(lab)


# Growing


def seen_gib(lab, vm, volume):
    """As the guest sees it."""
    return lab.machines[lab.vm(vm).host].guests[vm].sizes[volume]


def test_a_volume_grows_under_a_running_vm_whose_guest_sees_it_and_loses_no_right():
    with Lab(fleets={"web": (3, 2, True)}) as lab:
        before = lab.vm("web-1")
        job = lab.do("volume.grow", GrowVolumes(sizes_gib={"web-1-disk-1": 40}))
        assert job.state is WorkState.DONE
        assert luns(lab)["web-1-disk-1"] == lab.doc(Volume, "web-1-disk-1").size_gib == 40
        assert lab.vm("web-1") == before
        assert "web-1" in lab.on(before.host)
        assert seen_gib(lab, "web-1", "web-1-disk-1") == 40
        moved = lab.do("vm.migrate", MigrateVMs(vms=("web-1",)))
        assert moved.state is WorkState.DONE, "growing takes no right from its VM"
        lab.settle()


def test_a_suspended_guest_sees_it_too_and_one_that_is_off_when_it_starts():
    with Lab(fleets={"web": (2, 2, True)}) as lab:
        lab.do("vm.suspend", NameVMs(vms=("web-1",)))
        lab.do("vm.poweroff", NameVMs(vms=("web-2",)))
        job = lab.do("volume.grow", GrowVolumes(sizes_gib={"web-1-disk-1": 40, "web-2-disk-1": 30}))
        assert job.state is WorkState.DONE
        assert seen_gib(lab, "web-1", "web-1-disk-1") == 40
        lab.do("vm.start", StartVMs(vms=("web-2",)))
        assert seen_gib(lab, "web-2", "web-2-disk-1") == 30
        lab.settle()


@pytest.mark.parametrize("after", [0.0, 0.02, 0.05, 0.1, 0.5, 1.0, 2.0, 3.0, 4.0])
def test_a_volume_that_grows_while_its_vm_moves_is_seen_or_it_is_said_that_it_may_not_be(after):
    with Lab(fleets={"web": (1, 2, True)}) as lab:
        moves = lab.submit("vm.migrate", MigrateVMs(vms=("web-1",)))
        lab.advance(after)
        grows = lab.submit("volume.grow", GrowVolumes(sizes_gib={"web-1-disk-1": 40}))
        job = lab.finish(grows)
        assert (lab.finish(moves).state, job.state) == (WorkState.DONE, WorkState.DONE)
        sees = seen_gib(lab, "web-1", "web-1-disk-1")
        assert sees == 40 or "may not see yet" in job.results["web-1-disk-1"].why
        lab.settle()


@pytest.mark.parametrize("first", ["volume.grow", "vm.delete"])
@pytest.mark.parametrize("after", [0.0, 0.005, 0.02, 0.03, 0.05, 0.08, 0.12, 0.16, 0.2])
def test_a_volume_grows_or_goes_with_its_vm_and_nothing_of_it_is_left(first, after):
    with Lab(fleets={"web": (3, 2, True)}) as lab:
        asked = {"volume.grow": GrowVolumes(sizes_gib={"web-1-disk-1": 40}), "vm.delete": NameVMs(vms=("web-1",))}
        jobs = {first: lab.submit(first, asked.pop(first))}
        lab.advance(after)
        ((second, request),) = asked.items()
        jobs[second] = lab.submit(second, request)
        ended = {operation: lab.finish(job) for operation, job in jobs.items()}
        assert ended["vm.delete"].state is WorkState.DONE
        why = " ".join(whys(ended["volume.grow"]).values())
        assert ended["volume.grow"].state is WorkState.DONE or "volume web-1-disk-1" in why
        assert lab.doc(VM, "web-1") is None
        assert "web-1-disk-1" not in luns(lab)
        agree(lab)
        lab.settle()


# Deleting


def test_a_volume_of_a_vm_is_not_deleted_and_the_vm_is_named():
    with Lab(fleets={"web": (3, 2, True)}) as lab:
        job = lab.do("volume.delete", NameVolumes(volumes=("web-1-disk-1", "none")))
        assert whys(job) == {
            "web-1-disk-1": "volume web-1-disk-1 belongs to VM web-1: detach it, or delete the VM",
            "none": "there is no volume none",
        }
        assert "web-1-disk-1" in luns(lab)
        lab.settle()
        agree(lab)


def test_what_is_nobodys_and_still_attached_is_detached_before_it_is_deleted():
    """An edit was lost with its host: whoever has the volume plugged writes to it no more, and then it goes."""
    with Lab() as lab:
        lab.put(Volume(id="d", state=VolumeState.READY, size_gib=5))
        lab.storage.place("d", 5, "host-2", 3)
        assert lab.do("volume.delete", NameVolumes(volumes=("d",))).state is WorkState.DONE
        assert "d" not in luns(lab)
        assert lab.doc(Volume, "d") is None


def test_a_name_may_be_used_again_and_an_old_job_cannot_touch_the_new_one():
    with Lab() as lab:
        for size_gib in (5, 7, 9):
            assert lab.do("volume.create", new("d", size_gib=size_gib)).state is WorkState.DONE
            assert luns(lab) == {"d": size_gib}
            assert lab.do("volume.delete", NameVolumes(volumes=("d",))).state is WorkState.DONE
            assert luns(lab) == {}
        lab.do("volume.create", new("d"))
        (oldest, *_) = [work for work in lab.all(Work) if work.function == "volume.delete"]
        (made, *_) = [work for work in lab.all(Work) if work.function == "volume.create"]
        ports = lab.ports("host-2", SimRuntime(lab.world, "late"))
        lab.ask(create(ports, made))  # there is nothing to do
        for function, task in ((delete, oldest), (discard, made)):
            with pytest.raises(Conflict):
                lab.ask(function(ports, task))
        assert luns(lab) == {"d": 5}
        agree(lab)


def left_behind(lab, size_gib=20):
    """A volume of the name that a VM's first disk gets, and no VM: it was detached, and its VM deleted."""
    lab.do(
        "vm.create", CreateVMs(vms=(NewVM(id="web-1", vcpus=1, memory_mib=512, disks_gib=(size_gib,)),), start=False)
    )
    lab.do("vm.edit", EditVMs(vms=(EditVM(id="web-1", detach=("web-1-disk-1",)),)))
    assert lab.do("vm.delete", NameVMs(vms=("web-1",))).state is WorkState.DONE
    assert luns(lab) == {"web-1-disk-1": size_gib}


def test_a_repeated_attempt_spares_a_volume_that_was_made_since_with_a_vm():
    with Lab() as lab:
        left_behind(lab)
        job = lab.do("volume.delete", NameVolumes(volumes=("web-1-disk-1",)))
        vm = lab.do("vm.create", CreateVMs(vms=(NewVM(id="web-1", vcpus=1, memory_mib=512),), start=False))
        assert vm.state is WorkState.DONE
        ports = lab.ports("host-2", SimRuntime(lab.world, "late"))
        (task, *_) = [work for work in lab.all(Work) if work.job == job.id and work.step]
        lab.ask(delete(ports, task))
        assert "web-1-disk-1" in luns(lab)
        assert lab.vm("web-1").state is VMState.STOPPED
        agree(lab)


def test_a_vm_does_not_take_the_name_of_a_volume_that_is_there_and_spares_it():
    with Lab() as lab:
        left_behind(lab, size_gib=33)
        job = lab.do("vm.create", CreateVMs(vms=(NewVM(id="web-1", vcpus=1, memory_mib=512),)))
        assert "web-1" in whys(job)
        assert luns(lab) == {"web-1-disk-1": 33}
        assert lab.doc(Volume, "web-1-disk-1").vm == ""
        agree(lab)


@pytest.mark.parametrize("name", ["web-1-disk-1", "-disk-0", "a-disk-12"])
def test_the_names_of_vms_disks_are_refused_to_other_volumes(name):
    """They come with their VM, whose Job locks the VM and not them: somebody else's volume could lose its LUN to it."""
    with Lab() as lab:
        refused = lab.do("volume.create", new("fine", name))
        assert refused.state is WorkState.FAILED
        assert f"volume name '{name}': names that end in -disk- and a number" in str(refused.results)
        assert luns(lab) == {}
    with Lab() as lab:
        assert lab.do("volume.create", new("disk-1", "a-disk-b", "a-disk-1x")).state is WorkState.DONE


@pytest.mark.parametrize("state", VolumeState)
def test_a_name_that_a_vm_took_first_is_refused_when_it_is_the_volumes_turn(state):
    with Lab() as lab:
        lab.put(
            Volume(id="d", state=state, size_gib=9, vm="web-1"), Lock(id="volume/d", job="job")
        )  # since the Job was split
        task = Work(
            id="job/create/d",
            job="job",
            function="volume.create",
            lane="host-1",
            resource="d",
            tokens={"volume/d": 1},
            arguments={"id": "d", "size_gib": 5},
        )
        ports = lab.ports("host-1", SimRuntime(lab.world, "late"))
        with pytest.raises(Refused, match="there already is a volume d, of VM web-1"):
            lab.ask(create(ports, task))
        assert (luns(lab), lab.doc(Volume, "d").state) == ({}, state)


def test_what_an_earlier_job_left_half_deleted_is_deleted_by_the_next():
    with Lab() as lab:
        for state in (VolumeState.CREATING, VolumeState.DELETING):
            lab.commit(Insert(Volume(id=f"half-{state}", size_gib=5, state=state)))
        lab.storage.place("half-deleting", 5, "", 0)
        job = lab.do("volume.delete", NameVolumes(volumes=("half-creating", "half-deleting")))
        assert job.state is WorkState.DONE
        assert (luns(lab), lab.all(Volume)) == ({}, [])
        assert [lock for lock in lab.all(Lock) if lock.job] == []


def test_an_illegal_request_is_refused_as_a_whole_and_nothing_is_made():
    with Lab() as lab:
        request = CreateVolumes(volumes=(NewVolume(id="a", size_gib=5), NewVolume(id="b", size_gib=0)))
        job = lab.do("volume.create", request)
        assert whys(job) == {"request": "volume b: size_gib is 0, it must be 1 to 65536"}
        assert luns(lab) == {}
        agree(lab)
        with pytest.raises(Refused, match="unknown operation"):
            lab.submit("volume.shrink", request)
