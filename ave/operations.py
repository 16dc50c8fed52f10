"""The catalogue of what users can ask for: types only. Each becomes a Job; who carries it out is bound in ``node``."""

from __future__ import annotations

from typing import Any

import msgspec

from ave.model.vm import Priority


class NewVM(msgspec.Struct, frozen=True, kw_only=True):
    """One VM to be; ``disks_gib`` has one size per volume."""

    id: str
    vcpus: int
    memory_mib: int
    disks_gib: tuple[int, ...] = (20,)
    networks: tuple[str, ...] = ()
    cpu_model: str = "any"
    ha: bool = True
    priority: Priority = Priority.MEDIUM
    labels: dict[str, str] = {}


class CreateVMs(msgspec.Struct, frozen=True, kw_only=True):
    vms: tuple[NewVM, ...]
    start: bool = True


class NameVMs(msgspec.Struct, frozen=True, kw_only=True):
    vms: tuple[str, ...]


class StartVMs(msgspec.Struct, frozen=True, kw_only=True):
    vms: tuple[str, ...]
    host: str = ""  # "": the scheduler chooses


class ShutdownVMs(msgspec.Struct, frozen=True, kw_only=True):
    vms: tuple[str, ...]
    seconds: float = 180.0  # how long the guests have


class MigrateVMs(msgspec.Struct, frozen=True, kw_only=True):
    vms: tuple[str, ...]
    host: str = ""


class RescueVMs(msgspec.Struct, frozen=True, kw_only=True):
    """What the VM Monitor asks for: bring back the VMs of a host that is proved not to run them."""

    host: str
    vms: tuple[str, ...]


class Operation(msgspec.Struct, frozen=True):
    name: str
    request: type[Any]
    phrase: str
    by_user: bool = True


OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("vm.create", CreateVMs, "create VMs, and start them"),
        Operation("vm.start", StartVMs, "start stopped VMs"),
        Operation("vm.shutdown", ShutdownVMs, "ask the guests to shut down"),
        Operation("vm.poweroff", NameVMs, "force VMs off"),
        Operation("vm.migrate", MigrateVMs, "move running VMs to other hosts without stopping them"),
        Operation("vm.delete", NameVMs, "delete VMs and their volumes"),
        Operation("ha.rescue", RescueVMs, "start the VMs of a dead host elsewhere", by_user=False),
    )
}
