"""What a Job left half made or half deleted when it was given up: somebody goes on with it, and touches nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from ave.errors import Refused
from ave.ha.unfinished import LOOK_SECONDS
from ave.model.vm import VM, VMState
from ave.model.volume import Volume, VolumeState
from ave.model.work import WorkState
from ave.operations import CreateVolumes, DiscardHalfDone, NameVMs, NameVolumes, NewVolume
from ave.ports.hypervisor import Stamp
from ave.ports.store import Replace
from drivers.sim.block import SimBlock
from drivers.sim.network import Plane
from tests.unit.hosts.lab import Lab

TWO = {"web": (2, 1, True)}
WEB = NameVMs(vms=("web-1",))
SPARE = CreateVolumes(volumes=(NewVolume(id="spare", size_gib=1),))
SOON = LOOK_SECONDS + 10.0
LONG_SECONDS = 1200.0  # longer than a delete goes on trying


def leave(lab: Lab, kind: type[Any], id: str, state: Any) -> None:
    """As a Job that was given up."""
    lab.commit(Replace(msgspec.structs.replace(lab.doc(kind, id), state=state)))


def without_storage(lab: Lab) -> Callable[[], None]:
    """No host reaches it. Returns what ends that."""
    cuts = [lab.network.cut((host,), (Plane.STORAGE,)) for host in lab.machines]

    def mend() -> None:
        for cut in cuts:
            lab.network.mend(cut)

    return mend


@pytest.mark.parametrize("state", [VMState.CREATING, VMState.DELETING])
def test_a_vm_that_is_half_done_goes_with_its_volumes(state: VMState) -> None:
    with Lab(fleets=TWO) as lab:
        lab.do("vm.poweroff", WEB)
        leave(lab, VM, "web-1", state)
        lab.advance(SOON)
        assert lab.vm("web-1") is None
        assert "web-1-disk-1" not in lab.storage.volumes
        assert lab.doc(Volume, "web-1-disk-1") is None
        assert lab.vm("web-2").state is VMState.RUNNING
        assert len(lab.jobs("ha.discard")) == 1
        lab.settle()


@pytest.mark.parametrize("state", [VolumeState.CREATING, VolumeState.DELETING])
def test_a_volume_that_is_half_done_goes(state: VolumeState) -> None:
    with Lab(fleets=TWO) as lab:
        lab.do("volume.create", SPARE)
        leave(lab, Volume, "spare", state)
        lab.advance(SOON)
        assert lab.doc(Volume, "spare") is None
        assert "spare" not in lab.storage.volumes
        lab.settle()


def test_what_is_whole_by_then_stays() -> None:
    """The picture of who asks for it may be old: one of the name has been made since."""
    with Lab(fleets=TWO) as lab:
        lab.do("volume.create", SPARE)
        job = lab.do("ha.discard", DiscardHalfDone(vms=("web-1", "gone"), volumes=("spare", "web-2-disk-1")))
        assert job.state is WorkState.DONE
        assert lab.vm("web-1").state is VMState.RUNNING
        assert {"spare", "web-1-disk-1", "web-2-disk-1"} <= set(lab.storage.volumes)
        lab.settle()


def test_a_delete_that_is_given_up_without_storage_goes_on_when_it_is_back() -> None:
    with Lab(fleets=TWO) as lab:
        lab.do("volume.create", SPARE)
        mend = without_storage(lab)
        vm, volume = lab.submit("vm.delete", WEB), lab.submit("volume.delete", NameVolumes(volumes=("spare",)))
        assert lab.finish(vm, LONG_SECONDS).state is WorkState.FAILED
        assert lab.finish(volume, LONG_SECONDS).state is WorkState.FAILED
        assert lab.vm("web-1").state is VMState.DELETING
        assert lab.doc(Volume, "spare").state is VolumeState.DELETING
        mend()
        lab.until(lambda: lab.vm("web-1") is None and lab.doc(Volume, "spare") is None, limit=240.0)
        lab.settle()


async def refused(self: SimBlock, volume: str, stamp: Stamp) -> None:
    raise Refused("it is in use")


def test_what_cannot_be_removed_is_tried_ever_more_patiently(monkeypatch: pytest.MonkeyPatch) -> None:
    with Lab(fleets=TWO) as lab:
        lab.do("volume.create", SPARE)
        leave(lab, Volume, "spare", VolumeState.DELETING)
        monkeypatch.setattr(SimBlock, "delete", refused)
        lab.advance(3600.0)
        assert 20 <= len(lab.jobs("ha.discard")) <= 45, "every 30 s, then every minute, then every 2 minutes"
        monkeypatch.undo()
        lab.until(lambda: lab.doc(Volume, "spare") is None, limit=130.0)
        lab.settle()
