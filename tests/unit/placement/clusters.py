"""Clusters for the placement tests: small builders, and strategies that like ties, full hosts and odd states."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st

from ave.model.host import Host, HostState
from ave.model.vm import PRIORITIES, VM, VMState
from ave.placement.view import View

GIB = 1024
NETWORKS = ("back", "front", "san")
MODELS = ("any", "new", "old")


def host(name: str, memory_gib: int = 64, cpus: int = 16, state: HostState = HostState.ONLINE, **facts) -> Host:
    return Host(id=name, state=state, cpus=cpus, memory_mib=memory_gib * GIB, **facts)


def vm(name: str, memory_gib: int = 4, vcpus: int = 2, state: VMState = VMState.CREATING, **facts) -> VM:
    return VM(id=name, state=state, vcpus=vcpus, memory_mib=memory_gib * GIB, **facts)


def view(hosts: Iterable[Host], vms: Iterable[VM] = ()) -> View:
    made = View()
    for each in hosts:
        made.put_host(each)
    for one in vms:
        made.put_vm(one)
    return made


def columns(of: View) -> dict[str, dict[str, object]]:
    """All that a view says of each host, whatever the order of its rows and the codes it hands out."""
    facts = ("state", "cpus", "memory_mib", "reserve_mib", "free_mib", "per_cpu", "per_mib")
    sums = ("running_vcpus", "running_mib", "all_vcpus", "all_mib", "held_mib", "vm_count")
    names = (*facts, *sums, "all_share", "running_share", "running_load", "ties")
    return {
        name: {column: getattr(of, column)[row].item() for column in names}
        | {"networks": [network for network in NETWORKS if _has(of, network, row)]}
        | {"model": [model for model in MODELS if of.model_code(model) == of.cpu_model[row]]}
        for name, row in sorted(of.rows.items())
    } | {"": {"allocated_vcpus": of.allocated_vcpus}}


def _has(of: View, network: str, row: int) -> bool:
    where = of.network_bit(network)
    return where is not None and bool(int(of.networks[where[0]][row]) >> where[1] & 1)


host_names = st.sampled_from([f"h{n}" for n in range(7)])
sizes = st.one_of(st.sampled_from([1, 2, 4, 8, 16]), st.integers(1, 40))
networks = st.lists(st.sampled_from(NETWORKS), unique=True, max_size=3).map(tuple)
mostly_online = st.one_of(st.just(HostState.ONLINE), st.just(HostState.ONLINE), st.sampled_from(HostState))


@st.composite
def some_host(draw, name: str) -> Host:
    # Multiples of a few sizes, so that equal scores and exactly full hosts are common.
    return Host(
        id=name,
        state=draw(mostly_online),
        cpus=draw(st.one_of(st.sampled_from([8, 16]), st.integers(1, 200))),
        memory_mib=draw(st.one_of(st.sampled_from([32, 64]), st.integers(8, 100), st.integers(2**26 - 3, 2**26))),
        reserve_mib=draw(st.integers(0, 8)),
        cpu_model=draw(st.sampled_from(("any", "any", *MODELS))),
        networks=draw(st.one_of(st.just(NETWORKS), networks)),
    )


@st.composite
def some_vm(draw, name: str) -> VM:
    nowhere_or_host = st.one_of(st.just(""), host_names)
    return VM(
        id=name,
        state=draw(st.sampled_from(VMState)),
        vcpus=draw(sizes),
        memory_mib=draw(sizes),
        cpu_model=draw(st.sampled_from(("any", "any", "any", *MODELS))),
        networks=draw(st.one_of(st.just(()), networks)),
        priority=draw(st.sampled_from(PRIORITIES)),
        host=draw(nowhere_or_host),
        reserved=draw(st.one_of(st.just(""), nowhere_or_host)),
    )


# VMs may name hosts that are not there, as they do while a host's document is still to come.
clusters = st.lists(host_names, unique=True, max_size=6).flatmap(lambda names: st.tuples(*map(some_host, names)))
tenants = st.integers(0, 14).flatmap(lambda count: st.tuples(*(some_vm(f"v{n}") for n in range(count))))
batches = st.integers(1, 14).flatmap(lambda count: st.tuples(*(some_vm(f"b{n}") for n in range(count))))
