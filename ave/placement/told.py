"""Explanations in sentences that an operator can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ave.placement.account import memory, names, pieces, predicate
from ave.placement.filters import FILTERS
from ave.placement.place import TARGET

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ave.errors import NoFit
    from ave.placement.batch import Batch
    from ave.placement.explanation import Explanation

_PHRASES: Final = {rule.name: rule.phrase for rule in FILTERS} | {TARGET: "is ruled out by the request"}


def sentence(of: Explanation) -> str:
    """Where it goes, or why nowhere and what would change that."""
    who = f"{of.vm} ({pieces('vCPU').up(of.vcpus)}, {memory(of.memory_mib).up(of.memory_mib)})"
    if of.choice is None:
        return _refused(who, of)
    of_hosts = pieces("host").up(len(of.hosts))
    fits = f"of {of_hosts} {'all fit' if of.choice.fitting == len(of.hosts) else f'{of.choice.fitting:,} can take it'}"
    text = f"{who} goes to {of.choice.host}: {'; '.join([fits, *_clauses(of)])}. {_because(of)}"
    return f"{text} It has to do without CPUs of its own." if of.choice.unpinned else text


def _refused(who: str, of: Explanation) -> str:
    if not of.hosts:
        return f"{who} fits nowhere: the cluster has no host."
    text = f"{who} fits none of {pieces('host').up(len(of.hosts))}: {', '.join(_clauses(of))}."
    return f"{text} Cheapest change: {of.change.words}." if of.change else text


def _clauses(of: Explanation) -> list[str]:
    return [f"{fate.hosts:,} {fate.says}" for fate in of.fates]


def _because(of: Explanation) -> str:
    first, *others = of.hosts
    second = others[0] if others and others[0].by in ("score", "tie") else None
    if second is None:
        return "No other host came into question."
    if second.by == "tie":
        return f"{second.host} is {second.why}."
    if of.plan == "compact":
        size = memory(0)
        free = f"{size.down(first.free_mib)} free, the next is {second.host} with {size.down(second.free_mib)}"
        return f"Packed, it is the fullest of them: {free}."
    return f"Its score {first.score.score:.3f} is the lowest, the next is {second.host} with {second.score.score:.3f}."


def told(batch: Batch) -> str:
    """How many were placed by which plan, and which were not and why."""
    count = len(batch.placed) + len(batch.refused)
    how = "spread over the hosts that are least loaded"
    if batch.plan == "compact":
        how = f"packed, which places {batch.gained:,} more than spreading them would"
    text = f"{len(batch.placed):,} of {pieces('VM').up(count)} placed{', ' + how if batch.placed else ''}."
    if not batch.refused:
        return text
    return "\n".join([text, *_by_reason(batch.refused.items())])


def _by_reason(refused: Iterable[tuple[str, NoFit]]) -> list[str]:
    alike: dict[str, list[str]] = {}
    for vm, refusal in refused:
        alike.setdefault(reasons(refusal), []).append(vm)
    return [f"Not placed: {names(vms, most=8)}: {why}." for why, vms in alike.items()]


def reasons(refusal: NoFit) -> str:
    """ "of 3 hosts, 2 have too little free memory, 1 is not online"."""
    if not refusal.hosts:
        return "the cluster has no host"
    counts = [
        f"{count:,} {predicate(_PHRASES.get(by, f'is turned away by {by}'), count)}"
        for by, count in refusal.rejected.items()
    ]
    return f"of {pieces('host').up(refusal.hosts)}, {', '.join(counts)}"
