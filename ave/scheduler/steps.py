"""The steps by which Jobs ask for a place, and by which a VM starts where one was found."""

from __future__ import annotations

import msgspec

from ave.model.work import Step
from ave.placement.purpose import Purpose
from ave.scheduler.role import SCHEDULER

PLACE = "place"  # the function, and the name of its step
START = "vm.start"
SETTLE = "vm.settle"  # undoes what a task on a VM has left half done


class Placing(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of a place step."""

    vms: tuple[str, ...]
    purpose: Purpose
    host: str = ""  # only this one
    leave: bool = False  # not the host where it is
    by_priority: bool = False


def place_step(placing: Placing) -> Step:
    """Done by whoever is Active; its facts say where, or why nowhere."""
    return Step(function=PLACE, role=SCHEDULER, arguments=msgspec.to_builtins(placing))


def start_step(vm: str, *needs: str) -> Step:
    """Bound to the host that the place step finds; one that comes to no end is settled there."""
    return Step(function=START, resource=vm, fact=vm, needs=(PLACE, *needs), undo=SETTLE)
