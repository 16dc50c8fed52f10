"""A simulated cluster of three hosts on which the verbs of VMs are tried, and what must be true of it whatever happened."""

from typing import Any

from ave.model.vm import VM, VMState
from ave.model.volume import Volume
from ave.model.work import Work
from ave.operations import CreateVolumes, NewVolume
from ave.ports.hypervisor import DomainState
from drivers.sim.facts import Effect, Gone, Paused, Resumed, Started
from tests.unit.hosts.lab import Lab

RESCUED_SECONDS = 120.0
STANDS = {VMState.RUNNING: DomainState.RUNNING, VMState.SUSPENDED: DomainState.SUSPENDED}


class Cloud(Lab):
    """``web-…`` are protected by high availability, ``low-…`` are not; of each host one or two are there from the start."""

    def __init__(self, *, seed: int = 1, web: int = 3, low: int = 1, gib: int = 32) -> None:
        super().__init__(fleets={"web": (web, 1, True), "low": (low, 1, False)}, seed=seed, gib=gib)
        self.facts: list[Any] = []
        self.listeners.append(self.facts.append)

    def __enter__(self) -> "Cloud":
        return self

    def told_of(self, vm: str, *kinds: type[Any]) -> list[Any]:
        """What happened to its domains since the beginning."""
        wanted = kinds or (Started, Gone, Paused, Resumed)
        return [fact for fact in self.facts if isinstance(fact, wanted) and fact.vm == vm]

    def told_effects(self, volume: str) -> list[str]:
        """What was done to the volume, by any Job."""
        resources = (f"volume/{volume}", f"lun/{volume}")
        return [fact.what for fact in self.facts if isinstance(fact, Effect) and fact.resource in resources]

    def incarnations(self, vm: str) -> int:
        """How often a new domain of it began."""
        return sum(not fact.incoming for fact in self.told_of(vm, Started))

    def guest(self, vm: str) -> Any:
        (guest,) = [m.guests[vm] for m in self.machines.values() if vm in m.guests]
        return guest

    def make_volumes(self, *names: str) -> None:
        made = self.do("volume.create", CreateVolumes(volumes=tuple(NewVolume(id=name, size_gib=1) for name in names)))
        assert made.state == "done"

    def all_ids(self) -> list[str]:
        return sorted(vm.id for vm in self.all(VM))

    def volume(self, id: str) -> Any:
        return self.doc(Volume, id)

    def sound(self) -> None:
        """Every document is true: of the domains there are, of the storage, and of each other."""
        vms: list[VM] = self.all(VM)
        guests = {(guest.vm, m.name): guest for m in self.machines.values() for guest in m.guests.values()}
        expected = {(vm.id, vm.host): vm for vm in vms if vm.state in STANDS}
        assert set(guests) == set(expected), "domains there are, and VMs that are said to be there"
        for where, vm in expected.items():
            guest = guests[where]
            assert (guest.state, guest.epoch) == (STANDS[vm.state], vm.epoch), vm.id
            assert (guest.volumes, guest.media, guest.networks) == (vm.volumes, vm.media, vm.networks), vm.id
            for name in vm.media:
                lun = self.storage.volumes[name]
                assert (lun.owner, lun.epoch) == (vm.host, vm.epoch), name
        assert [vm.id for vm in vms if vm.reserved] == []
        volumes: list[Volume] = self.all(Volume)
        owned = {volume.id: volume.vm for volume in volumes if volume.vm}
        assert owned == {name: vm.id for vm in vms for name in vm.media}, "volumes and VMs name each other"
        assert set(self.storage.volumes) == {volume.id for volume in volumes}, "LUNs there are, and volumes"
        assert self.locked() == []
        self.oracle.end()


def why(work: Work) -> str:
    """Why the first resource failed that did."""
    return next(result.why for result in work.results.values() if not result.ok)
