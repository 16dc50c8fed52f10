from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from drivers.sim.facts import Effect, Started, Write, Wrote
from sim.invariants.shape import Stage, Violation

VOLUME = "volume/"


class Acknowledged:
    """A batch of writes, and how many records later it was acknowledged last."""

    def __init__(self, batch: tuple[Write, ...], times: int) -> None:
        self.batch, self.times = batch, times
        self.last = True  # of every volume in it?


class AcknowledgedStays:
    """Every VM writes numbered records to its volumes. Armed each time a VM starts from a volume that it has written to,
    and at the end by every such volume."""

    id = "S5"
    phrase = (
        "what a volume has acknowledged is there at every restart, without a gap, and nothing old lies behind the new"
    )

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._by_host: dict[str, Acknowledged] = {}
        self._acknowledged: dict[str, tuple[Write, Acknowledged]] = {}  # volume -> the last write, and of which batch

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {Wrote: self.wrote, Started: self.started, Effect: self.effect, "end": self.end}

    def wrote(self, fact: Wrote) -> None:
        known = self._by_host.get(fact.host)
        if known is not None and known.last and known.batch is fact.batch:
            known.times = fact.times
            return
        known = self._by_host[fact.host] = Acknowledged(fact.batch, fact.times)
        acknowledged = self._acknowledged
        for write in fact.batch:
            if (before := acknowledged.get(write[0])) is not None:
                before[1].last = False
            acknowledged[write[0]] = write, known
        known.last = True

    def effect(self, fact: Effect) -> None:
        """One that is made again under the name of a deleted one is another."""
        if fact.what == "delete" and fact.resource.startswith(VOLUME):
            gone = self._acknowledged.pop(fact.resource.removeprefix(VOLUME), None)
            if gone is not None:
                gone[1].last = False

    def started(self, fact: Started) -> None:
        vm = self._stage.vm(fact.vm)
        if vm is not None and not fact.incoming:
            for volume in vm.volumes:
                self._read(volume)

    def end(self, _: object) -> None:
        for volume in self._acknowledged:
            self._read(volume)

    def _read(self, name: str) -> None:
        if name not in self._acknowledged:
            return
        self.armed += 1
        (_, vm, _, epoch, first), known = self._acknowledged[name]
        record = first + known.times
        volume = self._stage.storage.volumes.get(name)
        runs = volume.records.runs if volume is not None else []
        last = volume.records.last(vm) if volume is not None else 0
        if last < record:
            what = f"{name} acknowledged record {record} of {vm} (epoch {epoch}), and {last} is the last that it has"
            raise Violation(self.id, what, (vm, name))
        for before, after in pairwise(runs):
            if after.epoch < before.epoch:
                what = f"on {name} a record of epoch {after.epoch} ({after.vm}) lies behind those of {before.epoch}"
                raise Violation(self.id, what, (after.vm, name))
            if after.vm == before.vm and after.first != before.last + 1:
                what = f"on {name} record {after.first} of {after.vm} follows record {before.last}"
                raise Violation(self.id, what, (after.vm, name))
