"""The cluster as columns: one array per host attribute, kept up to date by deltas.

Row ``i`` of every column is one host. Rows have no order that means anything: who picks among hosts compares scores, VM
counts and names. Sums are exact integers, so taking away what was added leaves no trace. A view belongs to one thread:
a decision lifts its VM out of the columns and puts it back.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ave.model.host import Host, HostState, Zone
from ave.model.vm import VM
from ave.placement.bonds import Bonds
from ave.placement.stake import HOLDING, LOST, NOWHERE, RUNNING, Seats, Stake, stake_of

if TYPE_CHECKING:
    from collections.abc import Hashable

Mask = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

STATES: Final = tuple(HostState)
_STATE_CODE: Final = {state: code for code, state in enumerate(STATES)}
_LOADS: Final = ("running_vcpus", "running_mib", "all_vcpus", "all_mib", "held_mib", "vm_count")
_SUMS: Final = (*_LOADS, "held_cpus", "held_nics", "held_volumes")
_LIMITS: Final = ("exclusive_cpus", "nics_max", "volumes_max")
_COLUMNS: Final[dict[str, type[np.generic]]] = {
    "state": np.int8,
    "cpu_model": np.int32,
    "zone": np.int32,
    **dict.fromkeys(("cpus", "memory_mib", "reserve_mib", "free_mib", "_tie", *_LIMITS, *_SUMS), np.int64),
    **dict.fromkeys(("per_cpu", "per_mib", "all_share", "running_share", "running_load"), np.float64),
}
#: What changes with the VMs on a host.
_CHANGING: Final = (*_SUMS, "free_mib", "_tie", "all_share", "running_share", "running_load")
_NOTHING: Final = [0] * len(_SUMS)
_WORD_BITS: Final = 64
_NAME_BITS: Final = 32  # below the VM count in a tie
_KEPT_LIMIT: Final = 256  # answers remembered between two host changes; up to 80 kB each at 10,000 hosts

NO_LIMIT: Final = 1 << 40


class Mark(NamedTuple):
    """How all VMs together stood on a view."""

    columns: dict[str, NDArray[Any]]
    strangers: dict[str, list[int]]
    allocated_vcpus: int


class View:
    # What each host is.
    state: NDArray[np.int8]  # index into STATES
    cpu_model: NDArray[np.int32]  # see `model_code`
    networks: list[NDArray[np.uint64]]  # 64 networks in each column, see `network_bit`
    cpus: Ints
    memory_mib: Ints
    reserve_mib: Ints
    exclusive_cpus: Ints
    nics_max: Ints
    volumes_max: Ints
    zone: NDArray[np.int32]  # see `zone_code`
    # Sums over the VMs on it; what is in flight to it counts as if it ran there already.
    running_vcpus: Ints
    running_mib: Ints
    all_vcpus: Ints
    all_mib: Ints
    held_mib: Ints
    vm_count: Ints
    held_cpus: Ints
    held_nics: Ints
    held_volumes: Ints
    free_mib: Ints  # memory - reserve - held; negative on an overfull host
    # Floats, which only nominate candidates (scores.py).
    per_cpu: Floats  # 1 / cpus
    per_mib: Floats  # 1 / memory
    all_share: Floats  # all_vcpus / cpus + all_mib / memory
    running_share: Floats  # running_mib / memory
    running_load: Floats  # running_vcpus
    _tie: Ints  # see `ties`

    def __init__(self) -> None:
        self.names: list[str] = []  # by row
        self.rows: dict[str, int] = {}
        self.allocated_vcpus = 0  # of all VMs assigned to a host or in flight to one
        self.kept: dict[Hashable, Any] = {}  # answers that hold until a host changes
        self.changed: list[int] | None = None  # rows whose VMs changed, in order, while somebody wants to know
        self._stakes: dict[str, Stake] = {}
        self._strangers: dict[str, list[int]] = {}  # sums of hosts that VMs name and nobody has put yet
        self._bits: dict[str, int] = {}
        self._networks: dict[str, tuple[str, ...]] = {}  # host -> those that it has …
        self.down: dict[str, tuple[str, ...]] = {}  # … and those that carry nothing there
        self._models: dict[str, int] = {}
        self._zones: dict[str, int] = {}
        self.primary_zones: dict[str, None] = {}
        self.bonds = Bonds()
        self.moving: dict[str, None] = {}  # VMs that are being placed together: where they are binds none of the others
        self._limited = dict.fromkeys(("nics", "volumes"), 0)  # hosts that have such a limit
        self._new_names = False
        self._whole: dict[str, NDArray[Any]] = {name: np.zeros(0, kind) for name, kind in _COLUMNS.items()}
        self._words: list[NDArray[np.uint64]] = []
        self._reach()

    def __len__(self) -> int:
        return len(self.names)

    def put_host(self, host: Host) -> None:
        row = self.rows.get(host.id)
        if row is None:
            row = self._add_row(host.id)
        self.state[row] = _STATE_CODE[host.state]
        self.cpu_model[row] = self._models.setdefault(host.cpu_model, len(self._models))
        self.zone[row] = self._zones.setdefault(host.zone, len(self._zones))
        self.cpus[row], self.memory_mib[row], self.reserve_mib[row] = host.cpus, host.memory_mib, host.reserve_mib
        self.exclusive_cpus[row] = host.exclusive_cpus
        self._limit("nics", row, host.nics_max)
        self._limit("volumes", row, host.volumes_max)
        self.free_mib[row] = host.memory_mib - host.reserve_mib - self.held_mib[row]
        self.per_cpu[row], self.per_mib[row] = 1 / host.cpus, 1 / host.memory_mib
        self._networks[host.id] = host.networks
        self._wire(host.id, row)
        self._divide(row)
        self.kept.clear()

    def put_down(self, host: str, networks: tuple[str, ...]) -> None:
        """Networks that carry nothing on the host: to a VM it is as if the host had none of them."""
        if networks:
            self.down[host] = networks
        else:
            self.down.pop(host, None)
        if (row := self.rows.get(host)) is not None:
            self._wire(host, row)
            self.kept.clear()

    def _wire(self, host: str, row: int) -> None:
        for word in self._words:
            word[row] = 0
        down = self.down.get(host, ())
        for name in self._networks[host]:
            place, bit = divmod(self._bits.setdefault(name, len(self._bits)), _WORD_BITS)
            if place == len(self._words):
                self._words.append(np.zeros(len(self._whole["state"]), np.uint64))
                self._reach()
            if name not in down:
                self._words[place][row] |= np.uint64(1 << bit)

    def drop_host(self, host: str) -> None:
        row = self.rows.pop(host, None)
        if row is None:
            return
        del self._networks[host]
        self._limit("nics", row, 0)
        self._limit("volumes", row, 0)
        sums = [int(getattr(self, name)[row]) for name in _SUMS]
        if any(sums):  # its VMs outlive it
            self._strangers[host] = sums
        last, name = len(self.names) - 1, self.names.pop()
        if row != last:  # the last row fills the gap
            self.names[row], self.rows[name] = name, row
            for column in (*self._whole.values(), *self._words):
                column[row] = column[last]
        self._new_names = True
        self._reach()
        self.kept.clear()

    def keep(self, question: Hashable, answer: Any) -> None:
        """Remembers in ``kept`` what depends on hosts alone, and not on the VMs on them."""
        if len(self.kept) >= _KEPT_LIMIT:
            self.kept.clear()
        self.kept[question] = answer

    def put_vm(self, vm: VM) -> Stake | None:
        """From now on the VM counts as this document says, and no longer as an earlier one did. Answers as ``stake`` did."""
        stake = stake_of(vm)
        old = self._stakes.get(vm.id)
        if old != stake:
            if old is not None:
                self._count(old, -1)
            self._stakes[vm.id] = stake
            self._count(stake, 1)
        return old

    def drop_vm(self, vm: str) -> None:
        self.lift(vm)

    def lift(self, vm: str) -> Stake | None:
        """Takes the VM out of the columns; the answer is for ``settle``."""
        stake = self._stakes.pop(vm, None)
        if stake is not None:
            self._count(stake, -1)
        return stake

    def settle(self, vm: str, stake: Stake | None) -> None:
        """Makes the VM count again as it did when ``lift`` or ``stake`` gave this answer."""
        self.lift(vm)
        if stake is not None:
            self._stakes[vm] = stake
            self._count(stake, 1)

    def stake(self, vm: str) -> Stake | None:
        return self._stakes.get(vm)

    def mark(self) -> Mark:
        columns = {name: getattr(self, name).copy() for name in _CHANGING}
        return Mark(columns, self._strangers.copy(), self.allocated_vcpus)

    def go_back(self, mark: Mark, stakes: dict[str, Stake | None]) -> None:
        """``settle`` for many at once: these VMs, and they alone, have changed since, and no host has."""
        for name, column in mark.columns.items():
            getattr(self, name)[:] = column
        self._strangers, self.allocated_vcpus = mark.strangers, mark.allocated_vcpus
        for vm, stake in stakes.items():
            if stake is None:
                del self._stakes[vm]
            else:
                self._stakes[vm] = stake

    # Zones, and what binds VMs

    def put_zone(self, zone: Zone) -> None:
        self._zones.setdefault(zone.id, len(self._zones))
        if zone.primary:
            self.primary_zones[zone.id] = None
        else:
            self.primary_zones.pop(zone.id, None)

    @property
    def has_rules(self) -> bool:
        """Is there anything but memory, networks and CPU models that binds VMs?"""
        return bool(self.bonds) or any(self._limited.values())

    def seats(self, vm: str) -> Seats:
        stake = self._stakes.get(vm)
        if stake is None:
            return NOWHERE
        here = stake.host if stake.level >= HOLDING else ""
        goal = stake.reserved or ("" if vm in self.moving else here)
        return Seats(tuple(dict.fromkeys(host for host in (here, stake.reserved) if host)), goal)

    def zone_code(self, zone: str) -> int:
        return self._zones.get(zone, -1)

    # What is left

    @property
    def free_cpus(self) -> Ints:
        """That a VM could have for itself."""
        return self.exclusive_cpus - self.held_cpus

    @property
    def free_nics(self) -> Ints:
        return self.nics_max - self.held_nics

    @property
    def free_volumes(self) -> Ints:
        return self.volumes_max - self.held_volumes

    def limits(self, what: str) -> bool:
        """Has any host a limit of "nics" or "volumes"?"""
        return self._limited[what] > 0

    def _limit(self, what: str, row: int, most: int) -> None:
        column = self._whole[f"{what}_max"]
        self._limited[what] += (most > 0) - bool(0 < column[row] < NO_LIMIT)
        column[row] = most or NO_LIMIT

    def copy(self) -> View:
        """A view of the same cluster to try things on; costs one pass over the columns and one over the VMs."""
        twin = View()
        twin.names, twin.rows, twin.allocated_vcpus = self.names[:], self.rows.copy(), self.allocated_vcpus
        twin.kept = self.kept.copy()
        twin._stakes = self._stakes.copy()
        twin._strangers = {host: sums[:] for host, sums in self._strangers.items()}
        twin._bits, twin._models, twin._new_names = self._bits.copy(), self._models.copy(), self._new_names
        twin._networks, twin.down = self._networks.copy(), self.down.copy()
        twin._zones, twin.primary_zones = self._zones.copy(), self.primary_zones.copy()
        twin.bonds, twin._limited = self.bonds.copy(), self._limited.copy()
        twin._whole = {name: column.copy() for name, column in self._whole.items()}
        twin._words = [word.copy() for word in self._words]
        twin._reach()
        return twin

    @property
    def ties(self) -> Ints:
        """Which of two equally good hosts is first: fewer VMs, then name. Both in one number."""
        if self._new_names:
            self._new_names = False
            self._tie[sorted(range(len(self)), key=self.names.__getitem__)] = np.arange(len(self))
            self._tie += self.vm_count << _NAME_BITS
        return self._tie

    def network_bit(self, network: str) -> tuple[int, int] | None:
        """Which column of ``networks`` and which bit of it say that a host has this network; None: no host ever had."""
        number = self._bits.get(network)
        return None if number is None else divmod(number, _WORD_BITS)

    def model_code(self, cpu_model: str) -> int:
        return self._models.get(cpu_model, -1)

    def model_name(self, row: int) -> str:
        return next(name for name, code in self._models.items() if code == self.cpu_model[row])

    def zone_name(self, row: int) -> str:
        return next(name for name, code in self._zones.items() if code == self.zone[row])

    def _count(self, stake: Stake, sign: int) -> None:
        if stake.host:
            self._add(stake.host, sign, stake, stake.level, stake.cpus)
        if stake.reserved:
            self._add(stake.reserved, sign, stake, RUNNING, stake.reserved_cpus)

    def _add(self, host: str, sign: int, stake: Stake, level: int, cpus: int) -> None:
        vcpus, memory_mib = sign * stake.vcpus, sign * stake.memory_mib
        self.allocated_vcpus += vcpus
        row = self.rows.get(host)
        if row is None:
            self._estrange(host, sign, stake, level, cpus)
            return
        if self.changed is not None:
            self.changed.append(row)
        cells = self._cells
        cells.vm_count[row] += sign
        cells._tie[row] += sign << _NAME_BITS
        cells.all_vcpus[row] += vcpus
        cells.all_mib[row] += memory_mib
        if level >= LOST:
            cells.held_mib[row] += memory_mib
            cells.free_mib[row] -= memory_mib
            cells.held_nics[row] += sign * stake.nics
            cells.held_volumes[row] += sign * stake.volumes
            if cpus:
                cells.held_cpus[row] += sign * cpus
        if level == RUNNING:
            cells.running_vcpus[row] += vcpus
            cells.running_mib[row] += memory_mib
        self._divide(row)

    def _estrange(self, host: str, sign: int, stake: Stake, level: int, cpus: int) -> None:
        """Count it for when its host is put."""
        runs, holds = level == RUNNING, level >= LOST
        load = (stake.vcpus * runs, stake.memory_mib * runs, stake.vcpus, stake.memory_mib, stake.memory_mib * holds, 1)
        changes = (*load, cpus * holds, stake.nics * holds, stake.volumes * holds)
        sums = [old + sign * change for old, change in zip(self._strangers.pop(host, _NOTHING), changes, strict=True)]
        if any(sums):
            self._strangers[host] = sums

    def _divide(self, row: int) -> None:
        """The floats that follow from the sums. Divided anew each time: added up, they would drift."""
        cells = self._cells
        memory_mib = cells.memory_mib[row]
        cells.all_share[row] = cells.all_vcpus[row] / cells.cpus[row] + cells.all_mib[row] / memory_mib
        cells.running_share[row] = cells.running_mib[row] / memory_mib
        cells.running_load[row] = cells.running_vcpus[row]

    def _add_row(self, host: str) -> int:
        row = len(self.names)
        if row == len(self._whole["state"]):
            room = max(16, 2 * row)
            self._whole = {name: np.resize(column, room) for name, column in self._whole.items()}
            self._words = [np.resize(word, room) for word in self._words]
        self.names.append(host)
        self.rows[host] = row
        self._new_names = True
        self._reach()
        for name, total in zip(_SUMS, self._strangers.pop(host, _NOTHING), strict=True):
            getattr(self, name)[row] = total
        self.nics_max[row] = self.volumes_max[row] = NO_LIMIT
        return row

    def _reach(self) -> None:
        """Lets the public columns end at the last host."""
        count = len(self.names)
        for name, column in self._whole.items():
            setattr(self, name, column[:count])
        self.networks = [word[:count] for word in self._words]
        # The same memory for single values, as plain ints and floats: twice as fast as an array's own items.
        self._cells = SimpleNamespace(**{name: column.data for name, column in self._whole.items()})
