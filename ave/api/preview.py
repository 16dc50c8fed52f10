"""A dry run: what a request would do, found out by the very function that a Leader splits it with, and nothing written."""

from __future__ import annotations

from typing import Any

import msgspec

from ave.api.floor import Floor
from ave.api.shown import Place
from ave.jobs.leader import owned
from ave.jobs.quota import growth, room
from ave.jobs.verb import Found, Resource
from ave.model.work import Result, Step
from ave.operations import Operation
from ave.ports.store import In
from ave.scheduler.steps import PLACE
from ave.verbs import VERBS


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A task that there would be. ``where``: a host, a role, or ``any``; or the host that an earlier step finds."""

    step: str
    function: str
    resource: str
    where: str
    needs: tuple[str, ...]


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """``refused``: what would fail at once, and why. ``locks``: what would be locked meanwhile. ``places``: VM -> where the
    scheduler would put it, were it asked now."""

    operation: str
    locks: tuple[str, ...]
    refused: dict[str, Result]
    tasks: tuple[Planned, ...]
    places: dict[str, Place] = {}
    dry_run: bool = True


async def preview(floor: Floor, operation: Operation, request: Any, tenant: str) -> Preview:
    """Raises Refused as a Leader would."""
    verb = VERBS[operation.name]
    resources = verb.resources(request)
    store = floor.ports.store
    wanted: dict[type[Any], dict[str, None]] = {}
    for kind, id in (*resources, *verb.also(request)):
        wanted.setdefault(kind, {})[id] = None
    docs: dict[Resource, Any] = {}
    for kind, ids in wanted.items():
        there = {doc.id: doc for doc in await store.find(kind, {"id": In(tuple(ids))})}
        docs |= {(kind, id): there.get(id) for id in ids}
    for kind in verb.whole(request):
        docs |= {(kind, doc.id): doc for doc in await store.find(kind)}
    split = verb.split(request, Found(docs))
    await room(store, growth([owned(write, tenant) for write in split.writes], docs))
    steps = {**split.steps, **{name: step for group in split.groups.values() for name, step in group.items()}}
    places: dict[str, Place] = {}
    if any(step.function == PLACE for step in split.steps.values()):
        from ave.api.placing import foreseen  # loads arrays: not before somebody asks

        floor.view.require_fed()
        places = foreseen(floor.view, floor.plugged, split.steps.values(), split.writes)
    return Preview(
        operation=operation.name,
        locks=tuple(f"{kind.__name__.lower()}/{id}" for kind, id in resources),
        refused={id: result for id, result in split.results.items() if not result.ok},
        tasks=tuple(_planned(name, step) for name, step in steps.items()),
        places=places,
    )


def _planned(name: str, step: Step) -> Planned:
    where = step.host or step.role or (f"the host that {step.fact} finds" if step.fact else "any")
    return Planned(step=name, function=step.function, resource=step.resource, where=where, needs=step.needs)
