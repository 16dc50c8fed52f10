"""When a meta leader takes what it sees for its own fault."""

import pytest

from ave.ha.fitness import ASIDE_SECONDS, UNFIT_SECONDS, Fitness
from ave.ha.verdict import Silence
from ave.ports.block import Lease

BEGIN = 1000.0


class Leader:
    """Host a leads, and watches these others second by second; its own lease is always renewed."""

    def __init__(self, *others: str) -> None:
        self.fitness, self.leases = Fitness("a", gap=3.0), Silence(gap=3.0)
        self.now, self.term = BEGIN, 1
        self.counters = dict.fromkeys(("a", *others), 0)
        self.look()

    def look(self, revoked: tuple[str, ...] = ()) -> str:
        found = [Lease(host, counter, host in revoked) for host, counter in self.counters.items()]
        self.leases.look(self.now, self.now, found)
        return self.fitness.look(self.now, self.term, self.leases)

    def watch(self, seconds: float, *, store: bool, heard: tuple[str, ...], revoked: tuple[str, ...] = ()) -> str:
        said = ""
        for _ in range(int(seconds)):
            self.now += 1.0
            for host in ("a", *heard):
                self.counters[host] += 1
            if store:
                self.fitness.answered(self.now)
            said = said or self.look(revoked)
        return said


def test_one_that_has_the_store_and_is_heard_stays():
    assert not Leader("b", "c").watch(200, store=True, heard=("b", "c"))


def test_one_without_the_store_steps_aside_after_its_time_and_not_before():
    leader = Leader("b", "c")
    assert not leader.watch(UNFIT_SECONDS - 1, store=False, heard=("b", "c"))
    assert leader.watch(1, store=False, heard=("b", "c")) == "the store does not answer it for 30 s"


def test_an_answer_in_between_begins_the_count_anew_and_so_does_a_new_term():
    leader = Leader("b", "c")
    for _ in range(3):
        assert not leader.watch(UNFIT_SECONDS - 1, store=False, heard=("b", "c"))
        leader.watch(1, store=True, heard=("b", "c"))
    for term in (2, 3):
        leader.term = term
        assert not leader.watch(UNFIT_SECONDS - 1, store=False, heard=("b", "c"))


def test_time_in_which_it_did_not_look_is_nobodys_fault():
    leader = Leader("b", "c")
    leader.now += 120.0  # it stood still, so the store could not answer
    assert not leader.look()
    assert not leader.watch(UNFIT_SECONDS - 1, store=False, heard=("b", "c"))
    assert leader.watch(1, store=False, heard=("b", "c"))


def test_one_whom_nobody_hears_steps_aside_before_any_lease_has_ended():
    leader = Leader("b", "c", "d")
    assert leader.watch(UNFIT_SECONDS, store=True, heard=()) == "none of 3 hosts has renewed its lease for 30 s"


@pytest.mark.parametrize(
    ("others", "heard", "revoked"),
    [
        (("b", "c", "d"), ("d",), ()),
        (("b",), (), ()),
        (("b", "c"), (), ("b",)),
    ],
    ids=["one other is heard", "there is only one other", "only one other has a lease"],
)
def test_others_that_die_are_no_reason(others: tuple[str, ...], heard: tuple[str, ...], revoked: tuple[str, ...]):
    assert not Leader(*others).watch(200, store=True, heard=heard, revoked=revoked)


def test_it_steps_aside_once_and_then_leads_for_as_long_as_it_may_rest():
    leader = Leader("b", "c")
    assert leader.watch(UNFIT_SECONDS, store=False, heard=())
    leader.fitness.aside(leader.now)
    leader.term = 5  # nobody else could be elected
    assert not leader.watch(ASIDE_SECONDS - 1, store=False, heard=())
    assert leader.watch(1, store=False, heard=())
