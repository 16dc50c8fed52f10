"""What a VM may be: the bounds of its description, and the networks to which it may be connected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from ave.errors import Refused
from ave.jobs.verb import Found
from ave.model.network import INTERNAL, Network, NetworkState
from ave.model.vm import VM
from ave.model.volume import SIZE_GIB_MAX
from ave.operations import EditVM
from ave.ports.store import Check, Write

NAME_MAX = 128
DISKS_MAX = 64
MOST: Mapping[str, int] = {"vcpus": 1024, "memory_mib": 64 * 2**20, "disks_gib": SIZE_GIB_MAX}

T = TypeVar("T")


def edited(vm: VM, wish: EditVM) -> VM:
    """The VM as it shall be. To edit it again is to change nothing."""
    kept = tuple(volume for volume in vm.volumes if volume not in wish.detach)
    new = tuple(volume for volume in wish.attach if volume not in kept)
    return replace(
        vm,
        name=_or(wish.name, vm.name),
        vcpus=_or(wish.vcpus, vm.vcpus),
        memory_mib=_or(wish.memory_mib, vm.memory_mib),
        pinned=_or(wish.pinned, vm.pinned),
        ha=_or(wish.ha, vm.ha),
        priority=_or(wish.priority, vm.priority),
        labels=_or(wish.labels, vm.labels),
        networks=_or(wish.networks, vm.networks),
        cdrom=_or(wish.cdrom, vm.cdrom),
        volumes=(*kept, *new),
    )


def _or(wished: T | UnsetType, known: T) -> T:
    return known if isinstance(wished, UnsetType) else wished


def require_id(vm: str) -> None:
    if not vm or len(vm) > NAME_MAX or "/" in vm or not vm.isprintable():
        raise Refused(f"VM name {vm[:40]!r}: 1 to {NAME_MAX} printable characters without '/' are needed")


def require_name(vm: str, name: str | UnsetType) -> None:
    if name is not UNSET and (len(name) > NAME_MAX or not (name.isprintable() or not name)):
        raise Refused(f"VM {vm}: its display name may have {NAME_MAX} printable characters, not {len(name)}")


def require_within(vm: str, what: str, value: int | UnsetType) -> None:
    """``what`` is a key of ``MOST``, perhaps with an index behind it."""
    most = MOST[what.partition("[")[0]]
    if value is not UNSET and not 1 <= value <= most:
        raise Refused(f"VM {vm}: {what} is {value}, it must be 1 to {most}")


def unconnectable(vm: str, networks: Iterable[str], found: Found) -> str:
    """Why the VM cannot have NICs on all of these, or "". A network without a document is its hosts' matter."""
    for network in networks:
        if network in INTERNAL:
            return f"{vm} cannot be connected to {network}: it is the hosts' own network"
        known = found.get(Network, network)
        if known is not None and known.state is not NetworkState.ACTIVE:
            return f"{vm} cannot be connected to {network}: it is being deleted"
    return ""


def still_active(networks: Iterable[str], found: Found) -> list[Write]:
    """The condition under which VMs are connected: whoever deletes a network says so before he looks for its VMs."""
    known = [network for network in networks if found.get(Network, network) is not None]
    return [Check(Network, network, {"state": NetworkState.ACTIVE}) for network in known]
