from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ave.model.group import Aspect
from ave.model.host import Host
from ave.model.vm import PRIORITIES, VM
from ave.model.work import Work, WorkState
from ave.placement.purpose import Purpose
from ave.scheduler.steps import PLACE
from sim.invariants.hard_rules import cut_off, groups_of, unfit
from sim.invariants.shape import Stage, Violation

SMALL = 12, 6  # VMs and hosts: so much is searched through
STEPS = 20_000  # then the search is given up, and proves nothing
SHORT = 1  # VM that a batch may place fewer than the best there is
NO_LIMIT = 1 << 60

Room = tuple[int, int, int]  # memory in MiB, virtual NICs, volumes
Order = list[tuple[int, VM]]  # the place of its priority, and the VM


class RescuesMost:
    """Armed by every rescue batch in which some found no place while nothing but the batch itself moved.

    The more urgent count first, however many of the others could be had for them. Batches that must rules tie together or
    keep apart are left out: who may stand beside whom then depends on the plan. VMs that are to start again where they were
    have that host alone, and none once it is lost: only a rescue that fenced it may take them elsewhere.
    """

    id = "P5"
    phrase = "a rescue places as many as can be placed, the most urgent first; of many, at least as first-fit-decreasing does"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._under_way: dict[str, dict[str, None]] = {}  # place task -> its VMs, while nothing else has moved

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {"work": self.work, "vm": self.vm, "host": self.others, "group": self.others}

    def work(self, change: tuple[str, Work | None]) -> None:
        id, work = change
        if work is None or work.function != PLACE or work.arguments["purpose"] != Purpose.RESCUE:
            return
        if work.state is WorkState.RUNNING:
            self._under_way[id] = dict.fromkeys(work.arguments["vms"])
        elif id in self._under_way:
            del self._under_way[id]
            if work.state is WorkState.DONE:
                self._judge(work)

    def vm(self, change: tuple[str, VM | None]) -> None:
        for task in [task for task, vms in self._under_way.items() if change[0] not in vms]:
            del self._under_way[task]

    def others(self, _: object) -> None:
        self._under_way.clear()

    def _judge(self, work: Work) -> None:
        vms = [vm for name in work.facts if (vm := self._stage.vm(name)) is not None]
        placed = {vm.id: None for vm in vms if work.facts[vm.id].host}
        if len(placed) == len(vms) or any(self._tied(vm) for vm in vms):
            return
        self.armed += 1
        only = work.arguments["host"]
        every: list[Host] = self._stage.store.ledger.find(Host, {}, (), 0, None)
        hosts = [host for host in every if not only or host.id == only]
        fit = {vm.id: [host.id for host in hosts if self._fits(vm, host)] for vm in vms}
        rooms = {host.id: self._room(host, vms) for host in hosts if any(host.id in able for able in fit.values())}
        order = sorted(
            ((PRIORITIES.index(vm.priority), vm) for vm in vms), key=lambda one: (one[0], -one[1].memory_mib)
        )
        got = _tally(order, placed)
        better = ""
        if len(vms) <= SMALL[0] and len(rooms) <= SMALL[1]:
            better = next(_better(order, rooms, fit, got), "")
        elif (decreasing := _first_fit(order, rooms, fit)) > got:
            better = f"first-fit-decreasing places {_words(decreasing)}"
        if better:
            what = f"the rescue of {len(vms)} VMs placed {_words(got)}, and {better}"
            raise Violation(self.id, what, (work.job, *(vm.id for vm in vms if vm.id not in placed)))

    def _fits(self, vm: VM, host: Host) -> bool:
        return not any(unfit(self._stage, vm, host)) and not cut_off(self._stage, vm, host)

    def _tied(self, vm: VM) -> bool:
        aspects = (Aspect.SAME_HOST, Aspect.DIFFERENT_HOSTS)
        return any(group.rule.must and group.rule.aspect in aspects for group in groups_of(self._stage, vm.id))

    def _room(self, host: Host, batch: Sequence[VM]) -> Room:
        """Before the batch was placed. Where they were last, its VMs still count."""
        moving = {vm.id for vm in batch}
        there: list[VM] = []
        for vm in self._stage.store.ledger.shelves_by_name["vm"].docs.values():
            here = vm.host == host.id and vm.holds_memory
            if here or (vm.reserved == host.id and vm.id not in moving):
                there.append(vm)
        return (
            host.memory_mib - host.reserve_mib - sum(vm.memory_mib for vm in there),
            host.nics_max - sum(len(vm.networks) for vm in there) if host.nics_max else NO_LIMIT,
            host.volumes_max - sum(len(vm.media) for vm in there) if host.volumes_max else NO_LIMIT,
        )


def _tally(order: Order, placed: Mapping[str, None]) -> tuple[int, ...]:
    return tuple(sum(place == urgency and vm.id in placed for urgency, vm in order) for place in range(len(PRIORITIES)))


def _words(tally: Sequence[int]) -> str:
    return ", ".join(f"{count} {priority}" for priority, count in zip(PRIORITIES, tally, strict=True))


def _taken(room: Room, vm: VM) -> Room | None:
    """What is left when it has come, if it can."""
    left = (room[0] - vm.memory_mib, room[1] - len(vm.networks), room[2] - len(vm.media))
    return left if min(left) >= 0 else None


def _first_fit(order: Order, rooms: Mapping[str, Room], fit: Mapping[str, list[str]]) -> tuple[int, ...]:
    free, placed = dict(rooms), dict[str, None]()
    for _, vm in order:
        for host in fit[vm.id]:
            if (left := _taken(free[host], vm)) is not None:
                free[host] = left
                placed[vm.id] = None
                break
    return _tally(order, placed)


def _better(
    order: Order, rooms: Mapping[str, Room], fit: Mapping[str, list[str]], got: tuple[int, ...]
) -> Iterator[str]:
    """Tallies that can be had and are better by more than is allowed."""
    for place in range(len(PRIORITIES)):
        wanted = (*got[:place], got[place] + SHORT + 1, *(0 for _ in got[place + 1 :]))
        if _Search(order, fit, wanted).finds(rooms):
            yield f"{_words(wanted)} can be placed"


class _Search:
    """Is there a plan that places so many of each priority? Depth first, at most so many steps."""

    def __init__(self, order: Order, fit: Mapping[str, list[str]], wanted: tuple[int, ...]) -> None:
        self._order, self._fit = order, fit
        self._spare = [
            sum(place == urgency for urgency, _ in order) - count for place, count in enumerate(wanted)
        ]  # VMs that may be left out
        self._steps = STEPS

    def finds(self, rooms: Mapping[str, Room]) -> bool:
        return min(self._spare) >= 0 and self._goes_on(0, dict(rooms))

    def _goes_on(self, number: int, free: dict[str, Room]) -> bool:
        if number == len(self._order):
            return True
        self._steps -= 1
        if self._steps < 0:
            return False
        urgency, vm = self._order[number]
        tried: dict[Room, None] = {}
        for host in self._fit[vm.id]:
            room = free[host]
            if room in tried or (left := _taken(room, vm)) is None:
                continue
            tried[room] = None
            free[host] = left
            if self._goes_on(number + 1, free):
                return True
            free[host] = room
        if self._spare[urgency] == 0:
            return False
        self._spare[urgency] -= 1
        found = self._goes_on(number + 1, free)
        self._spare[urgency] += 1
        return found
