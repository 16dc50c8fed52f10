"""Which LUN of which target a volume is: never two have one, what is let go is given away again, and a limit is a limit."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ave.errors import AveError, Refused
from ave.model.cluster import Lock
from ave.model.target import Target
from ave.model.vm import VM
from ave.model.volume import StoragePolicy, Volume, VolumeState
from ave.model.work import Work, WorkState
from ave.operations import CreateVMs, CreateVolumes, NameVMs, NameVolumes, NewVM, NewVolume
from ave.ports.block import Slot
from ave.storage.create import create, discard
from ave.storage.luns import Limits, allocate, slot_of, without
from ave.vms.create import discard as discard_vm
from ave.vms.create import make_volumes
from drivers.sim.runtime import SimRuntime
from tests.unit.hosts.lab import Lab, whys

ONE, OTHER = StoragePolicy(), StoragePolicy(replicas=3)
SPEC = 256  # LUNs of a target at most
NAMES = tuple(f"d{n}" for n in range(12))
MOMENTS = [0.0, 0.004, 0.01, 0.02, 0.04, 0.06, 0.08, 0.12, 0.2]


def grown(targets: list[Target], changed: tuple[Target, ...]) -> list[Target]:
    """As the store has them afterwards."""
    now = {target.id: target for target in targets} | {target.id: target for target in changed}
    return list(now.values())


# The decision


def test_the_first_volume_is_the_first_lun_of_the_first_target() -> None:
    slots, changed = allocate([], {"a": ONE}, Limits(SPEC, 0))
    assert slots == {"a": Slot("1", 1)}
    assert changed == (Target(id="1", policy=ONE, luns={"1": "a"}),)


def test_a_target_takes_as_many_as_the_limit_and_then_there_is_a_next_one() -> None:
    wanted = {f"v{n}": ONE for n in range(2 * SPEC + 1)}
    slots, changed = allocate([], wanted, Limits(SPEC, 0))
    assert [len(target.luns) for target in changed] == [SPEC, SPEC, 1]
    assert len(set(slots.values())) == len(wanted)
    assert {slot.lun for slot in slots.values()} == set(range(1, SPEC + 1))


def test_all_full_is_refused_with_the_limit_and_nobody_gets_anything() -> None:
    _, targets = allocate([], {f"v{n}": ONE for n in range(8)}, Limits(4, 2))
    with pytest.raises(
        Refused, match=r"^volume x gets no LUN: .* 2 targets, each full with 4 LUNs.* 2 targets, its limit: del"
    ):
        allocate(targets, {"x": ONE}, Limits(4, 2))
    with pytest.raises(Refused, match=r"^volume y gets no LUN: its storage policy has no target"):
        allocate(targets, {"y": OTHER}, Limits(4, 2))
    (fewer,) = without(targets, ["v5"])
    assert allocate(grown(list(targets), (fewer,)), {"x": ONE}, Limits(4, 2)).slots == {"x": Slot("2", 2)}


def test_volumes_of_two_policies_share_no_target() -> None:
    slots, changed = allocate([], {"a": ONE, "b": OTHER, "c": ONE}, Limits(SPEC, 0))
    assert slots == {"a": Slot("1", 1), "b": Slot("2", 1), "c": Slot("1", 2)}
    assert [target.policy for target in changed] == [ONE, OTHER]


def test_who_has_a_slot_keeps_it_and_nothing_is_written() -> None:
    _, targets = allocate([], {"a": ONE, "b": ONE}, Limits(SPEC, 0))
    assert allocate(targets, {"b": ONE}, Limits(SPEC, 0)) == ({"b": Slot("1", 2)}, ())
    assert without(targets, ["gone"]) == ()


@given(
    deeds=st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.sampled_from((ONE, OTHER))), max_size=60),
    limits=st.builds(Limits, st.integers(2, 4), st.sampled_from((0, 2, 3))),
)
def test_whatever_is_made_and_deleted_no_two_have_one_and_no_limit_is_passed(
    deeds: list[tuple[bool, int, StoragePolicy]], limits: Limits
) -> None:
    targets: list[Target] = []
    there: dict[str, tuple[StoragePolicy, Slot]] = {}
    for make, number, policy in deeds:
        volume = f"v{number}"
        if make:
            policy = there[volume][0] if volume in there else policy
            before = slot_of(targets, volume)
            try:
                slots, changed = allocate(targets, {volume: policy}, limits)
            except Refused:
                alike = [target for target in targets if target.policy == policy]
                assert all(len(target.luns) == limits.luns for target in alike), "only what is full is refused"
                assert len(targets) == limits.targets
                continue
            assert before in (None, slots[volume])
            targets = grown(targets, changed)
            there[volume] = (policy, slots[volume])
        else:
            targets = grown(targets, without(targets, [volume]))
            there.pop(volume, None)
        assert {volume: slot_of(targets, volume) for volume in there} == {v: slot for v, (_, slot) in there.items()}
        assert sum(len(target.luns) for target in targets) == len(there)
        assert len({slot for _, slot in there.values()}) == len(there)
        assert [target.id for target in targets] == [str(n) for n in range(1, len(targets) + 1)]
        for target in targets:
            assert all(1 <= lun <= limits.luns for lun in map(int, target.luns))
            assert all(there[volume][0] == target.policy for volume in target.luns.values())
        assert not limits.targets or len(targets) <= limits.targets


# On a whole simulated cluster


class Shared(Lab):
    """Its storage has targets of few LUNs, which volumes share."""

    def __init__(self, *, luns: int = 4, targets: int = 0, seed: int = 1) -> None:
        super().__init__(seed=seed)
        self.storage.luns_per_target, self.storage.targets_max = luns, targets

    def __enter__(self) -> Shared:
        return self

    def slots(self) -> dict[str, Slot]:
        """As the store says; no LUN is given away twice."""
        found = [(volume, Slot(each.id, int(lun))) for each in self.all(Target) for lun, volume in each.luns.items()]
        assert len({volume for volume, _ in found}) == len({slot for _, slot in found}) == len(found)
        assert all(1 <= slot.lun <= self.storage.luns_per_target for _, slot in found)
        return dict(found)

    def served(self) -> dict[str, Slot | None]:
        """As the storage has it; no two volumes are served as one."""
        found = {name: lun.slot for name, lun in self.storage.volumes.items()}
        assert len(set(found.values())) == len(found)
        return found

    def until(self, done: Callable[[], Any], limit: float = 600.0) -> None:
        """Whatever happens, what the storage serves is reserved: from before it is made until after it is gone."""

        def watched() -> Any:
            reserved = {
                volume: Slot(each.id, int(lun)) for each in self.all(Target) for lun, volume in each.luns.items()
            }
            for name, lun in self.storage.volumes.items():
                assert reserved.get(name) == lun.slot, f"{name} is served at {lun.slot}, and that is free"
            return done()

        super().until(watched, limit)

    def agree(self) -> None:
        assert {volume.id for volume in self.all(Volume)} == set(self.slots())
        assert self.served() == self.slots()
        assert {volume.state for volume in self.all(Volume)} <= {VolumeState.READY}
        assert self.locked() == []


def new(*names: str) -> CreateVolumes:
    return CreateVolumes(volumes=tuple(NewVolume(id=name, size_gib=5) for name in names))


def new_vms(*names: str, disks: int = 2) -> CreateVMs:
    return CreateVMs(vms=tuple(NewVM(id=name, vcpus=1, memory_mib=512, disks_gib=(5,) * disks) for name in names))


def stopped(request: CreateVMs) -> CreateVMs:
    return msgspec.structs.replace(request, start=False)


def test_volumes_made_at_once_by_many_workers_have_each_a_lun_of_its_own() -> None:
    with Shared() as lab:
        jobs = [lab.submit("volume.create", new(*NAMES[n::3])) for n in range(3)]
        jobs.append(lab.submit("vm.create", new_vms("web-1", "web-2", "web-3")))
        assert [lab.finish(job).state for job in jobs] == [WorkState.DONE] * 4
        assert [len(target.luns) for target in sorted(lab.all(Target), key=lambda each: each.id)] == [4, 4, 4, 4, 2]
        lab.agree()
        lab.settle()


def test_what_is_deleted_is_given_away_again_and_no_new_target_is_made() -> None:
    with Shared() as lab:
        lab.do("volume.create", new(*NAMES[:8]))
        for gone in (NAMES[:3], NAMES[5:7]):
            assert lab.do("volume.delete", NameVolumes(volumes=gone)).state is WorkState.DONE
            lab.agree()
        freed = set(map(Slot, *zip(*itertools.product(("1", "2"), range(1, 5)), strict=True))) - set(
            lab.slots().values()
        )
        assert len(freed) == 5
        assert lab.do("volume.create", new("e", "f")).state is WorkState.DONE
        assert lab.do("vm.create", new_vms("web-1", disks=3)).state is WorkState.DONE
        assert len(lab.all(Target)) == 2
        assert lab.do("vm.delete", NameVMs(vms=("web-1",))).state is WorkState.DONE
        lab.agree()
        assert len(lab.slots()) == 5


def test_a_full_storage_refuses_by_name_and_number_and_leaves_nothing() -> None:
    with Shared(luns=2, targets=2) as lab:
        job = lab.do("volume.create", new(*NAMES[:5]))
        ((name, why),) = whys(job).items()
        assert why.startswith(f"volume {name} gets no LUN: its storage policy has 2 targets, each full with 2 LUNs")
        assert "2 targets, its limit" in why
        lab.agree()
        assert len(lab.slots()) == 4
        vm = lab.do("vm.create", new_vms("web-1", disks=1))
        assert "volume web-1-disk-1 gets no LUN" in whys(vm)["web-1"]
        lab.do("volume.delete", NameVolumes(volumes=tuple(lab.slots())[:1]))
        assert lab.do("vm.create", new_vms("web-1", disks=1)).state is WorkState.DONE
        lab.agree()


def test_a_storage_with_a_target_for_each_volume_is_asked_for_none() -> None:
    with Shared(luns=1) as lab:
        lab.do("volume.create", new("a", "b"))
        lab.do("vm.create", new_vms("web-1"))
        lab.do("volume.delete", NameVolumes(volumes=("a",)))
        assert lab.all(Target) == []
        assert set(lab.storage.volumes) == {"b", "web-1-disk-1", "web-1-disk-2"}
        assert {lun.slot for lun in lab.storage.volumes.values()} == {None}


@pytest.mark.parametrize("operation", ["volume.create", "volume.delete", "vm.create", "vm.delete"])
@pytest.mark.parametrize("fault", ["power", "worker", "store", "cancel"])
@pytest.mark.parametrize("after", MOMENTS)
def test_whatever_happens_in_the_middle_no_lun_is_lost_or_given_twice(operation: str, fault: str, after: float) -> None:
    with Shared(seed=2) as lab:
        if operation == "volume.delete":
            lab.do("volume.create", new(*NAMES))
        elif operation == "vm.delete":
            lab.do("vm.create", stopped(new_vms("web-1", "web-2", "web-3")))
        request = {
            "volume.create": new(*NAMES),
            "volume.delete": NameVolumes(volumes=NAMES),
            "vm.create": stopped(new_vms("web-1", "web-2", "web-3")),
            "vm.delete": NameVMs(vms=("web-1", "web-2", "web-3")),
        }[operation]
        job = lab.submit(operation, request)
        lab.advance(after)
        lab.disturb(fault, job)
        second = lab.submit("volume.create", new("late-1", "late-2"), door="host-1")
        lab.finish(job)
        assert lab.finish(second).state is WorkState.DONE
        lab.advance(60.0)
        lab.agree()


# Who stands still, and goes on when all is undone


def held(lab: Lab, *locks: str) -> Work:
    """A task whose Job holds these locks all the time."""
    lab.put(*(Lock(id=lock, job="job") for lock in locks))
    return Work(
        id="job/step",
        job="job",
        function="step",
        lane="host-1",
        resource=locks[0].partition("/")[2],
        tokens=dict.fromkeys(locks, 1),
        arguments={"id": "d", "size_gib": 5, "sizes_gib": [5, 5]},
    )


INSTANTS = [n / 2000 for n in range(25)]  # seconds after the document is there


@pytest.mark.parametrize("after", INSTANTS)
def test_a_volume_that_was_given_up_meanwhile_gets_no_lun_from_who_stood_still(after: float) -> None:
    with Shared() as lab:
        task = held(lab, "volume/d")
        late = SimRuntime(lab.world, "late")
        attempt = late.spawn(_ended(create(lab.ports("host-2", late), task)), name="create")
        Lab.until(lab, lambda: lab.doc(Volume, "d") is not None)
        lab.advance(after)
        late.halt()
        lab.ask(discard(lab.ports("host-3", SimRuntime(lab.world, "other")), task))
        assert (lab.doc(Volume, "d"), lab.slots()) == (None, {})
        late.resume()
        Lab.until(lab, attempt.done)
        assert (lab.slots(), lab.served()) == ({}, {})


@pytest.mark.parametrize("after", INSTANTS)
def test_a_vm_that_was_given_up_meanwhile_gets_no_luns_from_who_stood_still(after: float) -> None:
    with Shared() as lab:
        task = held(lab, "vm/web-1")
        lab.put(VM(id="web-1", vcpus=1, memory_mib=512, volumes=("web-1-disk-1", "web-1-disk-2")))
        late = SimRuntime(lab.world, "late")
        attempt = late.spawn(_ended(make_volumes(lab.ports("host-2", late), task)), name="create")
        lab.advance(after)
        late.halt()
        lab.ask(discard_vm(lab.ports("host-3", SimRuntime(lab.world, "other")), task))
        assert (lab.doc(VM, "web-1"), lab.slots()) == (None, {})
        late.resume()
        Lab.until(lab, attempt.done)
        assert (lab.slots(), lab.served()) == ({}, {})


def test_a_second_attempt_finds_the_slot_of_the_first_though_what_it_can_find_is_old() -> None:
    with Shared(luns=2) as lab:
        lab.do("volume.create", new("a", "b", "c"))
        assert [len(target.luns) for target in lab.all(Target)] == [2, 1]
        lab.advance(10.0)
        lab.store.set_lag(60.0)
        gone = next(volume for volume, slot in lab.slots().items() if slot.target == "1")
        lab.do("volume.delete", NameVolumes(volumes=(gone,)))
        task = held(lab, "volume/d")
        first = SimRuntime(lab.world, "first")
        first.spawn(_ended(create(lab.ports("host-2", first), task)), name="create")
        Lab.until(lab, lambda: "d" in lab.slots())
        first.halt()
        lab.ask(create(lab.ports("host-3", SimRuntime(lab.world, "second")), task))
        assert lab.slots()["d"].target == "1"
        assert lab.served() == lab.slots()


@pytest.mark.parametrize("after", INSTANTS)
def test_two_attempts_at_once_get_one_lun_though_one_frees_itself_between_their_looks(after: float) -> None:
    with Shared(luns=2) as lab:
        lab.do("volume.create", new("a", "b", "c"))
        gone = next(volume for volume, slot in lab.slots().items() if slot.target == "1")
        task = held(lab, "volume/d")
        first, second = SimRuntime(lab.world, "first"), SimRuntime(lab.world, "second")
        attempt = first.spawn(_ended(create(lab.ports("host-2", first), task)), name="create")
        Lab.until(lab, lambda: lab.doc(Volume, "d") is not None)
        lab.advance(after)  # by then it may have looked at the first target, which is full
        first.halt()
        lab.do("volume.delete", NameVolumes(volumes=(gone,)))
        other = second.spawn(_ended(create(lab.ports("host-3", second), task)), name="create")
        Lab.until(lab, lambda: "d" in lab.slots())
        second.halt()
        first.resume()
        Lab.until(lab, attempt.done)
        second.resume()
        Lab.until(lab, other.done)
        assert lab.served() == lab.slots()
        assert lab.doc(Volume, "d").state is VolumeState.READY


async def _ended(call: Any) -> None:
    """However it ends."""
    try:
        await call
    except AveError:
        pass


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 99),
    deeds=st.lists(
        st.one_of(
            st.tuples(st.just("make"), st.integers(0, 5)),
            st.tuples(st.just("delete"), st.integers(0, 5)),
            st.tuples(st.just("vm"), st.integers(0, 2)),
            st.tuples(st.just("no vm"), st.integers(0, 2)),
            st.tuples(st.just("kill"), st.integers(1, 3)),
            st.tuples(st.just("cancel"), st.integers(0, 9)),
            st.tuples(st.just("wait"), st.integers(1, 20)),
        ),
        min_size=3,
        max_size=14,
    ),
)
def test_in_any_order_with_workers_that_die_store_and_storage_agree(seed: int, deeds: list[tuple[str, int]]) -> None:
    with Shared(luns=2, targets=3, seed=seed) as lab:
        lab.store.lost_answers = 0.1
        jobs: list[str] = []
        for what, number in deeds:
            if what == "make":
                jobs.append(lab.submit("volume.create", new(f"d{number}", f"e{number}")))
            elif what == "delete":
                jobs.append(lab.submit("volume.delete", NameVolumes(volumes=(f"d{number}",))))
            elif what == "vm":
                jobs.append(lab.submit("vm.create", stopped(new_vms(f"web-{number}"))))
            elif what == "no vm":
                jobs.append(lab.submit("vm.delete", NameVMs(vms=(f"web-{number}",))))
            elif what == "kill":
                if "node" in lab.machines[f"host-{number}"].running:  # else its supervisor is about to start it
                    lab.machines[f"host-{number}"].kill("node")
            elif what == "cancel" and jobs:
                lab.cancel(jobs[number % len(jobs)])
            else:
                lab.advance(number / 100)
            lab.slots()
            lab.served()
        lab.store.lost_answers = 0.0
        for job in jobs:
            lab.finish(job)
            lab.slots()
        lab.advance(120.0)
        assert lab.served() == lab.slots()
        assert len(lab.all(Target)) <= 3
