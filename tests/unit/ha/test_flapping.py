"""A host that comes back again and again: when it is given no VMs, and when it is trusted again."""

import msgspec

from ave.ha.flapping import QUARANTINE_SECONDS, RETURNS_MAX, STEADY_SECONDS, Standing, returned
from ave.model.host import Host, HostState

ONLINE, JOINING, QUARANTINED = HostState.ONLINE, HostState.JOINING, HostState.QUARANTINED


def host(returns: int, state: HostState = ONLINE, epoch: int = 1) -> Host:
    return Host(id="h", state=state, returns=returns, epoch=epoch, cpus=1, memory_mib=1)


def test_the_second_return_in_a_row_leads_into_quarantine():
    assert [returned(host(n, JOINING)).state for n in (1, 2, 3, 4)] == [ONLINE, QUARANTINED, QUARANTINED, QUARANTINED]
    assert "came back 2 times" in returned(host(RETURNS_MAX, JOINING)).story[-1]


def test_a_return_that_lasted_is_forgotten():
    standing, one = Standing(), host(1)
    assert standing.look({"h": one}, 1000.0) == []
    assert standing.look({"h": one}, 1000.0 + STEADY_SECONDS - 1) == []
    assert standing.look({"h": one}, 1000.0 + STEADY_SECONDS) == [msgspec.structs.replace(one, returns=0)]
    assert standing.look({"h": host(0)}, 2000.0) == []


def test_each_return_begins_the_count_anew_also_one_that_nobody_saw():
    standing = Standing()
    standing.look({"h": host(1, epoch=4)}, 0.0)
    assert standing.look({"h": host(2, epoch=5)}, 299.0) == []
    assert standing.look({"h": host(2, epoch=5)}, 598.0) == []
    assert standing.look({"h": host(2, epoch=5)}, 599.0) != []


def test_a_quarantine_ends_after_half_an_hour_and_for_a_leader_that_is_new_it_begins_again():
    one = host(3, QUARANTINED)
    standing = Standing()
    standing.look({"h": one}, 0.0)
    assert standing.look({"h": one}, QUARANTINE_SECONDS - 1) == []
    (trusted,) = standing.look({"h": one}, QUARANTINE_SECONDS)
    assert (trusted.state, trusted.returns) == (ONLINE, 0)
    assert Standing().look({"h": one}, QUARANTINE_SECONDS) == []


def test_a_host_that_is_down_is_not_trusted_for_having_been_down_for_long():
    standing = Standing()
    for state in (HostState.SUSPECT, HostState.FENCED, HostState.RECOVERED):
        standing.look({"h": host(2, state)}, 0.0)
        assert standing.look({"h": host(2, state)}, 10_000.0) == []
