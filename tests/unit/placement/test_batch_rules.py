"""Batches bound by rules: what may never be broken, and how close to the best there is they come."""

from random import Random
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from ave.errors import NoFit
from ave.model.group import Aspect, Group, Rule
from ave.model.host import Host
from ave.model.vm import PRIORITIES, VM, VMState
from ave.placement.batch import place_batch, reserving
from ave.placement.place import place
from ave.placement.purpose import Purpose
from tests.reference import placement as reference
from tests.reference.clusters import some_cluster
from tests.unit.placement.clusters import columns, group, host, view, vm

CLUSTERS = 400
BEFORE = {Purpose.START: VMState.STOPPED, Purpose.LIVE: VMState.RUNNING, Purpose.RESCUE: VMState.UNKNOWN}
MUSTS = (Rule.MUST_SAME_HOST, Rule.MUST_DIFFERENT_HOSTS, Rule.MUST_HOSTS, Rule.MUST_NOT_HOSTS, Rule.MUST_ZONE)


def tally(batch, placed) -> tuple[int, ...]:
    return tuple(sum(each.id in placed for each in batch if each.priority is priority) for priority in PRIORITIES)


@pytest.mark.parametrize("purpose", Purpose)
def test_no_filter_and_no_must_rule_is_violated_by_all_that_were_placed_together(purpose):
    for seed in range(CLUSTERS):
        made = some_cluster(f"batch/{seed}", most_new=10)
        # Nobody holds room for them yet: who is left out would have it back, and others may have had it meanwhile.
        made = made._replace(new=tuple(replace(each, state=BEFORE[purpose], reserved="") for each in made.new))
        # A view knows every VM that is anywhere, also those that are to be placed.
        everyone = {each.id: each for each in (*made.vms, *made.new)}
        seen = made._replace(vms=tuple(everyone.values())).view()
        before = columns(seen)
        answer = place_batch(seen, made.new, purpose, by_priority=seed % 2 == 0, leave=purpose is Purpose.LIVE)
        assert columns(seen) == before
        asked = {each.id: each for each in made.new}
        known = everyone | {name: reserving(asked[name], choice, purpose) for name, choice in answer.placed.items()}
        hosts = {each.id: each for each in made.hosts}
        for name, choice in answer.placed.items():
            others = [other for other in known.values() if other.id != name]
            total = reference.sums(choice.host, others)
            verdict = reference.turned_away_by(hosts[choice.host], total, asked[name], purpose, others, made.groups)
            assert not verdict, (seed, name)


@pytest.mark.parametrize("purpose", Purpose)
def test_vms_that_must_share_a_host_are_placed_whole_or_not_at_all(purpose):
    shared = 0
    for seed in range(CLUSTERS):
        made = some_cluster(f"batch/{seed}", most_new=10)
        answer = place_batch(made.view(), made.new, purpose)
        for rule in made.groups:
            if rule.enabled and rule.rule is Rule.MUST_SAME_HOST:
                mates = [each.id for each in made.new if each.id in rule.vms]
                places = {answer.placed[mate].host if mate in answer.placed else "" for mate in mates}
                assert len(places) <= 1, seed
                shared += len(mates) > 1 and "" not in places
    assert shared > 5, "too few of them were placed to say anything"


def test_a_batch_with_rules_never_places_fewer_than_one_decision_after_the_other():
    for seed in range(CLUSTERS):
        case = some_case(f"fewer/{seed}")
        tied = [each for rule in case.groups if rule.rule is Rule.MUST_SAME_HOST for each in rule.vms]
        batch = [each for each in case.vms if each.id not in tied]  # one by one they are no units
        seen = view(case.hosts, (), case.groups)
        placed = place_batch(seen, batch, Purpose.RESCUE).placed
        alone = 0
        for each in batch:
            try:
                choice = place(seen, each, Purpose.RESCUE)
            except NoFit:
                continue
            alone += 1
            seen.put_vm(reserving(each, choice, Purpose.RESCUE))
        assert len(placed) >= alone, seed


