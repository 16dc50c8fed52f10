"""Who leads the storage's meta service of real processes, and what its file is worth when it is damaged."""

import threading
from contextlib import ExitStack, closing

import pytest

from ave.errors import Refused, Unavailable
from ave.ports.block import Grant
from drivers.meta import SILENT_SECONDS, MetaService
from tests.contracts.labs import ProcessLab


class Watch:
    """A clock that goes when it is told."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def hosts(tmp_path):
    """host -> (its meta service, its clock); all have joined."""
    (tmp_path / "storage").mkdir()
    found = {}
    for host in "abc":
        clock = Watch()
        found[host] = (MetaService(tmp_path, host, clock), clock)
        found[host][0].join(host, "boot")
    return found


def renew(hosts, host, after=0.0, may_lead=True):
    service, clock = hosts[host]
    clock.now += after
    return service.renew(host, "boot", may_lead=may_lead)


def test_process_who_renews_first_leads_if_it_may(hosts):
    assert renew(hosts, "a", may_lead=False) == Grant("", 0)
    assert renew(hosts, "b") == renew(hosts, "a") == Grant("b", 1)


def test_process_a_leader_that_is_silent_under_somebodys_eyes_is_replaced(hosts):
    renew(hosts, "a")
    assert renew(hosts, "b") == Grant("a", 1)
    assert renew(hosts, "b", SILENT_SECONDS / 2) == Grant("a", 1)
    assert renew(hosts, "c", 1000.0) == Grant("a", 1), "it has only begun to look"
    assert renew(hosts, "b", SILENT_SECONDS / 2, may_lead=False) == Grant("a", 1), "it may not lead"
    assert renew(hosts, "b") == Grant("b", 2)
    assert renew(hosts, "a", 1000.0) == Grant("b", 2), "the old leader comes back"
    with pytest.raises(Unavailable, match="a does not lead"):
        hosts["a"][0].leases()
    assert {lease.host for lease in hosts["b"][0].leases()} == {"a", "b", "c"}


def test_process_who_stepped_aside_leads_again_if_nobody_else_wants_to(hosts):
    renew(hosts, "a")
    hosts["a"][0].step_aside(300.0)
    for _ in range(2):
        assert renew(hosts, "a", SILENT_SECONDS / 2).leader == ""
    assert renew(hosts, "b", may_lead=False).leader == "", "it may not"
    for _ in range(4):
        found = renew(hosts, "a", SILENT_SECONDS / 2)
    assert found.leader == "a"
    assert found.term > 1


def test_process_a_leader_beside_whom_nobody_has_a_lease_stays(hosts):
    renew(hosts, "a")
    for host in "bc":
        hosts["a"][0].revoke(host, 0)
    with pytest.raises(Refused, match="no other"):
        hosts["a"][0].step_aside(300.0)
    assert renew(hosts, "a") == Grant("a", 1)


def test_process_a_leader_that_renews_stays_and_a_gap_in_the_looking_proves_nothing(hosts):
    renew(hosts, "a")
    for _ in range(10):
        renew(hosts, "a", 5.0)
        assert renew(hosts, "b", 5.0) == Grant("a", 1)
    assert renew(hosts, "b", 5.0) == Grant("a", 1)
    assert renew(hosts, "b", SILENT_SECONDS + 1.0) == Grant("a", 1), "it was not looking meanwhile"
    assert renew(hosts, "b", 5.0) == Grant("a", 1)
    assert renew(hosts, "b", 5.0) == Grant("b", 2)


def test_process_of_many_that_would_replace_a_silent_leader_one_does(hosts):
    renew(hosts, "a")
    for after in (0.0, SILENT_SECONDS / 2):
        for host in "bc":
            renew(hosts, host, after)
    grants = []
    with ExitStack() as stack:
        for host in "bc":
            hosts[host][1].now += SILENT_SECONDS / 2
            thread = threading.Thread(target=lambda host=host: grants.append(renew(hosts, host)))
            stack.callback(thread.join, 10)
            thread.start()
    assert len(grants) == 2
    assert grants[0] == grants[1]
    assert grants[0].term == 2
    assert grants[0].leader in "bc"


def test_process_leases_that_cannot_be_read_are_unavailable_and_not_none(tmp_path):
    with closing(ProcessLab(tmp_path)) as lab:
        (lab.root / "storage" / "meta.json").write_bytes(b"{")
        for verb, given in (("renew", ("a", "boot")), ("join", ("a", "boot")), ("leases", ()), ("revoke", ("a", 1))):
            with pytest.raises(Unavailable, match="the storage's leases cannot be read"):
                lab.call("a", 1, verb, *given)
