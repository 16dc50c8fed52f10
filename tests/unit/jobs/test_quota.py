"""What a tenant may have holds for everything that is made, grown and edited, whatever happens meanwhile."""

from typing import Any

import pytest

from ave.jobs.quota import growth, used
from ave.model.states import move
from ave.model.tenant import Tenant, Use, taken
from ave.model.vm import VM, VMState
from ave.model.volume import Volume, VolumeState
from ave.model.work import WorkState
from ave.operations import (
    CreateVMs,
    CreateVolumes,
    EditVM,
    EditVMs,
    GrowVolumes,
    NameVMs,
    NameVolumes,
    NewVM,
    NewVolume,
)
from ave.ports.store import Change, Insert, Replace
from drivers.sim.network import Plane
from tests.unit.hosts.lab import Lab

ACME: dict[str, Any] = {"tenant": "acme", "user": "ann"}


def vms(*names, cpus=1, mib=512, gib=(1,), start=False):
    return CreateVMs(
        vms=tuple(NewVM(id=name, vcpus=cpus, memory_mib=mib, disks_gib=gib) for name in names), start=start
    )


def volumes(*names, gib=5):
    return CreateVolumes(volumes=tuple(NewVolume(id=name, size_gib=gib) for name in names))


def has(lab, tenant="acme"):
    return lab.ask(used(lab.client("host-1", lab._user)[0].store, tenant))


def why(work):
    return next(result.why for result in work.results.values() if not result.ok)


# Pure


VM_1 = VM(id="a", vcpus=2, memory_mib=1024, tenant="acme", making_gib=7)
DISK = Volume(id="d", size_gib=5, tenant="acme")
MORE, OTHERS = VM(id="a", vcpus=5, memory_mib=512, tenant="acme"), VM(id="b", vcpus=1, memory_mib=1)


@pytest.mark.parametrize(
    ("writes", "known", "grown"),
    [
        ([Insert(VM_1)], {}, {"acme": Use(vcpus=2, memory_mib=1024, vms=1, volumes_gib=7)}),
        (
            [Insert(DISK), Insert(OTHERS)],
            {},
            {"acme": Use(volumes_gib=5), "default": Use(vcpus=1, memory_mib=1, vms=1)},
        ),
        ([Replace(VM_1)], {(VM, "a"): VM_1}, {"acme": Use()}),
        ([Replace(MORE)], {(VM, "a"): VM_1}, {"acme": Use(vcpus=3, memory_mib=-512, volumes_gib=-7)}),
        ([Replace(VM_1)], {}, {"acme": Use()}),  # what it replaces is not known: it makes nothing larger
        ([Change(VM, "a", {}, {"on": False})], {}, {}),
    ],
)
def test_what_writes_take(writes, known, grown):
    assert growth(writes, known) == grown


# In a cluster


def test_a_batch_is_made_whole_or_refused_with_limit_used_and_asked():
    with Lab() as lab:
        lab.put(Tenant(id="acme", vcpus=4))
        assert lab.do("vm.create", vms("a", "b", cpus=2), **ACME).state is WorkState.DONE
        refused = lab.do("vm.create", vms("c", cpus=1), **ACME)
        assert refused.state is WorkState.FAILED
        assert why(refused).startswith("tenant acme may have 4 vCPUs: it has 4, and this asks for 1 more")
        assert lab.doc(VM, "c") is None
        assert lab.do("vm.create", vms("c", cpus=4)).state is WorkState.DONE  # another tenant's
        assert lab.do("vm.delete", NameVMs(vms=("a",)), **ACME).state is WorkState.DONE
        assert lab.do("vm.create", vms("d", cpus=2), **ACME).state is WorkState.DONE
        assert has(lab) == Use(vcpus=4, memory_mib=1024, vms=2, volumes_gib=2)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_never_more_than_may_be_with_a_hundred_at_once(seed):
    """By every host, with VMs and volumes on their own."""
    with Lab(seed=seed) as lab:
        lab.put(Tenant(id="acme", vms=20, volumes_gib=60))
        most = Use()

        def look():
            nonlocal most
            now = Use()
            for doc in [*lab.all(VM), *lab.all(Volume)]:
                if doc.tenant == "acme":
                    now = now.plus(taken(doc))
            most = Use(vms=max(most.vms, now.vms), volumes_gib=max(most.volumes_gib, now.volumes_gib))

        jobs = []
        for number in range(50):
            door = f"host-{number % 3 + 1}"
            jobs.append(lab.submit("vm.create", vms(f"v{number}", gib=(2,)), door, **ACME))
            jobs.append(lab.submit("volume.create", volumes(f"d{number}", gib=3), door, **ACME))
        for job in jobs:
            while lab.work(job).finished == 0.0:
                lab.advance(0.05)
                look()
        done = [lab.work(job) for job in jobs if lab.work(job).state is WorkState.DONE]
        assert most.vms <= 20
        assert most.volumes_gib <= 60
        made = has(lab)
        assert made.vms == sum(work.operation == "vm.create" for work in done)
        assert made.volumes_gib > 57  # and no room was refused that there was


