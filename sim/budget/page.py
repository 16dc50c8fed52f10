"""The budget in words: Markdown, as a file; and its tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.sim import physics
from sim.budget.campaign import Report
from sim.budget.causes import BLIPS, FAILURES, HOSTS, Blip
from sim.budget.figures import PROMISE_SECONDS, Budget, Downtime
from sim.budget.trial import TOPOLOGY, VMS_OF_A_BLIP, VMS_OF_A_HOST
from sim.report import table

PROFILE_HEAD = (
    "profile",
    "gives up",
    "verdict",
    "start p99 (promised)",
    "false fences",
    "down by failures",
    "down by blips",
)
DOWN_HEAD = ("stopped", "p50", "p95", "p99", "longest", "back p99", "not back")
FAILURE_HEAD = ("failure", "VMs", *DOWN_HEAD)
BLIP_HEAD = ("blip", "played", "fenced", "false fences", *DOWN_HEAD)

INTRODUCTION = """\
A short verdict means short downtime when a host is lost, and more hosts fenced that were only away for a moment. Why every
profile is safe, however it chooses, is told in `docs/ha.md`. `ave sim budget --give-up 50 --verdict 80` measures times of your
own, as long as they are safe."""

READING = f"""\
- **start p99**: any host loses power with {VMS_OF_A_HOST} VMs. In one of {HOSTS} cases it is the one that leads, whose
  successor begins to watch anew. 99 of 100 VMs were started no later after the loss. Promised: verdict + {PROMISE_SECONDS:g} s.
- **false fences**: hosts fenced, per host and year, by something that would have passed by itself. A blip that ends before the
  verdict stops VMs for a while at most; a longer one costs a rescue. The verdict comes sooner on a host that has lost only its
  storage: it says itself that its VMs stand still.
- **down**: minutes that a VM must expect per year, the sum over all causes of how often × the mean. A year has 525,600.
- **Downtime**: from the moment when a VM's vCPUs stop until its next domain runs, looked up in the simulated world. QEMU's own
  start ({physics.BOOT_SECONDS[0]:g} to {physics.BOOT_SECONDS[1]:g} s) and what the guest needs to boot come on top.
  A VM that does not stop counts with 0 s.
- **back**: the same moment, counted from the failure. A guest that is cut off from its storage runs on until its host gives up,
  and is of little use meanwhile: for it this is the figure that matters.
- **not back**: VMs that stood still when the run ended. They are counted up to then, and should be none."""


def page(report: Report, command: str, picture: str) -> str:
    parts = [
        "# What high availability costs",
        INTRODUCTION,
        table(PROFILE_HEAD, profiles(report)),
        f"{verdict(report)} Written by `{command}`.",
        READING,
        "## Downtime",
        f"![Cumulative curves of downtime]({picture})",
    ]
    for budget in report.budgets:
        parts += [_title(budget), table(FAILURE_HEAD, failures(budget))]
        parts += [table(BLIP_HEAD, blips(budget))] if budget.blips else []
    return "\n\n".join([*parts, *_assumptions(report)]) + "\n"


def verdict(report: Report) -> str:
    """A sentence or two: what came of it."""
    for budget in report.budgets:
        if budget.broken:
            return f"VIOLATION: {budget.broken[0]} (profile {budget.profile})."
    late = [budget.profile for budget in report.budgets if budget.start_p99 > budget.start_promised]
    innocent = [budget.profile for budget in report.budgets if budget.innocents]
    said = [f"INTERRUPTED after {report.runs} runs: this is what was known by then."] if report.partial else []
    said += [f"MISSED: VMs are started later than promised ({', '.join(late)})."] if late else []
    said += [f"MISSED: hosts were fenced that nothing had befallen ({', '.join(innocent)})."] if innocent else []
    return " ".join(said) or "Every start was in time, and no host was fenced that nothing had befallen."


def profiles(report: Report) -> list[tuple[str, ...]]:
    return [
        (
            budget.profile,
            f"{budget.give_up:g} s",
            f"{budget.verdict:g} s",
            f"{budget.start_p99:.1f} s ({budget.start_promised:g} s)",
            f"{budget.false_fences_per_host_year:.3f} a year",
            f"{budget.failure_minutes_per_vm_year:.2f} min",
            f"{budget.blip_minutes_per_vm_year:.2f} min",
        )
        for budget in report.budgets
    ]


def failures(budget: Budget) -> list[tuple[str, ...]]:
    return [(each.name, f"{each.downtime.vms:,}", *_down(each.downtime)) for each in budget.failures]


def blips(budget: Budget) -> list[tuple[str, ...]]:
    return [
        (each.name, f"{each.blips:,}", f"{each.fenced:,}", f"{each.fences_per_host_year:.3f}", *_down(each.downtime))
        for each in budget.blips
    ]


def _down(downtime: Downtime) -> tuple[str, ...]:
    times = (downtime.p50, downtime.p95, downtime.p99, downtime.max, downtime.back_p99)
    share = f"{downtime.stopped / max(1, downtime.vms):.0%}"
    return (share, *(f"{seconds:.1f} s" for seconds in times), f"{downtime.missing:,}")


def _title(budget: Budget) -> str:
    return f"### {budget.profile}: gives up after {budget.give_up:g} s, verdict after {budget.verdict:g} s"


def _assumptions(report: Report) -> Sequence[str]:
    shape = TOPOLOGY.shapes[0]
    return (
        "## Assumptions",
        f"{report.runs:,} runs, seeds {report.first} to {report.first + report.seeds - 1}, of a simulated cluster: "
        f"{HOSTS} equal hosts with {shape.cpu} CPUs and {shape.memory_mib // 1024} GiB, of which {TOPOLOGY.masters} carry "
        f"the store and the storage's meta service; {VMS_OF_A_HOST} VMs on each host, {VMS_OF_A_BLIP} in the runs of blips, "
        "all with high availability. One failure happens in a run, or one blip of each kind, each on another host and long "
        "after the last. A failure befalls a host that does not lead, if it does not say so. Nothing befalls many hosts at "
        "once: a switch that takes its rack along is not in here. Every profile sees the same moments, hosts and lengths. How "
        "long the parts of the cluster take is in `drivers/sim/physics.py`, with sources.",
        "**How often things happen is mostly guessed**: times a year, to one host. The rates weigh the sums in the first "
        "table, and change nothing else. Put your own into `sim/budget/causes.py`.",
        table(
            ("failure", "what", "a year", "source"),
            [(each.name, each.what, f"{each.per_year:g}", each.source) for each in FAILURES],
        ),
        "The lengths of blips are given by points of their distribution, with straight lines between them. Of each kind as "
        "many are played as there are seeds, their lengths spread evenly over the distribution.",
        table(
            ("blip", "fault", "a year", "lengths", "source"),
            [(each.name, f"`{each.fault}`", f"{each.per_host_year:g}", _lengths(each), each.source) for each in BLIPS],
        ),
    )


def _lengths(blip: Blip) -> str:
    curve = blip.lengths
    inner = [
        f"{share:.0%} below {value:g} s" for share, value in zip(curve.shares[1:-1], curve.values[1:-1], strict=True)
    ]
    return ", ".join([f"{curve.values[0]:g} to {curve.values[-1]:g} s", *inner])
