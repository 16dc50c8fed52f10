"""How long things took in both worlds, and which time of the simulated hardware each sets. The table is its source's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from sim.worlds.chronicle import Moment
from sim.worlds.compare import Thing


class Measure(msgspec.Struct, frozen=True):
    """The time from one state of a thing to the next one. ``first`` "": from the entry of the timeline before that."""

    phrase: str
    scenario: str
    what: str
    first: str  # how the states begin
    then: str
    sets: str  # the times of the hardware


_STEPS = ("waiting", "ready")  # of a Job: while its tasks are done

MEASURES = (
    Measure("a VM is started", "power", "vm web-1", "starting", "running", "attach, define, boot"),
    Measure("a VM is suspended", "power", "job vm.suspend 1", *_STEPS, "pause"),
    Measure("a VM goes on", "power", "job vm.resume 1", *_STEPS, "resume"),
    Measure("a VM is forced off", "power", "job vm.poweroff 1", *_STEPS, "destroy"),
    Measure("a guest obeys the power button", "shutdown", "job vm.shutdown 1", *_STEPS, "shutdown"),
    Measure("a VM of 192 MiB moves", "migration", "job vm.migrate 1", *_STEPS, "migration_mib_per_second"),
    Measure("two volumes are made", "volumes", "job volume.create 1", *_STEPS, "volume_create"),
    Measure("two volumes are grown", "volumes", "job volume.grow 1", *_STEPS, "volume_grow"),
    Measure("two volumes are deleted", "volumes", "job volume.delete 1", *_STEPS, "volume_delete"),
    Measure(
        "a killed node works again, and does what it was at",
        "node-killed",
        "job vm.shutdown 1",
        *_STEPS,
        "process_restart",
    ),
    Measure("a host with power again says what it lost", "host-reboot", "vm web-2", "", "unknown", "machine_boot"),
)


class Taken(msgspec.Struct, frozen=True):
    """Seconds in either world; None where that was not seen."""

    measure: Measure
    simulated: float | None
    real: float | None


def taken(found: Mapping[str, Sequence[Thing]]) -> list[Taken]:
    """``found``: what was compared, by scenario."""
    seen = []
    for measure in MEASURES:
        thing = next((each for each in found.get(measure.scenario, ()) if each.what == measure.what), None)
        if thing is not None:
            simulated, real = (_seconds(measure, thing, each) for each in (thing.simulated, thing.real))
            seen.append(Taken(measure, simulated, real))
    return seen


def _seconds(measure: Measure, thing: Thing, moments: Sequence[Moment]) -> float | None:
    began: float | None = None
    for place, moment in enumerate(moments):
        if moment.state.startswith(measure.then):
            if not measure.first and place and thing.pairs:
                began = thing.pairs[place - 1].since
            if began is not None:
                return moment.at - began
        if measure.first and moment.state.startswith(measure.first):
            began = moment.at
    return None
