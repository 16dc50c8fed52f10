"""All mutants, in the order of their numbers; those without one come last."""

from __future__ import annotations

from types import ModuleType

from tests.mutants import ha, jobs, placement, state
from tests.mutants.mutant import Mutant

MODULES: tuple[ModuleType, ...] = (ha, jobs, placement, state)
MODULE_OF: dict[str, ModuleType] = {mutant.label: module for module in MODULES for mutant in module.ROWS}
MUTANTS: dict[str, Mutant] = {
    mutant.label: mutant
    for mutant in sorted(
        (mutant for module in MODULES for mutant in module.ROWS), key=lambda mutant: (not mutant.number, mutant.number)
    )
}

#: Bugs of code that does not exist yet: what is broken, and with what they come.
LATER: dict[int, tuple[str, str]] = {
    27: ("a snapshot counts as taken when one disk of two is", "snapshots"),
    28: ("a guest stays frozen when its snapshot fails", "snapshots"),
    29: ("a rollback does not look whether the VM runs", "snapshots"),
    30: ("a chunk of an upload is applied without looking at its offset", "ISO images"),
    40: ("a console's token is good for any VM", "consoles"),
    41: ("the format of an image is guessed from its content", "images"),
    44: ("a release writes a field that the one before cannot read", "upgrades"),
}
