"""A simulated domain, and how domains are numbered."""

from __future__ import annotations

from itertools import count

from ave.model.vm import VM
from ave.ports.hypervisor import DomainState
from drivers.sim.round import Round

WRITES = ("epoch", "state", "volumes")  # what decides whether it writes, and what


class Guest:
    """One domain: a QEMU process with its memory."""

    __slots__ = (
        "_records",
        "copying",
        "cpus",
        "epoch",
        "exclusive_cpus",
        "host_epoch",
        "hung_at",
        "instance",
        "media",
        "memory_mib",
        "migrating",
        "networks",
        "ran",
        "round",
        "since",
        "sizes",
        "state",
        "vcpus",
        "vm",
        "volumes",
    )

    def __init__(self, vm: VM, instance: int, epoch: int, state: DomainState) -> None:
        self.round: Round | None = None  # of its host, while the writes are only counted
        self.vm, self.memory_mib = vm.id, vm.memory_mib
        self.host_epoch = vm.host_epoch  # of its host, to which the VM was given
        self.instance, self.epoch, self.state = instance, epoch, state
        self.hung_at: float | None = None  # on its host's clock: since when its guest system says nothing
        self.migrating = False  # its memory is complete on another host: whether it may run is decided there
        pinned = vm.pinned and (state is DomainState.INCOMING or not vm.unpinned)
        self.exclusive_cpus = vm.vcpus if pinned else 0  # who arrives is pinned again
        self.cpus: tuple[int, ...] = ()  # of its host, those that it really has for itself
        self.vcpus = vm.vcpus
        self.sizes: dict[str, int] = {}  # volume -> GiB that its guest sees
        self.copying: tuple[float, float, float] | None = None  # (since when, until when, MiB in all): its memory
        self.ran, self.since = 0.0, 0.0  # seconds of its host's clock: up to when it stood last, and since when it runs
        self._records: dict[str, int] = {}
        self.plug(vm)

    @property
    def records(self) -> dict[str, int]:
        """Volume -> the last record that it acknowledged to this VM."""
        self.stir()
        return self._records

    @records.setter
    def records(self, records: dict[str, int]) -> None:
        self.stir()
        self._records = records

    def __setattr__(self, name: str, value: object) -> None:
        if name in WRITES:
            self.stir()
        object.__setattr__(self, name, value)

    def stir(self) -> None:
        """Something changes on which the writes of its host's guests may rest."""
        if self.round is not None:
            self.round.end()

    def plug(self, vm: VM) -> None:
        """Its devices are those of the VM; what it writes goes to the volumes among them."""
        self.volumes, self.media, self.networks = vm.volumes, vm.media, vm.networks


class Instances:
    """Numbers every domain that ever starts in a world, so that of two the later one is known."""

    def __init__(self) -> None:
        self._next = count(1)

    def take(self) -> int:
        return next(self._next)
