"""Run a scenario file once, in either mode, and write its run directory."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ave import __version__
from ave.errors import Refused
from ave.kinds import KINDS
from sim import azure, traces
from sim.capacity import Utilisation, empty_cluster, replay
from sim.outcome import Outcome, judge, kept
from sim.recorder import Recorder
from sim.report import markdown
from sim.scenario.load import load
from sim.scenario.matrix import variants
from sim.scenario.model import Fleet, Generator, Scenario, TraceFile
from sim.story import Story, Tell
from sim.tables import CAPACITY_METRICS, CATALOGUE
from sim.traces import Workload

Progress = Callable[[str, float, float], None]  # (what, done, of how much)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One run as a user asked for it."""

    file: Path
    seed: int | None = None
    out: Path | None = None
    trace: Path | None = None
    skip_bad_rows: bool = False
    given: tuple[tuple[str, str], ...] = ()  # values in other places of its spec than the file has
    repeat: int | None = None
    vary: tuple[str, ...] = ()  # ranges, of a sweep

    def into(self, out: Path) -> Asked:
        return msgspec.structs.replace(self, out=out)

    @property
    def command(self) -> str:
        words = ["ave", "sim", "sweep" if self.vary else "run", str(self.file)]
        for varied in self.vary:
            words += ["--vary", varied]
        words += ["--seed", str(self.seed)] if self.seed is not None else []
        words += ["--trace", str(self.trace)] if self.trace is not None else []
        words += ["--skip-bad-rows"] if self.skip_bad_rows else []
        words += ["--repeat", str(self.repeat)] if self.repeat is not None else []
        for place, value in self.given:
            words += ["--set", f"{place}={value}"]
        return shlex.join(words)


def plan(asked: Asked, matrix: dict[str, Sequence[str]] | None = None) -> tuple[Scenario, list[Asked]]:
    """The scenario, and every run it asks for. Raises Invalid before anything was run.

    ``matrix`` takes the place of the file's. What is set by hand is varied no more.
    """
    scenario = load(asked.file, CATALOGUE)
    varied = scenario.matrix if matrix is None else matrix
    varied = {place: values for place, values in varied.items() if place not in dict(asked.given)}
    first = scenario.seed if asked.seed is None else asked.seed
    repeat = scenario.repeat if asked.repeat is None else asked.repeat
    once = 1 if repeat > 1 or varied or asked.repeat is not None else None
    runs = []
    for given in variants(varied):
        one = msgspec.structs.replace(asked, given=(*asked.given, *given), repeat=once, out=None)
        if given:
            load(one.file, CATALOGUE, one.given)
        runs += [msgspec.structs.replace(one, seed=seed) for seed in range(first, first + repeat)]
    return scenario, runs


class Bad(msgspec.Struct, frozen=True):
    """Rows of a trace that were left out: how many, and the first of them."""

    count: int = 0
    first: tuple[str, ...] = ()


def run(
    asked: Asked,
    *,
    progress: Progress = lambda what, done, total: None,
    stop: Callable[[], bool] = lambda: False,
    tell: Tell | None = None,
) -> tuple[Outcome, Bad]:
    """Play the scenario. Raises Invalid, BadTrace or Refused before anything was run or written."""
    scenario = load(asked.file, CATALOGUE, asked.given)
    seed = scenario.seed if asked.seed is None else asked.seed
    found, bad = workloads(scenario, asked, seed, progress)
    recorder: Recorder | None = None
    if asked.out is not None:
        asked.out.mkdir(parents=True, exist_ok=True)
    if scenario.mode == "capacity":
        outcome = _capacity(scenario, seed, found, progress, stop)
    else:
        clock: Callable[[], float] = lambda: 0.0  # noqa: E731 - the world's, as soon as there is one
        if asked.out is not None:
            recorder = Recorder(asked.out / "events.jsonl.gz", KINDS, lambda: clock())
        try:
            with Story(scenario, seed=seed, arrivals=found, recorder=recorder, tell=tell) as story:
                clock = lambda: story.cluster.world.now  # noqa: E731
                outcome = story.play(progress=lambda now, end: progress("simulating", now, end), stop=stop)
        finally:
            if recorder is not None:
                recorder.close(partial=stop())
    outcome = msgspec.structs.replace(outcome, skipped_rows=bad.count)
    if asked.out is not None:
        _write(asked, outcome)
    return outcome, bad


def workloads(
    scenario: Scenario, asked: Asked, seed: int, progress: Progress = lambda what, done, total: None
) -> tuple[list[Workload], Bad]:
    """What arrives besides the fleets. A trace named on the command line takes the place of what is not a fleet."""
    entries: list[Any] = [entry for entry in scenario.workload if not isinstance(entry, Fleet)]
    if asked.trace is not None:
        entries = [TraceFile(trace=str(asked.trace), fleet="trace", scale=1.0)]
    found: list[Workload] = []
    bad = Bad()
    for entry in entries:
        if isinstance(entry, Generator):
            span = entry.span_seconds or scenario.duration
            found.append(azure.generate(vms=entry.vms, span=span, seed=seed, name=entry.fleet))
            continue
        path = Path(entry.trace)
        if not path.is_file():
            raise Refused(f"there is no trace file {path}")
        trace = traces.read(
            path,
            skip_bad_rows=asked.skip_bad_rows,
            progress=lambda done, total: progress("reading the trace", done, total),
        )
        found.append(traces.expand(trace, seed=seed, name=entry.fleet, scale=entry.scale))
        bad = Bad(bad.count + trace.skipped, (*bad.first, *(str(row) for row in trace.bad)))
    return found, bad


def _capacity(
    scenario: Scenario, seed: int, workloads: list[Workload], progress: Progress, stop: Callable[[], bool]
) -> Outcome:
    if len(workloads) != 1:
        raise Refused(
            f"a capacity replay needs one generator or trace, this scenario has {len(workloads)}: use --trace FILE"
        )

    until = scenario.duration
    view = empty_cluster(scenario.topology)
    result = replay(
        view,
        workloads[0],
        until=until,
        pack=scenario.batch == "compact",
        stop=stop,
        progress=lambda *done: progress("placing VMs", *done),
    )
    partial = stop()
    metrics = _figures(result)
    judged = tuple(judge(threshold, metrics) for threshold in scenario.thresholds)
    return Outcome(
        name=scenario.metadata.name,
        description=scenario.metadata.description,
        seed=seed,
        mode="capacity",
        simulated_seconds=until,
        partial=partial,
        passed=kept(judged) and not partial,
        metrics=metrics,
        thresholds=judged,
        capacity=result,
    )


def _figures(result: Utilisation) -> dict[str, float]:
    values = (
        result.placed,
        result.refused,
        result.refused / max(1, result.placed + result.refused),
        result.peak.vcpus / max(1, result.cpus),
        result.peak.memory_mib / max(1, result.memory_mib),
        result.peak.empty_hosts,
    )
    return {name: round(float(value), 6) for name, value in zip(CAPACITY_METRICS, values, strict=True)}


def _write(asked: Asked, outcome: Outcome) -> None:
    assert asked.out is not None
    encoded = msgspec.json.format(msgspec.json.encode(outcome), indent=1)
    (asked.out / "summary.json").write_bytes(encoded + b"\n")
    (asked.out / "report.md").write_text(markdown(outcome), encoding="utf-8")
    seeded = msgspec.structs.replace(asked, seed=outcome.seed, out=None)
    (asked.out / "repro.txt").write_text(f"{seeded.command}\n# ave {__version__}\n", encoding="utf-8")
    (asked.out / "scenario.yaml").write_bytes(asked.file.read_bytes())
