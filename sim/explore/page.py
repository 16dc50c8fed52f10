"""A campaign in words: Markdown, as a file and on a terminal."""

from __future__ import annotations

from sim.explore.campaign import Campaign, file_of
from sim.explore.phases import PHASES, QUIET
from sim.invariants import TABLE
from sim.report import table


def verdict(campaign: Campaign) -> str:
    """One line: what came of it."""
    if campaign.broken:
        broken = dict.fromkeys(trial.broken for trial in campaign.broken)
        return f"VIOLATIONS: {len(campaign.broken)} of {campaign.seeds} seeds broke {', '.join(broken)}"
    if campaign.interrupted:
        return f"INTERRUPTED after {campaign.seeds} seeds, none of which broke anything"
    reasons = []
    if campaign.unfinished:
        reasons.append(f"seeds that did not end: {_listed(campaign.unfinished)}")
    if campaign.unarmed:
        reasons.append(f"never at stake: {', '.join(campaign.unarmed)}")
    return f"VOID: {'; '.join(reasons)}" if reasons else "PASSED"


def summary(campaign: Campaign) -> str:
    faults = sum(campaign.struck.values())
    return (
        f"{campaign.seeds:,} seeds · {campaign.seconds / 3600:,.1f} simulated hours · {faults:,} faults of "
        f"{len(campaign.struck)} kinds · {campaign.cpu_seconds:,.0f} s of CPU time"
    )


def report(campaign: Campaign) -> str:
    asked = campaign.asked
    seeds = f"seeds {asked.first} to {asked.first + asked.seeds - 1}, {asked.hours:g} simulated hours each"
    options = f"--seeds {asked.seeds} --seed {asked.first} --hours {asked.hours:g}"
    written = f"Written by `ave sim explore {options}`; [what is drawn](explore.md)."
    parts = ["# Exploration", written, f"**{verdict(campaign)}**", f"{summary(campaign)} ({seeds})"]
    if campaign.broken:
        rows = [
            (str(trial.seed), trial.broken, f"{trial.at:.1f} s", trial.what, file_of(asked.out, trial.seed).name)
            if asked.out
            else (str(trial.seed), trial.broken, f"{trial.at:.1f} s", trial.what, "")
            for trial in campaign.broken
        ]
        parts += ["## Violations", table(("seed", "invariant", "at", "what", "file"), rows)]
    columns = (QUIET, *PHASES)
    struck = [
        (kind, f"{count:,}", *(f"{campaign.phases.get(kind, {}).get(phase, 0):,}" for phase in columns))
        for kind, count in sorted(campaign.struck.items())
    ]
    parts += [
        "## What struck when",
        "A fault counts for everything that was going on when it struck.",
        table(("fault", "all", *columns), struck),
    ]
    armed = [(invariant.id, invariant.phrase, f"{campaign.armed.get(invariant.id, 0):,}") for invariant in TABLE]
    parts += ["## Invariants", "How often each was at stake:", table(("", "promise", "armed"), armed)]
    return "\n\n".join(parts) + "\n"


def hashes(campaign: Campaign) -> str:
    """A line for each seed: the same seed and code must give the same."""
    return "".join(f"{seed} {hash}\n" for seed, hash in campaign.hashes.items())


def _listed(seeds: list[int], most: int = 10) -> str:
    shown = ", ".join(map(str, seeds[:most]))
    return shown if len(seeds) <= most else f"{shown} and {len(seeds) - most} more"
