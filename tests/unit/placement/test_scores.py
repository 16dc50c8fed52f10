from fractions import Fraction

import pytest

from ave.model.host import Host
from ave.model.vm import VM, VMState
from ave.placement.place import place
from ave.placement.purpose import Purpose
from ave.placement.scores import estimate, exact
from tests.unit.placement.clusters import GIB, host, view, vm

RUNNING, STOPPED = VMState.RUNNING, VMState.STOPPED


def score(seen, of, purpose, name) -> Fraction:
    return Fraction(*exact(of, seen, purpose, seen.rows[name])) / 2


def test_a_start_is_scored_by_all_vms_against_the_host():
    seen = view([host("h", 64, 16)], [vm("r", 8, 4, RUNNING, host="h"), vm("s", 16, 2, STOPPED, host="h")])
    assert score(seen, vm("v", 4, 2), Purpose.START, "h") == (Fraction(4 + 2 + 2, 16) + Fraction(8 + 16 + 4, 64)) / 2


def test_a_live_move_is_scored_by_running_vms_against_the_whole_cluster():
    vms = [vm("r", 8, 4, RUNNING, host="h"), vm("s", 16, 2, STOPPED, host="h"), vm("q", 8, 10, RUNNING, host="g")]
    seen = view([host("h"), host("g")], vms)
    expected = (Fraction(4 + 2, 4 + 2 + 10 + 2) + Fraction(8 + 4, 64)) / 2
    assert score(seen, vm("v", 4, 2), Purpose.LIVE, "h") == expected


def test_what_is_in_flight_weighs_like_what_runs():
    seen = view([host("a"), host("b")], [vm("r", 8, 4, STOPPED, reserved="a")])
    assert place(seen, vm("v"), Purpose.START).host == place(seen, vm("v"), Purpose.LIVE).host == "b"


def test_the_emptier_host_wins():
    seen = view([host("a"), host("b")], [vm("r", host="a", state=RUNNING)])
    assert place(seen, vm("v"), Purpose.START).host == "b"


def test_a_stopped_vm_weighs_for_a_start_and_not_for_a_live_move():
    seen = view([host("a"), host("b")], [vm("s", host="a", state=STOPPED)])
    assert place(seen, vm("v"), Purpose.START).host == "b"
    # Equal scores: the host with fewer VMs. With one each, the first name.
    assert place(seen, vm("v"), Purpose.LIVE).host == "b"
    seen.put_vm(vm("t", host="b", state=STOPPED))
    assert place(seen, vm("v"), Purpose.LIVE).host == "a"


def test_the_score_shown_is_the_formula():
    assert place(view([host("h", 64, 16)]), vm("v", 16, 8), Purpose.START).score == (8 / 16 + 16 / 64) / 2


@pytest.mark.parametrize("purpose", Purpose)
def test_of_equal_hosts_the_one_with_fewer_vms_wins_and_then_the_first_by_name(purpose):
    hosts = [host("c"), host("a"), host("b")]
    two, one = [vm("r1", 2, 1), vm("r2", 2, 1)], [vm("r3", 4, 2)]

    def on(name, vms):
        return [VM(id=f"{v.id}-{name}", state=RUNNING, vcpus=v.vcpus, memory_mib=v.memory_mib, host=name) for v in vms]

    assert place(view(hosts, [*on("a", two), *on("b", one), *on("c", one)]), vm("v"), purpose).host == "b"
    assert place(view(hosts, [*on("a", one), *on("b", one), *on("c", one)]), vm("v"), purpose).host == "a"


def test_equal_scores_of_unequal_hosts_are_a_tie():
    # 4/16 + 12/32 = 8/16 + 4/32: the same score by other figures, so the VM count decides, then the name.
    hosts = [Host(id=name, state=host("x").state, cpus=16, memory_mib=32 * GIB) for name in ("a", "b")]
    vms = [vm("r1", 8, 2, RUNNING, host="a"), vm("r2", 0, 3, RUNNING, host="b"), vm("r3", 0, 3, RUNNING, host="b")]
    seen = view(hosts, vms)
    of = vm("v", 4, 2)
    assert score(seen, of, Purpose.START, "a") == score(seen, of, Purpose.START, "b")
    assert place(seen, of, Purpose.START).host == "a"
    seen.put_vm(vm("r4", 0, 0, RUNNING, host="a"))
    assert place(seen, of, Purpose.START).host == "a"
    seen.put_vm(vm("r5", 0, 0, RUNNING, host="a"))
    assert place(seen, of, Purpose.START).host == "b"


@pytest.mark.parametrize("purpose", Purpose)
def test_one_mebibyte_on_hosts_of_64_tebibytes_decides(purpose):
    hosts = [host("a", 64 * 1024, 4096), host("b", 64 * 1024, 4096)]
    crowd = [VM(id=f"r-{h}", state=RUNNING, vcpus=999, memory_mib=2**25 + (h == "a"), host=h) for h in ("a", "b")]
    assert place(view(hosts, crowd), vm("v"), purpose).host == "b"


@pytest.mark.parametrize("purpose", Purpose)
def test_scores_that_no_float_tells_apart_are_decided_exactly(purpose):
    # The quotients differ by 2**-53 or so, and the products of their parts need more than 64 bits.
    whole = 3**33
    hosts = [Host(id=name, state=host("x").state, cpus=7, memory_mib=whole + (name == "a")) for name in ("b", "a")]
    vms = [VM(id=f"r-{h}", state=RUNNING, vcpus=1, memory_mib=5 * 10**14, host=h) for h in ("a", "b")]
    seen = view(hosts, vms)
    of = VM(id="v", vcpus=1, memory_mib=1)
    a, b = (score(seen, of, purpose, name) for name in ("a", "b"))
    assert a < b
    assert float(a) == float(b)
    assert place(seen, of, purpose).host == "a"
    # The other way round, so that the name does not decide.
    swapped = view([Host(id="a", state=host("x").state, cpus=7, memory_mib=whole), hosts[0]], vms)
    swapped.put_host(Host(id="b", state=host("x").state, cpus=7, memory_mib=whole + 1))
    assert place(swapped, of, purpose).host == "b"


def test_a_tie_that_floats_would_break_is_still_a_tie():
    # 2/4 + 2/90 = 2/6 + 17/90, but in floats the second sum comes out lower.
    hosts = [Host(id=name, state=host("x").state, cpus=cpus, memory_mib=90) for name, cpus in (("a", 4), ("b", 6))]
    vms = [VM(id=f"r-{h}", state=RUNNING, vcpus=1, memory_mib=mib, host=h) for h, mib in (("a", 1), ("b", 16))]
    seen = view(hosts, vms)
    of = VM(id="v", vcpus=1, memory_mib=1)
    floats = estimate(of, seen, Purpose.START)
    assert score(seen, of, Purpose.START, "a") == score(seen, of, Purpose.START, "b")
    assert floats[seen.rows["a"]] > floats[seen.rows["b"]]
    assert place(seen, of, Purpose.START).host == "a"


def test_among_ten_thousand_equal_hosts_the_first_name_wins():
    seen = view([host(f"h{n:05}") for n in reversed(range(10_000))])
    choice = place(seen, vm("v"), Purpose.START)
    assert (choice.host, choice.fitting) == ("h00000", 10_000)
