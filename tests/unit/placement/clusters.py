"""Clusters for the placement tests: small builders, and strategies that like ties, full hosts and odd states."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st

from ave.model.group import Aspect, Group, GroupState, Rule
from ave.model.host import Host, HostState, Zone
from ave.model.vm import PRIORITIES, VM, VMState
from ave.placement.view import View

GIB = 1024
NETWORKS = ("back", "front", "san")
MODELS = ("any", "new", "old")
ZONES = ("east", "west")


def host(name: str, memory_gib: int = 64, cpus: int = 16, state: HostState = HostState.ONLINE, **facts) -> Host:
    return Host(id=name, state=state, cpus=cpus, memory_mib=memory_gib * GIB, **facts)


def vm(name: str, memory_gib: int = 4, vcpus: int = 2, state: VMState = VMState.CREATING, **facts) -> VM:
    return VM(id=name, state=state, vcpus=vcpus, memory_mib=memory_gib * GIB, **facts)


def group(name: str, rule: Rule, vms: Iterable[str], **places) -> Group:
    return Group(id=name, state=GroupState.ENABLED, rule=rule, vms=tuple(vms), **places)


def view(
    hosts: Iterable[Host], vms: Iterable[VM] = (), groups: Iterable[Group] = (), primary: Iterable[str] = ()
) -> View:
    made = View()
    for zone in primary:
        made.put_zone(Zone(id=zone, primary=True))
    for rule in groups:
        made.bonds.put(rule)
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
        zone=draw(st.sampled_from(ZONES)),
        exclusive_cpus=draw(st.sampled_from((0, 4, 8, 40))),
        nics_max=draw(st.sampled_from((0, 0, 0, 1, 3))),
        volumes_max=draw(st.sampled_from((0, 0, 0, 1, 3))),
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
        pinned=draw(st.sampled_from((False, False, True))),
        unpinned=draw(st.booleans()),
        volumes=draw(st.sampled_from(((), ("a",), ("a", "b")))),
        host=draw(nowhere_or_host),
        reserved=draw(st.one_of(st.just(""), nowhere_or_host)),
    )


# VMs may name hosts that are not there, as they do while a host's document is still to come.
clusters = st.lists(host_names, unique=True, max_size=6).flatmap(lambda names: st.tuples(*map(some_host, names)))
tenants = st.integers(0, 14).flatmap(lambda count: st.tuples(*(some_vm(f"v{n}") for n in range(count))))
batches = st.integers(1, 14).flatmap(lambda count: st.tuples(*(some_vm(f"b{n}") for n in range(count))))


@st.composite
def some_group(draw, name: str) -> Group:
    rule = draw(st.sampled_from(Rule))
    hosts = (
        draw(st.lists(host_names, min_size=1, unique=True, max_size=5))
        if "hosts" in rule and rule.aspect in _PLACES
        else []
    )
    return Group(
        id=name,
        state=draw(st.sampled_from((GroupState.ENABLED, GroupState.ENABLED, GroupState.DISABLED))),
        rule=rule,
        vms=tuple(draw(st.lists(vm_names, unique=True, max_size=8))),
        hosts=tuple(hosts),
        zone=draw(st.sampled_from(ZONES)) if rule.aspect is Aspect.ZONE else "",
    )


_PLACES = (Aspect.HOSTS, Aspect.NOT_HOSTS)
vm_names = st.sampled_from([f"{kind}{n}" for kind in "bv" for n in range(8)])
groups = st.integers(0, 4).flatmap(lambda count: st.tuples(*(some_group(f"g{n}") for n in range(count))))
primaries = st.sampled_from(((), ("east",), ("east", "west")))
