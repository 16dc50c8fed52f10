"""A run in words: Markdown for a file or a review, plain lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from sim.metrics import METRICS
from sim.outcome import Outcome
from sim.tables import CAPACITY_METRICS, CATALOGUE

BARS = " ▁▂▃▄▅▆▇█"


def verdict(outcome: Outcome) -> str:
    """One line: what became of it."""
    if outcome.violation is not None:
        return f"VIOLATION of {outcome.violation.invariant} at {clock(outcome.violation.at)}: {outcome.violation.what}"
    if outcome.partial:
        return f"INTERRUPTED at {clock(outcome.simulated_seconds)}: what follows is what was known by then"
    failed = [j.expr for j in outcome.thresholds if not j.passed and j.severity == "fail"]
    failed += [f"{met.what} (but {met.found})" for met in outcome.expected if not met.passed]
    if failed:
        return f"FAILED: {'; '.join(failed)}"
    if outcome.unarmed:
        return f"FAILED: never put at stake, though the scenario promises to: {', '.join(outcome.unarmed)}"
    return "PASSED"


def clock(seconds: float) -> str:
    """Simulated time as h:mm:ss.s, with days in front when there are any."""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    days, hours = divmod(hours, 24)
    text = f"{hours:02d}:{minutes:02d}:{rest:04.1f}"
    return f"{days}d {text}" if days else text


def figure(name: str, value: float) -> str:
    """A metric's value with its unit."""
    unit = METRICS.get(name) or CAPACITY_METRICS[name]
    if unit == "seconds":
        return f"{value:,.1f} s"
    if unit == "ratio":
        return f"{value:.2%}"
    return f"{value:,.0f}"


def rows(outcome: Outcome) -> list[tuple[str, str]]:
    """The metrics that say something, with their values."""
    wanted = CAPACITY_METRICS if outcome.mode == "capacity" else outcome.metrics
    return [(name, figure(name, outcome.metrics[name])) for name in wanted if outcome.metrics[name] or name in _ALWAYS]


_ALWAYS = (
    "ha.waiting",
    "jobs.failed",
    "jobs.open",
    "placement.refused",
    "capacity.refused",
    "capacity.empty_hosts.min",
)


def markdown(outcome: Outcome) -> str:
    """The whole report."""
    parts = [
        f"# {outcome.name}",
        outcome.description,
        f"**{verdict(outcome)}** · seed {outcome.seed} · {clock(outcome.simulated_seconds)} simulated",
        "## Figures",
        table(("metric", "value"), rows(outcome)),
    ]
    if outcome.thresholds:
        judged = [
            (f"`{j.expr}`", f"{j.value:g}", "kept" if j.passed else f"missed ({j.severity})")
            for j in outcome.thresholds
        ]
        parts += ["## Thresholds", table(("threshold", "value", ""), judged)]
    if outcome.expected:
        met = [(m.what, "kept" if m.passed else f"missed: {m.found}") for m in outcome.expected]
        parts += ["## Expectations", table(("expectation", ""), met)]
    if outcome.armed:
        armed = [(id, CATALOGUE.invariants[id], f"{count:,}") for id, count in outcome.armed.items()]
        parts += ["## Invariants", "How often each was at stake:", table(("", "promise", "armed"), armed)]
    if outcome.violation is not None:
        lines = [f"{event.at:12.3f}  {event.text}" for event in outcome.violation.slice]
        parts += ["## What led to the violation", "```", *lines, "```"]
    if outcome.capacity is not None:
        parts += ["## Capacity", *capacity_lines(outcome)]
    return "\n\n".join(part for part in parts if part) + "\n"


def capacity_lines(outcome: Outcome) -> list[str]:
    """Refusals by filter and utilisation over time, as text."""
    result = outcome.capacity
    assert result is not None
    refused = [
        (name, f"{count:,}", f"{result.turned_away.get(name, 0):,}") for name, count in result.refused_by.items()
    ]
    series = result.series
    lines = [table(("refused by", "VMs", "hosts it turned away"), refused)] if refused else ["No VM was refused."]
    cpu = [used / max(1, result.cpus) for used in series.vcpus]
    memory = [used / max(1, result.memory_mib) for used in series.memory_mib]
    empty = [hosts / max(1, result.hosts) for hosts in series.empty_hosts]
    charts = [f"{name:>12} {sparkline(values)} {_range(values)}" for name, values in _charts(cpu, memory, empty)]
    return [*lines, "```", *charts, "```"]


def _charts(cpu: list[float], memory: list[float], empty: list[float]) -> list[tuple[str, list[float]]]:
    return [("vCPU", cpu), ("memory", memory), ("empty hosts", empty)]


def _range(values: list[float]) -> str:
    return f"{min(values):.0%} … {max(values):.0%}, at the end {values[-1]:.0%}" if values else ""


def sparkline(values: list[float], width: int = 60) -> str:
    """Values from 0 to 1 (what is above is cut), each column the mean of its share of them."""
    if not values:
        return ""
    width = min(width, len(values))
    columns = []
    for column in range(width):
        part = values[column * len(values) // width : (column + 1) * len(values) // width]
        columns.append(sum(part) / len(part))
    return "".join(BARS[min(len(BARS) - 1, max(0, round(value * (len(BARS) - 1))))] for value in columns)


def table(head: tuple[str, ...], body: Iterable[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in body)])
