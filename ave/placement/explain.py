"""Why a VM goes where it goes, or nowhere: every host with what each rule said of it, from the same masks, penalties and scores
that decide.

The decision itself is made by ``place.decide``; what is told beside it is read from the view as that decision saw it.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np

from ave.errors import NoFit, Refused
from ave.placement.account import names, predicate
from ave.placement.batch import Batch, Terms, Witness, place_batch
from ave.placement.explanation import (
    Choice,
    Explanation,
    Fate,
    HostRecord,
    Penalty,
    Score,
    Verdict,
)
from ave.placement.place import decide
from ave.placement.plugged import NONE, Plugged
from ave.placement.preferences import PREFERENCES, narrowing
from ave.placement.purpose import Purpose
from ave.placement.remedy import Rule, cheapest, rules
from ave.placement.scores import exact, shares
from ave.placement.unit import Unit, alone

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ave.model.vm import VM
    from ave.placement.view import View

SCORE: Final = "score"
TIE: Final = "tie"


def explain(
    view: View, vm: VM, purpose: Purpose, *, only: str = "", exclude: tuple[str, ...] = (), plugged: Plugged = NONE
) -> Explanation:
    """What ``place`` answers to the same request, and why."""
    return explain_unit(view, alone(vm), purpose, only, exclude, False, plugged)


def explain_batch(
    view: View,
    vms: Sequence[VM],
    purpose: Purpose,
    wanted: Sequence[str],
    *,
    by_priority: bool = False,
    only: str = "",
    leave: bool = False,
    plugged: Plugged = NONE,
) -> tuple[Batch, dict[str, Explanation]]:
    """The batch, and some VMs of it explained as the cluster was when each was decided: with those before it in place.

    The batch is decided twice. The first time finds out which of the decisions about a VM was the one that counts (a plan
    may try, take back and try again); the second stops there to look around.
    """
    known = dict.fromkeys(vm.id for vm in vms)
    if strangers := [name for name in wanted if name not in known]:
        raise Refused(f"{names(strangers)} {'is' if len(strangers) == 1 else 'are'} not of the batch")
    asked_for = dict.fromkeys(wanted)
    tries: dict[str, list[tuple[bool, Choice | NoFit]]] = {}
    counts: dict[str, int] = {}
    found: dict[str, Explanation] = {}

    def count(unit: Unit, terms: Terms, compact: bool, answer: Choice | NoFit) -> None:
        for vm in unit.vms:
            if vm.id in asked_for:
                tries.setdefault(vm.id, []).append((compact, answer))

    def look(unit: Unit, terms: Terms, compact: bool, answer: Choice | NoFit) -> None:
        count(unit, terms, compact, answer)
        now = [vm.id for vm in unit.vms if vm.id in asked_for and len(tries[vm.id]) == counts[vm.id]]
        if now:
            exclude = terms.exclude(unit)
            found.update(
                dict.fromkeys(now, explain_unit(view, unit, purpose, terms.only, exclude, compact, terms.plugged))
            )

    def decided(witness: Witness) -> Batch:
        tries.clear()
        return place_batch(
            view,
            vms,
            purpose,
            by_priority=by_priority,
            only=only,
            leave=leave,
            plugged=plugged,
            witness=witness,
        )

    batch = decided(count)
    for name in asked_for:
        final = batch.placed.get(name) or batch.refused[name]
        for number, (compact, answer) in enumerate(tries[name], start=1):
            if compact is (batch.plan == "compact") and _same(answer, final):
                counts[name] = number
    if asked_for:
        decided(look)
    return batch, {name: found[name] for name in asked_for}


def _same(one: Choice | NoFit, other: Choice | NoFit) -> bool:
    if isinstance(one, NoFit) or isinstance(other, NoFit):
        return isinstance(one, NoFit) and isinstance(other, NoFit) and one.rejected == other.rejected
    return one == other


def explain_unit(
    view: View, unit: Unit, purpose: Purpose, only: str, exclude: tuple[str, ...], compact: bool, plugged: Plugged
) -> Explanation:
    choice, rejected = _decided(view, unit, purpose, only, exclude, compact, plugged)
    own = [(vm.id, view.lift(vm.id)) for vm in unit.vms]  # as the decision does
    try:
        chain = rules(view, unit, purpose, only, exclude, plugged)
        look = _Look(view, unit, purpose, compact, chain, _rankings(view, unit, purpose, chain, plugged), choice)
        hosts, fates = look.hosts(), look.fates()
        change = None if choice else cheapest(view, chain)
    finally:
        for id, stake in own:
            view.settle(id, stake)
    return Explanation(
        vm=unit.name,
        vcpus=unit.whole.vcpus,
        memory_mib=unit.whole.memory_mib,
        purpose=purpose,
        plan="compact" if compact else "spread",
        choice=choice,
        rejected=rejected,
        fates=fates,
        change=change,
        hosts=hosts,
    )


def _decided(
    view: View, unit: Unit, purpose: Purpose, only: str, exclude: tuple[str, ...], compact: bool, plugged: Plugged
) -> tuple[Choice | None, dict[str, int]]:
    try:
        choice = decide(view, unit, purpose, only=only, exclude=exclude, compact=compact, plugged=plugged)
        return choice, choice.rejected
    except NoFit as refusal:
        return None, dict(refusal.rejected)


class _Ranking(NamedTuple):
    name: str
    phrase: str
    penalty: list[int]
    best: list[bool]  # of what it was left
    says: Callable[[int], str]


def _rankings(view: View, unit: Unit, purpose: Purpose, rules: list[Rule], plugged: Plugged) -> list[_Ranking]:
    fits = np.ones(len(view), np.bool_)
    for rule in rules:
        fits &= np.array(rule.passes, np.bool_)
    if not fits.any():
        return []
    made = []
    for preference, penalty, best in narrowing(fits, unit, view, purpose, PREFERENCES + plugged.preferences):
        says = preference.says(unit, view) if preference.says else lambda row: ""
        made.append(_Ranking(preference.name, preference.phrase, penalty.tolist(), best.tolist(), says))
    return made


class _Look:
    """One decision, host by host. Asked only while its VMs are lifted out of the view."""

    def __init__(
        self,
        view: View,
        unit: Unit,
        purpose: Purpose,
        compact: bool,
        rules: list[Rule],
        rankings: list[_Ranking],
        choice: Choice | None,
    ) -> None:
        self._view, self._unit, self._purpose, self._compact = view, unit, purpose, compact
        self._rules, self._rankings = rules, rankings
        self._chosen = view.rows[choice.host] if choice else -1
        rows = range(len(view))
        self._failed = [[rule for rule in rules if not rule.passes[row]] for row in rows]
        self._lost = [next((r for r in rankings if not r.best[row]), None) for row in rows]
        whole = unit.whole
        self._worth = (
            [view.free_mib.item(row) for row in rows]
            if compact
            else [Fraction(*exact(whole, view, purpose, row)) for row in rows]
        )
        self._ties = view.ties.tolist()

    def hosts(self) -> tuple[HostRecord, ...]:
        return tuple(self._record(row) for row in sorted(range(len(self._view)), key=self._place))

    def fates(self) -> tuple[Fate, ...]:
        """Those turned away by filter, then those passed over by preference; the others lost by score alone."""
        turned: dict[str, list[int]] = {}
        over: dict[str, list[int]] = {}
        for row, failed in enumerate(self._failed):
            if failed:
                turned.setdefault(failed[0].name, []).append(row)
            elif lost := self._lost[row]:
                over.setdefault(lost.name, []).append(row)
        made = [
            Fate(r.name, len(turned[r.name]), r.account.among(turned[r.name])) for r in self._rules if r.name in turned
        ]
        made.sort(key=lambda fate: -fate.hosts)
        for ranking in self._rankings:
            if rows := over.get(ranking.name):
                hosts = names(self._view.names[row] for row in rows)
                made.append(Fate(ranking.name, len(rows), f"{predicate(ranking.phrase, len(rows))} ({hosts})"))
        return tuple(made)

    def _place(self, row: int) -> tuple[object, ...]:
        failed, lost = self._failed[row], self._lost[row]
        first = self._rules.index(failed[0]) if failed else -1
        over = self._rankings.index(lost) if lost else len(self._rankings)
        return (row != self._chosen, bool(failed), first, -over, self._worth[row], self._ties[row])

    def _record(self, row: int) -> HostRecord:
        view, failed = self._view, self._failed[row]
        outcome: Literal["chosen", "passed over", "turned away"] = "passed over"
        if failed:
            outcome, by, why = "turned away", failed[0].name, "; ".join(rule.account.says(row) for rule in failed)
        elif row == self._chosen:
            outcome, by, why = "chosen", "", self._why_chosen(row)
        else:
            by, why = self._beaten(row)
        cpu, memory = shares(self._unit.whole, view, self._purpose, row)
        return HostRecord(
            host=view.names[row],
            outcome=outcome,
            by=by,
            why=why,
            verdicts=tuple([Verdict(r.name, r.passes[row], r.account.says(row)) for r in self._rules]),
            penalties=tuple([Penalty(r.name, r.penalty[row], r.says(row)) for r in self._rankings]),
            score=Score(float(cpu), float(memory), float((cpu + memory) / 2)),
            free_mib=view.free_mib.item(row),
            vms=view.vm_count.item(row),
        )

    def _why_chosen(self, row: int) -> str:
        return "the fullest host that has room" if self._compact else "the lowest score"

    def _beaten(self, row: int) -> tuple[str, str]:
        """By what, and how it is told."""
        if lost := self._lost[row]:
            return lost.name, lost.says(row) or lost.phrase
        chosen, view = self._chosen, self._view
        if self._worth[row] != self._worth[chosen]:
            return SCORE, "has more memory free" if self._compact else "would be more loaded"
        if view.vm_count[row] != view.vm_count[chosen]:
            return TIE, f"as good, with more VMs ({view.vm_count[row]:,} against {view.vm_count[chosen]:,})"
        return TIE, f"as good, and behind {view.names[chosen]} by name"