def test_a_volume_that_grows_takes_its_room_first_and_gives_it_back_if_it_cannot():
    with Lab() as lab:
        lab.put(Tenant(id="acme", volumes_gib=30))
        assert lab.do("volume.create", volumes("a", "b", gib=10), **ACME).state is WorkState.DONE
        refused = lab.do("volume.grow", GrowVolumes(sizes_gib={"a": 21}), **ACME)
        assert "it has 20, and this asks for 11 more" in why(refused)
        assert lab.storage.volumes["a"].size_gib == 10
        for host in lab.machines:
            lab.network.cut((host,), (Plane.STORAGE,))
        job = lab.submit("volume.grow", GrowVolumes(sizes_gib={"a": 20}), **ACME)
        lab.until(lambda: lab.doc(Volume, "a").growing_gib == 20)
        assert "it has 30" in why(lab.do("volume.create", volumes("c", gib=1), **ACME))
        assert lab.finish(job).state is WorkState.FAILED
        for host in lab.machines:
            lab.network.heal((host,), (Plane.STORAGE,))
        lab.advance(60.0)
        assert (lab.doc(Volume, "a").size_gib, lab.doc(Volume, "a").growing_gib) == (10, 0)
        assert lab.do("volume.create", volumes("c", gib=10), **ACME).state is WorkState.DONE


def test_of_volumes_as_many_are_made_as_may_be():
    with Lab() as lab:
        lab.put(Tenant(id="acme", volumes_gib=30))
        job = lab.do("volume.create", volumes(*"abcdefgh", gib=10), **ACME)
        assert sum(result.ok for result in job.results.values()) == 3
        assert has(lab) == Use(volumes_gib=30)
        assert (
            lab.do("volume.delete", NameVolumes(volumes=tuple(v.id for v in lab.all(Volume)))).state is WorkState.DONE
        )
        assert has(lab) == Use()


def test_an_edit_takes_no_more_than_may_be_with_devices_and_without():
    with Lab() as lab:
        lab.put(Tenant(id="acme", vcpus=4, memory_mib=4096))
        lab.do("vm.create", vms("a", cpus=2, mib=1024), **ACME)
        lab.put(Volume(id="d", size_gib=1, state=VolumeState.READY, tenant="acme"))
        lab.storage.place("d", 1, "", 0)
        for attach in ((), ("d",)):
            more = lab.do("vm.edit", EditVMs(vms=(EditVM(id="a", vcpus=5, attach=attach),)), **ACME)
            assert "tenant acme may have 4 vCPUs: it has 2, and this asks for 3 more" in why(more)
            vm = lab.doc(VM, "a")
            assert (vm.vcpus, len(vm.volumes)) == (2, 1)
        wish = EditVM(id="a", vcpus=4, memory_mib=4096, attach=("d",))
        assert lab.do("vm.edit", EditVMs(vms=(wish,)), **ACME).state is WorkState.DONE
        assert has(lab) == Use(vcpus=4, memory_mib=4096, vms=1, volumes_gib=2)
        lab.commit(Change(Tenant, "acme", {}, {"vcpus": 1}))  # now it has more than it may
        less = EditVMs(vms=(EditVM(id="a", vcpus=2, name="less"),))
        assert lab.do("vm.edit", less, **ACME).state is WorkState.DONE


def test_who_has_more_than_it_may_keeps_it_and_its_vms_are_rescued_all_the_same():
    with Lab() as lab:
        lab.do("vm.create", vms("a", "b", cpus=2, start=True), **ACME)
        lab.put(Tenant(id="acme", vcpus=1, vms=1, memory_mib=1, volumes_gib=1))
        host = lab.doc(VM, "a").host
        lab.machines[host].power_off()
        lab.until(lambda: lab.doc(VM, "a").host != host and lab.doc(VM, "a").state is VMState.RUNNING)


def test_what_is_being_made_counts_from_the_beginning():
    with Lab() as lab:
        lab.put(Tenant(id="acme", volumes_gib=10))
        for host in lab.machines:
            lab.network.cut((host,), (Plane.STORAGE,))
        job = lab.submit("vm.create", vms("a", gib=(4, 5)), **ACME)
        lab.until(lambda: lab.doc(VM, "a") is not None)
        assert lab.doc(VM, "a").making_gib == 9
        assert "it has 9, and this asks for 2 more" in why(lab.do("volume.create", volumes("c", gib=2), **ACME))
        for host in lab.machines:
            lab.network.heal((host,), (Plane.STORAGE,))
        assert lab.finish(job).state is WorkState.DONE
        assert lab.doc(VM, "a").making_gib == 0
        assert has(lab).volumes_gib == 9


def test_a_move_keeps_what_is_being_made():
    vm = VM(id="a", vcpus=1, memory_mib=1, making_gib=3)
    assert move(vm, VMState.DELETING, "why").making_gib == 3
