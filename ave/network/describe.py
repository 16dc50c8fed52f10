"""Declare networks, and change their VLANs. Both are documents only: hosts carry the switches, and say which they have."""

from __future__ import annotations

import msgspec

from ave.errors import Refused
from ave.jobs.verb import Found, Split, Verb, each
from ave.model.network import INTERNAL, VLAN_MAX, Network, NetworkState
from ave.model.work import Result
from ave.operations import DescribedNetwork, DescribeNetworks
from ave.ports.store import Insert, Replace, Write

NAME_MAX = 128


def split_create(request: DescribeNetworks, found: Found) -> Split:
    there = found.of(Network)
    writes: list[Write] = []
    results: dict[str, Result] = {}
    for new in request.networks:
        _check(new)
        if there.get(new.id) is not None:
            results[new.id] = Result(False, f"there already is a network {new.id}: choose another name, or edit it")
        elif new.id in INTERNAL and (missing := [id for id in INTERNAL if id not in there]):
            why = f"network {new.id} is the hosts' own: declare it together with {missing[0]}, in one request"
            results[new.id] = Result(False, why)
        elif new.id in there:
            writes.append(Insert(Network(id=new.id, vlan=new.vlan, trunk=new.trunk)))
            results[new.id] = Result(True)
    return Split(writes=tuple(writes), results=results)


def split_edit(request: DescribeNetworks, found: Found) -> Split:
    there = found.of(Network)
    writes: list[Write] = []
    results: dict[str, Result] = {}
    for wanted in request.networks:
        _check(wanted)
        if wanted.id not in there:
            continue  # left out because its lock is held
        network = there[wanted.id]
        if network is None:
            results[wanted.id] = Result(False, f"there is no network {wanted.id}")
        elif network.state is not NetworkState.ACTIVE:
            why = f"network {wanted.id} is {network.state}: edit needs it {NetworkState.ACTIVE}"
            results[wanted.id] = Result(False, why)
        else:
            writes.append(Replace(msgspec.structs.replace(network, vlan=wanted.vlan, trunk=wanted.trunk)))
            results[wanted.id] = Result(True)
    return Split(writes=tuple(writes), results=results)


def _check(network: DescribedNetwork) -> None:
    name = network.id
    if not name or len(name) > NAME_MAX or "/" in name or not name.isprintable():
        raise Refused(f"network name {name[:40]!r}: 1 to {NAME_MAX} printable characters without '/' are needed")
    for vlan in (network.vlan, *network.trunk):
        if not 0 <= vlan <= VLAN_MAX:
            raise Refused(f"network {name}: VLAN {vlan} must be 0 to {VLAN_MAX}")
    if len(dict.fromkeys(network.trunk)) != len(network.trunk):
        raise Refused(f"network {name}: a VLAN is in its trunk twice")


def _named(request: DescribeNetworks) -> tuple[tuple[type[Network], str], ...]:
    return tuple(each(Network, (network.id for network in request.networks)))


CREATE = Verb(operation="network.create", resources=_named, split=split_create)
EDIT = Verb(operation="network.edit", resources=_named, split=split_edit)
