from hypothesis import given
from hypothesis import strategies as st

from ave.model.host import HostState
from ave.model.vm import VMState
from ave.placement.view import View
from tests.reference import placement as reference
from tests.unit.placement.clusters import GIB, clusters, columns, host, some_host, some_vm, tenants, view, vm

SUMS = ("running_vcpus", "running_mib", "all_vcpus", "all_mib", "held_mib", "vm_count")


def sums(of: View, name: str) -> tuple[int, ...]:
    return tuple(int(getattr(of, column)[of.rows[name]]) for column in SUMS)


def test_a_running_vm_counts_in_every_sum():
    assert sums(view([host("h")], [vm("v", 4, 2, VMState.RUNNING, host="h")]), "h") == (2, 4096, 2, 4096, 4096, 1)


def test_a_suspended_or_unknown_vm_holds_memory_but_does_not_run():
    for state in (VMState.SUSPENDED, VMState.UNKNOWN):
        assert sums(view([host("h")], [vm("v", 4, 2, state, host="h")]), "h") == (0, 0, 2, 4096, 4096, 1)


def test_a_stopped_vm_is_assigned_to_its_host_and_holds_nothing():
    assert sums(view([host("h")], [vm("v", 4, 2, VMState.STOPPED, host="h")]), "h") == (0, 0, 2, 4096, 0, 1)


def test_a_migrating_vm_counts_on_both_hosts():
    seen = view([host("a"), host("b")], [vm("v", 4, 2, VMState.RUNNING, host="a", reserved="b")])
    assert sums(seen, "a") == sums(seen, "b") == (2, 4096, 2, 4096, 4096, 1)
    assert seen.allocated_vcpus == 4


def test_a_vm_reserved_where_it_already_holds_memory_counts_once():
    seen = view([host("h")], [vm("v", 4, 2, VMState.RUNNING, host="h", reserved="h")])
    assert sums(seen, "h") == (2, 4096, 2, 4096, 4096, 1)


def test_a_vm_being_started_where_it_last_was_counts_once_and_as_running():
    seen = view([host("h")], [vm("v", 4, 2, VMState.STOPPED, host="h", reserved="h")])
    assert sums(seen, "h") == (2, 4096, 2, 4096, 4096, 1)


def test_a_new_document_of_a_vm_replaces_what_the_old_one_counted():
    seen = view([host("a"), host("b")], [vm("v", 4, 2, VMState.RUNNING, host="a")])
    seen.put_vm(vm("v", 8, 4, VMState.SUSPENDED, host="b"))
    assert sums(seen, "a") == (0, 0, 0, 0, 0, 0)
    assert sums(seen, "b") == (0, 0, 4, 8192, 8192, 1)


def test_a_vm_that_is_dropped_leaves_no_trace():
    seen = view([host("h")])
    before = columns(seen)
    seen.put_vm(vm("v", 4, 2, VMState.RUNNING, host="h", reserved="elsewhere"))
    seen.drop_vm("v")
    seen.drop_vm("never-seen")
    assert columns(seen) == before


def test_a_vm_may_be_known_before_its_host():
    assert sums(view([host("h")], [vm("v", host="h")]), "h") == sums(_vm_first(), "h")


def _vm_first() -> View:
    seen = view([], [vm("v", host="h")])
    seen.put_host(host("h"))
    return seen


def test_vms_outlive_the_document_of_their_host():
    seen = view([host("h"), host("other")], [vm("v", 4, 2, VMState.RUNNING, host="h")])
    seen.drop_host("h")
    assert list(seen.rows) == ["other"]
    seen.put_host(host("h"))
    assert sums(seen, "h") == (2, 4096, 2, 4096, 4096, 1)


def test_a_host_may_change_its_size_while_vms_are_on_it():
    seen = view([host("h", 64, reserve_mib=GIB)], [vm("v", 4, 2, VMState.RUNNING, host="h")])
    seen.put_host(host("h", 128, 32, HostState.MAINTENANCE, reserve_mib=2 * GIB))
    assert columns(seen) == columns(
        view(
            [host("h", 128, 32, HostState.MAINTENANCE, reserve_mib=2 * GIB)],
            [vm("v", 4, 2, VMState.RUNNING, host="h")],
        )
    )


def test_the_view_grows_with_the_cluster():
    hosts = [host(f"h{n:03}", networks=(f"net-{n}",)) for n in range(200)]
    seen = view(hosts, [vm(f"v{n}", state=VMState.RUNNING, host=f"h{n:03}") for n in range(200)])
    assert len(seen) == 200
    assert all(sums(seen, each.id)[-1] == 1 for each in hosts)
    for n in range(200):
        where = seen.network_bit(f"net-{n}")
        assert where is not None
        word, bit = where
        assert [name for name, row in seen.rows.items() if int(seen.networks[word][row]) >> bit & 1] == [f"h{n:03}"]


def test_what_happens_to_a_copy_does_not_happen_to_the_view():
    seen = view([host("a"), host("b")], [vm("v", state=VMState.RUNNING, host="a")])
    before = columns(seen)
    twin = seen.copy()
    assert columns(twin) == before
    twin.put_vm(vm("v", state=VMState.RUNNING, host="b"))
    twin.put_vm(vm("w", state=VMState.RUNNING, host="c"))
    twin.put_host(host("c"))
    twin.drop_host("a")
    assert columns(seen) == before
    seen.put_vm(vm("v", 8, host="a"))
    assert "a" not in twin.rows


@given(clusters, tenants)
def test_the_columns_are_the_sums_of_the_documents(hosts, vms):
    seen = view(hosts, vms)
    for each in hosts:
        total = reference.sums(each.id, vms)
        assert sums(seen, each.id) == tuple(getattr(total, name) for name in SUMS)
        assert seen.free_mib[seen.rows[each.id]] == each.memory_mib - each.reserve_mib - total.held_mib
    assert seen.allocated_vcpus == reference.allocated_vcpus(vms)


@st.composite
def deltas(draw) -> list[tuple[str, object]]:
    made: list[tuple[str, object]] = []
    for _ in range(draw(st.integers(0, 25))):
        name = draw(st.sampled_from(["h0", "h1", "h2", "v0", "v1", "v2", "v3"]))
        there = draw(st.integers(0, 3)) > 0
        made.append((name, draw(some_host(name) if name[0] == "h" else some_vm(name)) if there else None))
    return made


@given(deltas(), st.randoms(use_true_random=False))
def test_only_the_last_document_of_each_matters_and_not_the_order_of_arrival(made, random):
    seen = View()
    last: dict[str, object] = {}
    for name, document in made:
        if document is not None:
            last[name] = document
        else:
            last.pop(name, None)
        _apply(seen, name, document)
    shuffled = list(last.items())
    random.shuffle(shuffled)
    fresh = View()
    for name, document in shuffled:
        _apply(fresh, name, document)
    assert columns(seen) == columns(fresh)


def _apply(seen: View, name: str, document) -> None:
    if name[0] == "v":
        seen.put_vm(document) if document else seen.drop_vm(name)
    elif document:
        seen.put_host(document)
    else:
        seen.drop_host(name)
