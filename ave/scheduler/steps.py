"""The steps by which Jobs ask whoever is Active, and by which a VM starts where a place was found.

What he does for them is elsewhere: to ask loads nothing of what decides.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from ave.model.host import HostState
from ave.model.work import Step
from ave.operations import DescribedGroup
from ave.placement.purpose import Purpose
from ave.scheduler.role import SCHEDULER

PLACE = "place"  # the function, and the name of its step
START = "vm.start"
SETTLE = "vm.settle"  # undoes what a task on a VM has left half done
CLOSE = "host.close"  # the function, and the name of its step
CHANGE = "group.change"  # the function of the step
CLOSED = (HostState.ENTERING_MAINTENANCE, HostState.MAINTENANCE)
MAY_CLOSE = (HostState.ONLINE, HostState.ENTERING_MAINTENANCE)  # the latter: an earlier attempt did


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


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of a close step."""

    host: str
    check_only: bool = False


def close_step(closing: Closing, undo: str = "") -> Step:
    """Done by whoever is Active; its facts say where each VM would go."""
    arguments = msgspec.to_builtins(closing)
    return Step(function=CLOSE, role=SCHEDULER, resource=closing.host, arguments=arguments, undo=undo)


class Change(StrEnum):
    DESCRIBE = "describe"  # from now on it is as described
    ENABLE = "enable"
    DISABLE = "disable"
    DELETE = "delete"


class Changing(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of a change step."""

    change: Change
    wish: DescribedGroup | None = None


def change_step(group: str, change: Change, wish: DescribedGroup | None = None) -> Step:
    """Done by whoever is Active, in one commit: there is nothing to undo."""
    arguments = msgspec.to_builtins(Changing(change=change, wish=wish))
    return Step(function=CHANGE, role=SCHEDULER, resource=group, arguments=arguments)
