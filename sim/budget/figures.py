"""From trials to figures. Percentiles are by nearest rank; rates are of the tables in ``causes``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from ave.ha.timing import Timing
from sim.budget.causes import BLIPS, FAILURES, HOSTS, LEADER_LOSS, POWER_LOSS, Blip, Failure
from sim.budget.downtime import Sample
from sim.budget.trial import BLIP, Blipped, Trial
from sim.metrics import percentile

PROMISE_SECONDS = 15.0  # from the verdict's time after a loss until the last of a host's VMs has been started
SHARES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))


class Downtime(msgspec.Struct, frozen=True):
    """Of VMs, in seconds. ``back_p99``: from the fault to the next run, as against from the standstill."""

    vms: int
    stopped: int  # of these, how many stood still at all
    missing: int  # of these, how many still stood still at the end of the run
    mean: float
    p50: float
    p95: float
    p99: float
    max: float
    back_p99: float

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Downtime:
        down = [sample.down for sample in samples]
        return cls(
            vms=len(samples),
            stopped=sum(sample.down > 0 for sample in samples),
            missing=sum(sample.missing for sample in samples),
            mean=round(math.fsum(down) / max(1, len(down)), 3),
            back_p99=_percentile([sample.back for sample in samples], 0.99),
            **{name: _percentile(down, share) for name, share in SHARES},
        )


class OfFailure(msgspec.Struct, frozen=True):
    name: str
    what: str
    per_year: float
    runs: int
    downtime: Downtime
    curve: tuple[float, ...]  # the percentiles from 1 to 100


class OfBlip(msgspec.Struct, frozen=True):
    """``fences_per_host_year``: how often a host is fenced that would have come back by itself."""

    name: str
    fault: str
    per_host_year: float
    blips: int
    fenced: int
    fences_per_host_year: float
    downtime: Downtime


class Budget(msgspec.Struct, frozen=True):
    """Of one profile. ``start_p99``: from the moment when any host loses power until a VM's start; ``innocents``: hosts that
    were fenced though nothing had befallen them; ``broken``: what broke an invariant, which voids the rest."""

    profile: str
    give_up: float
    verdict: float
    start_p99: float
    start_promised: float
    false_fences_per_host_year: float
    failure_minutes_per_vm_year: float
    blip_minutes_per_vm_year: float
    innocents: int
    broken: tuple[str, ...]
    failures: tuple[OfFailure, ...]
    blips: tuple[OfBlip, ...]

    @property
    def kept(self) -> bool:
        return not self.broken and not self.innocents and self.start_p99 <= self.start_promised


def budget_of(timing: Timing, trials: Iterable[Trial]) -> Budget:
    """The same whatever the order of the trials."""
    by_cause: dict[str, list[Trial]] = {}
    for trial in sorted(trials, key=lambda trial: trial.task.seed):
        by_cause.setdefault(trial.task.cause, []).append(trial)
    failures = [_of_failure(each, by_cause[each.name]) for each in FAILURES if each.name in by_cause]
    blipped = [blip for trial in by_cause.get(BLIP, []) for blip in trial.blips]
    blips = [_of_blip(each, [blip for blip in blipped if blip.cause == each.name]) for each in BLIPS if blipped]
    every = [trial for trials in by_cause.values() for trial in trials]
    return Budget(
        profile=timing.name,
        give_up=timing.give_up,
        verdict=timing.verdict,
        start_p99=_start_p99(by_cause),
        start_promised=timing.verdict + PROMISE_SECONDS,
        false_fences_per_host_year=round(math.fsum(each.fences_per_host_year for each in blips), 6),
        failure_minutes_per_vm_year=_minutes((each.per_year, each.downtime) for each in failures),
        blip_minutes_per_vm_year=_minutes((each.per_host_year, each.downtime) for each in blips),
        innocents=sum(trial.innocents for trial in every),
        broken=tuple(f"{each.task.cause}, seed {each.task.seed}: {each.broken}" for each in every if each.broken),
        failures=tuple(failures),
        blips=tuple(blips),
    )


def _start_p99(by_cause: dict[str, list[Trial]]) -> float:
    """Both kinds have as many runs, and one host of all leads."""
    others, leader = (
        [sample.back for trial in by_cause.get(name, []) for sample in trial.samples]
        for name in (POWER_LOSS, LEADER_LOSS)
    )
    return _percentile(others * (HOSTS - 1) + leader, 0.99)


def _of_failure(failure: Failure, trials: list[Trial]) -> OfFailure:
    samples = [sample for trial in trials for sample in trial.samples]
    down = [sample.down for sample in samples]
    curve = tuple(_percentile(down, percent / 100) for percent in range(1, 101))
    return OfFailure(
        name=failure.name,
        what=failure.what,
        per_year=failure.per_year,
        runs=len(trials),
        downtime=Downtime.of(samples),
        curve=curve,
    )


def _of_blip(blip: Blip, found: list[Blipped]) -> OfBlip:
    samples = [sample for each in found for sample in each.samples]
    fenced = sum(each.fenced for each in found)
    rate = round(blip.per_host_year * fenced / max(1, len(found)), 6)
    return OfBlip(blip.name, blip.fault, blip.per_host_year, len(found), fenced, rate, Downtime.of(samples))


def _minutes(costs: Iterable[tuple[float, Downtime]]) -> float:
    """What a VM must expect in a year: it shares what befalls its host."""
    return round(math.fsum(per_year * downtime.mean for per_year, downtime in costs) / 60, 4)


def _percentile(sample: Sequence[float], share: float) -> float:
    return round(percentile(sample, share), 3)
