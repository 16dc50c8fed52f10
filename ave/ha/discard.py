"""Discard what a Job left half made or half deleted when it was given up: VMs, and volumes that belong to none.

Only what is half done once its lock is held goes: of a name that was made anew meanwhile, nothing is left to discard.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ave.jobs.verb import Found, Split, Verb, each
from ave.model.vm import VM, VMState
from ave.model.volume import Volume, VolumeState
from ave.model.work import Result, Step
from ave.operations import DiscardHalfDone

NAME = "ha.discard"
HALF_DONE: Mapping[type[Any], tuple[str, ...]] = {
    VM: (VMState.CREATING, VMState.DELETING),
    Volume: (VolumeState.CREATING, VolumeState.DELETING),
}
# The undo of what makes one, which is a delete.
FUNCTIONS: Mapping[type[Any], str] = {VM: "vm.discard", Volume: "volume.discard"}


def split(request: DiscardHalfDone, found: Found) -> Split:
    steps: dict[str, Step] = {}
    results: dict[str, Result] = {}
    for name, function, half_done in _each(found):
        if half_done:
            steps[f"{function}/{name}"] = Step(function=function, resource=name)
        else:
            results[f"{function}/{name}"] = Result(True, "nothing of it is half done any more")
    return Split(steps=steps, results=results)


def _each(found: Found) -> Iterator[tuple[str, str, bool]]:
    for kind, states in HALF_DONE.items():
        for name, doc in found.of(kind).items():
            yield name, FUNCTIONS[kind], doc is not None and doc.state in states


DISCARD = Verb(
    operation=NAME,
    resources=lambda request: (*each(VM, request.vms), *each(Volume, request.volumes)),
    split=split,
)
