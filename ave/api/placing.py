"""Where VMs would go, by what this host's view knows: for people. The Active scheduler decides by what it knows itself.

Apart from the other answers, because it loads arrays, which a process that is never asked this has no need of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ave.api.admission import require_allowed, require_seen
from ave.api.nouns import NOUNS
from ave.api.questions import QUESTIONS, ExplainVM
from ave.api.shown import Explained, Place
from ave.api.view import View
from ave.model.access import Caller
from ave.model.group import Group
from ave.model.vm import VM, VMState
from ave.model.work import Step
from ave.operations import NewVM
from ave.placement.batch import place_batch, reserving
from ave.placement.explain import explain
from ave.placement.plugged import Plugged
from ave.placement.purpose import Purpose
from ave.placement.snapshot import Snapshot
from ave.placement.told import reasons, sentence
from ave.ports.store import Insert, Replace, Write
from ave.scheduler.steps import PLACE, Placing
from ave.vms.create import require_possible

_USUAL = {VMState.RUNNING: Purpose.LIVE, VMState.UNKNOWN: Purpose.RESCUE}


def explained(view: View, caller: Caller, asked: ExplainVM, plugged: Plugged) -> Explained:
    """Raises NotFound, Denied, Refused: such a VM cannot be."""
    vms = view.docs("vm")
    if asked.new is not None:
        require_allowed(caller, QUESTIONS["vm.explain-placement"].permission, NOUNS["vm"], asked.new.id, None)
        require_possible(asked.new)
        vm = _might_be(asked.new)
        vms = {id: known for id, known in vms.items() if id != vm.id}
    else:
        require_seen(caller, NOUNS["vm"], asked.id, vms.get(asked.id))
        vm = vms[asked.id]
    purpose = asked.purpose or _USUAL.get(vm.state, Purpose.START)
    explanation = explain(_snapshot(view, vms, view.docs("group")).view(), vm, purpose, plugged=plugged)
    return Explained(**msgspec.structs.asdict(explanation), says=sentence(explanation))


def foreseen(view: View, plugged: Plugged, steps: Iterable[Step], writes: Iterable[Write]) -> dict[str, Place]:
    """Where a plan's VMs would go, each beside those before it. ``writes``: what is written when the plan begins."""
    docs: dict[type[Any], dict[str, Any]] = {VM: dict(view.docs("vm")), Group: dict(view.docs("group"))}
    for write in writes:
        if isinstance(write, Insert | Replace) and type(write.doc) in docs:
            docs[type(write.doc)][write.doc.id] = write.doc
    vms, groups = docs.values()
    cluster = _snapshot(view, vms, groups).view()
    places: dict[str, Place] = {}
    for step in steps:
        if step.function != PLACE:
            continue
        asked = msgspec.convert(step.arguments, Placing, strict=False)
        batch = place_batch(
            cluster,
            [vms[id] for id in asked.vms if id in vms],
            asked.purpose,
            by_priority=asked.by_priority,
            only=asked.host,
            leave=asked.leave,
            plugged=plugged,
        )
        for id, choice in batch.placed.items():
            places[id] = Place(host=choice.host)
            cluster.put_vm(reserving(vms[id], choice, asked.purpose))
        places |= {id: Place(why=reasons(refusal)) for id, refusal in batch.refused.items()}
    return places


def _snapshot(view: View, vms: Mapping[str, VM], groups: Mapping[str, Any]) -> Snapshot:
    return Snapshot(
        hosts=tuple(view.docs("host").values()),
        zones=tuple(view.docs("zone").values()),
        groups=tuple(groups.values()),
        vms=tuple(vms.values()),
    )


def _might_be(new: NewVM) -> VM:
    return VM(
        id=new.id,
        vcpus=new.vcpus,
        memory_mib=new.memory_mib,
        cpu_model=new.cpu_model,
        networks=new.networks,
        pinned=new.pinned,
        priority=new.priority,
    )
