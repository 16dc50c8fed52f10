"""Where tasks go: those that are bound to where they must run, and those that any host can do in blocks to idle hosts."""

from collections import Counter

import pytest

from ave.errors import Unavailable
from ave.jobs.crew import BLOCK, Crew
from ave.model.host import Host, HostState
from ave.model.work import Fact, Step
from ave.ports.store import Change
from tests.unit.jobs.center import HOSTS, JobCenter

ANY = Step(function="do")


def lanes(center: JobCenter, steps: list[Step], **facts: Fact) -> list[tuple[str, bool]]:
    return center.ask(Crew(center.ports()).lanes(steps, facts))


def test_a_bound_task_goes_to_its_host_its_role_or_where_an_earlier_step_found():
    steps = [Step(function="do", host="one"), Step(function="do", role="scheduler"), Step(function="do", fact="vm")]
    with JobCenter() as center:
        assert lanes(center, steps, vm=Fact(host="three")) == [("one", True), ("scheduler", True), ("three", True)]


def test_siblings_that_any_host_can_do_go_in_blocks():
    with JobCenter() as center:
        found = lanes(center, [ANY] * (2 * BLOCK + 1))
        assert {bound for _, bound in found} == {False}
        for first in range(0, len(found), BLOCK):
            assert len(set(found[first : first + BLOCK])) == 1, "each block is one host's"


def test_bound_siblings_in_between_do_not_break_a_block():
    mixed = [ANY, Step(function="do", host="two")] * BLOCK
    with JobCenter() as center:
        assert len({host for host, bound in lanes(center, mixed) if not bound}) == 1


def test_over_many_jobs_every_idle_host_gets_its_share():
    with JobCenter() as center:
        shares = Counter(lanes(center, [ANY])[0][0] for _ in range(150))
        assert sorted(shares) == sorted(HOSTS)
        assert min(shares.values()) > 25


def test_without_a_host_that_accepts_vms_those_that_are_there_do_the_work():
    """Found by exploration (J11): two hosts of three were in quarantine or maintenance, the third was lost, and Jobs stood."""
    with JobCenter() as center:
        states = HostState.QUARANTINED, HostState.MAINTENANCE, HostState.SUSPECT
        for host, state in zip(HOSTS, states, strict=True):
            center.store.ledger.commit([Change(Host, host, {}, {"state": state})], 0.0)
        assert {lanes(center, [ANY])[0][0] for _ in range(20)} == set(HOSTS[:2])


def test_without_a_host_that_is_well_those_that_may_be_do_the_work():
    """Found by exploration (J11, seed 214): one host of three was lost, and the disks of the others were full."""
    with JobCenter() as center:
        states = HostState.UNMANAGED, HostState.FENCED, HostState.SUSPECT
        for host, state in zip(HOSTS, states, strict=True):
            center.store.ledger.commit([Change(Host, host, {}, {"state": state})], 0.0)
        assert {lanes(center, [ANY])[0][0] for _ in range(20)} == {HOSTS[0], HOSTS[2]}


def test_without_a_host_that_lives_nothing_is_routed():
    with JobCenter() as center:
        for host in HOSTS:
            center.store.ledger.commit([Change(Host, host, {}, {"state": HostState.FENCED})], 0.0)
        with pytest.raises(Unavailable, match="no host is there"):
            lanes(center, [ANY])