def test_another_host_never_turns_one_fit_into_a_refusal():
    """Of a single decision this holds under every rule: a host is judged by its own facts and by where the VM's mates are.

    It holds of no batch: more room lets another VM have the place, and packing is no monotone art.
    """
    for seed in range(CLUSTERS // 2):
        made = some_cluster(f"larger/{seed}")
        for without in made.hosts:
            fewer = made._replace(hosts=tuple(each for each in made.hosts if each != without)).view()
            for each in made.new:
                for purpose in Purpose:
                    try:
                        fitting = place(fewer, each, purpose).fitting
                    except NoFit:
                        continue
                    assert place(made.view(), each, purpose).fitting >= fitting, seed


def test_the_order_of_hosts_vms_and_groups_does_not_matter_to_a_batch():
    for seed in range(CLUSTERS):
        made = some_cluster(f"order/{seed}", most_new=8)
        random = Random(f"order/{seed}")
        other = made._replace(
            hosts=tuple(random.sample(made.hosts, len(made.hosts))),
            vms=tuple(random.sample(made.vms, len(made.vms))),
            groups=tuple(random.sample(made.groups, len(made.groups))),
        )
        ours, theirs = (place_batch(each.view(), made.new, Purpose.RESCUE, by_priority=True) for each in (made, other))
        assert ours.placed == theirs.placed, seed
        assert list(ours.refused) == list(theirs.refused)


class Case(NamedTuple):
    hosts: list[Host]
    vms: list[VM]
    groups: list[Group]


def some_case(seed: str) -> Case:
    """Up to twelve VMs of about the memory of up to six hosts, and up to three must rules."""
    random = Random(f"case/{seed}")
    hosts = [
        host(f"h{n}", random.randrange(16, 65), zone=random.choice(("east", "west")))
        for n in range(2 + random.randrange(5))
    ]
    vms = [
        vm(f"v{n}", random.randrange(1, 33), priority=random.choice(PRIORITIES)) for n in range(4 + random.randrange(9))
    ]
    groups = []
    for n in range(random.randrange(4)):
        rule = random.choice(MUSTS)
        some = random.sample([each.id for each in vms], 2 + random.randrange(3))
        places = random.sample([each.id for each in hosts], 1 + random.randrange(len(hosts) - 1))
        named = {"hosts": tuple(places)} if rule.aspect in (Aspect.HOSTS, Aspect.NOT_HOSTS) else {}
        groups.append(group(f"g{n}", rule, some, zone="east" if rule.aspect is Aspect.ZONE else "", **named))
    return Case(hosts, vms, groups)


def test_a_small_batch_with_must_rules_comes_close_to_the_best_there_is(record_property):
    gaps = []
    for seed in range(CLUSTERS):
        case = some_case(f"best/{seed}")
        placed = place_batch(view(case.hosts, (), case.groups), case.vms, Purpose.RESCUE, by_priority=True).placed
        ours, best = tally(case.vms, placed), Search(case).best
        gaps.append(next((b - a for a, b in zip(ours, best, strict=True) if a != b), 0))
    record_property(
        "note", f"HA batches with must rules: {gaps.count(0) / len(gaps):.1%} are as good as exhaustive search"
    )
    assert gaps.count(0) >= 0.95 * len(gaps)
    assert min(gaps) >= 0
    assert max(gaps) <= 1


class Search:
    """How many of each priority can be placed, the most urgent counting first: tries everything."""

    def __init__(self, case: Case) -> None:
        self._free = [each.memory_mib - each.reserve_mib for each in case.hosts]
        units = sorted(_parties(case), key=lambda unit: [-count for count in _worth(unit)])
        self._sizes = [sum(each.memory_mib for each in unit) for unit in units]
        self._worths = [_worth(unit) for unit in units]
        self._places = [_places(case, unit) for unit in units]
        self._apart = [
            {other for other in range(len(units)) if other != one and _apart(case, units[one], units[other])}
            for one in range(len(units))
        ]
        self._on: list[set[int]] = [set() for _ in case.hosts]
        self.best: tuple[int, ...] = (0,) * len(PRIORITIES)
        self._go(0, self.best)

    def _go(self, unit: int, placed: tuple[int, ...]) -> None:
        if _sum(placed, *self._worths[unit:]) <= self.best:
            return
        if unit == len(self._sizes):
            self.best = placed
            return
        for row in self._places[unit]:
            if self._free[row] >= self._sizes[unit] and not self._on[row] & self._apart[unit]:
                self._free[row] -= self._sizes[unit]
                self._on[row].add(unit)
                self._go(unit + 1, _sum(placed, self._worths[unit]))
                self._on[row].remove(unit)
                self._free[row] += self._sizes[unit]
        self._go(unit + 1, placed)


def _parties(case: Case) -> list[list[VM]]:
    parties = [[each] for each in case.vms]
    for rule in case.groups:
        if rule.rule is Rule.MUST_SAME_HOST:
            joined = [party for party in parties if any(each.id in rule.vms for each in party)]
            parties = [
                *(party for party in parties if party not in joined),
                [each for party in joined for each in party],
            ]
    return parties


def _worth(unit: list[VM]) -> tuple[int, ...]:
    return tally(unit, [each.id for each in unit])


def _sum(*counts: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*counts, strict=True)))


def _places(case: Case, unit: list[VM]) -> list[int]:
    """Hosts that keep the rules of each of them, by themselves."""
    musts = [rule for rule in case.groups for each in unit if each.id in rule.vms]
    if any(
        rule.rule is Rule.MUST_DIFFERENT_HOSTS and sum(each.id in rule.vms for each in unit) > 1 for rule in case.groups
    ):
        return []
    single = [rule for rule in musts if rule.rule not in (Rule.MUST_SAME_HOST, Rule.MUST_DIFFERENT_HOSTS)]
    return [
        n for n, each in enumerate(case.hosts) if not any(reference.against(rule, each, unit[0], ()) for rule in single)
    ]


def _apart(case: Case, one: list[VM], other: list[VM]) -> bool:
    return any(
        rule.rule is Rule.MUST_DIFFERENT_HOSTS
        and any(each.id in rule.vms for each in one)
        and any(each.id in rule.vms for each in other)
        for rule in case.groups
    )
