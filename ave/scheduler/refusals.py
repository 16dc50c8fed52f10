"""What those are told for whom there is no place: which filters turned the hosts away, and what would help."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ave.model.vm import VM
from ave.model.work import Fact
from ave.placement.batch import Batch, Terms, units
from ave.placement.plugged import Plugged
from ave.placement.remedy import remedy
from ave.placement.view import View
from ave.scheduler.steps import Placing

# Looking for what would help costs some microseconds for each VM and host, and whoever has found a place waits meanwhile.
HELPED: Final = 64  # VMs of a batch, …
LOOKS: Final = 20_000  # … and as many times the hosts, about 0.2 s


def refusals(view: View, vms: Iterable[VM], batch: Batch, asked: Placing, plugged: Plugged) -> dict[str, Fact]:
    """By VM. What would help is said to the first of many, and as things stand with all others of the batch in their places."""
    terms = Terms(purpose=asked.purpose, only=asked.host, leave=asked.leave, plugged=plugged)
    refused = units(view, [vm for vm in vms if vm.id in batch.refused])
    said = {vm: str(why) for vm, why in batch.refused.items()}
    for unit in refused[: max(1, min(HELPED, LOOKS // max(1, len(view))))]:
        if (change := remedy(view, unit, terms)) is not None:
            said |= {vm.id: f"{said[vm.id]}. Cheapest change: {change.words}" for vm in unit.vms}
    return {vm: Fact(refusal=why) for vm, why in said.items()}
