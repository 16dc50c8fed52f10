"""One run: a failure, or one blip of each kind, in a small cluster; and what it cost the VMs."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ave.ha.timing import Timing
from sim.budget.causes import BLIPS, FAILURES, FIRST_SECONDS, HOSTS, MASTERS, event
from sim.budget.downtime import Hit, Sample, Watch
from sim.chance import sample, stream, uniform
from sim.processes import interrupted
from sim.scenario.model import Event, Fleet, Forever, Metadata, Scenario, Shape, Topology, host_name
from sim.story import Story

VMS_OF_A_HOST = 50  # as the promise about rescues has it
VMS_OF_A_BLIP = 10  # who is fenced does not depend on how many it has
GIB = 2**30
ELECTION_SECONDS = 15.0  # the longest until somebody watches again
REST_SECONDS = 60.0  # for what comes after the verdict
CALM_SECONDS = 180.0  # from the end of a blip until the next: a fenced host has long joined again

TOPOLOGY = Topology(
    shapes=(Shape(hosts=HOSTS, cpu=64, memory_mib=512 * 1024, reserve_mib=8 * 1024),),
    masters=MASTERS,
    zones={},
    networks=("vm-net",),
)
BLIP = "blips"  # the name of those runs among the failures


class Task(msgspec.Struct, frozen=True):
    """``place`` of ``places``: which of the campaign's runs of this kind it is."""

    timing: Timing
    cause: str
    seed: int
    place: int
    places: int


class Blipped(msgspec.Struct, frozen=True):
    cause: str
    seconds: float
    fenced: bool
    samples: list[Sample]


class Trial(msgspec.Struct, frozen=True):
    """``partial``: it was stopped, and says nothing. ``broken``: the invariant that it broke."""

    task: Task
    samples: list[Sample] = []
    blips: list[Blipped] = []
    innocents: int = 0
    partial: bool = False
    broken: str = ""


def play(task: Task, stop: Callable[[], bool] = interrupted) -> Trial:
    timeline = blips_of(task) if task.cause == BLIP else failure_of(task)
    rest = CALM_SECONDS if task.cause == BLIP else task.timing.verdict + ELECTION_SECONDS + REST_SECONDS
    end = max(each.at + (each.lasts or 0.0) for each in timeline) + rest
    with Story(_scenario(task, timeline, end), seed=task.seed, timing=task.timing) as story:
        watch = Watch(lambda: story.cluster.world.now)
        story.cluster.listeners.append(watch.listen)
        outcome = story.play(stop=stop)
        missing = watch.close()
    if outcome.partial:
        return Trial(task, partial=True)
    broken = f"{outcome.violation.invariant}: {outcome.violation.what}" if outcome.violation else ""
    if task.cause == BLIP:
        blips = _blipped(timeline, watch.hits, missing)
        return Trial(task, blips=blips, innocents=len(watch.innocents), broken=broken)
    harmful = [hit for hit in watch.hits if hit.harms] or watch.hits
    samples = [each for hit in harmful for each in hit.samples(missing)]
    return Trial(task, samples, innocents=len(watch.innocents), broken=broken)


def failure_of(task: Task) -> tuple[Event, ...]:
    """The same for every profile, but for what depends on its times."""
    failure = next(failure for failure in FAILURES if failure.name == task.cause)
    return failure.strike(stream(task.seed, f"budget/{task.cause}"), task.timing)


def blips_of(task: Task) -> tuple[Event, ...]:
    """One of each kind, each on a host of its own, far apart. Over a campaign the lengths are spread evenly over their
    distribution: each run draws from its own stretch of it."""
    source = stream(task.seed, f"budget/{BLIP}")
    names = [host_name(number, HOSTS) for number in range(1, HOSTS + 1)]
    at = uniform(source, *FIRST_SECONDS)
    timeline = []
    for blip in BLIPS:
        (host,) = sample(source, names, 1)
        names.remove(host)
        seconds = blip.lengths.at((task.place + source.random()) / task.places)
        timeline.append(event(blip.fault, at, host, seconds))
        at += seconds + CALM_SECONDS
    return tuple(timeline)


def _blipped(timeline: tuple[Event, ...], hits: list[Hit], missing: set[str]) -> list[Blipped]:
    """They begin in the order of the table; a run that broke may not have come to all of them."""
    pairs = zip(BLIPS, timeline, hits, strict=False)
    return [Blipped(blip.name, each.lasts or 0.0, hit.fenced, hit.samples(missing)) for blip, each, hit in pairs]


def _scenario(task: Task, timeline: tuple[Event, ...], end: float) -> Scenario:
    vms = VMS_OF_A_BLIP if task.cause == BLIP else VMS_OF_A_HOST
    fleet = Fleet(
        fleet="web",
        count=vms * HOSTS,
        vcpu=1,
        memory_mib=4 * 1024,
        disk_bytes=20 * GIB,
        ha=True,
        priority="medium",
        life=Forever(),
    )
    return Scenario(
        metadata=Metadata(task.cause),
        mode="cluster",
        seed=task.seed,
        duration=end,
        topology=TOPOLOGY,
        workload=(fleet,),
        timeline=timeline,
    )
