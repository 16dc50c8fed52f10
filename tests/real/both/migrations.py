"""The next live migration, struck while its memory is copied."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, suppress
from time import monotonic, sleep
from typing import Any

import libvirt

from ave.model.vm import VM, VMState
from drivers.libvirt.record import NAMESPACE, decoded_element, uuid_of
from tests.real.both.stage import Stage
from tests.real.guests import libvirt_of

COPY_MIB = 6  # per second, so that there is a middle of the copying …
FAST_MIB = 2**20  # … and all that there is
COPIED_BYTES = 2**20  # from which on it is in the middle
SECONDS, LOOK_SECONDS = 60.0, 0.01

Strike = Callable[[Stage, str, str], Awaitable[None]]  # (…, source, target)


async def strike(deed: Strike, stage: Stage) -> None:
    """Returns when it is done. AssertionError if no migration comes in time."""
    running = {vm.id: vm.host for vm in await stage.operator.find(VM) if vm.state is VMState.RUNNING}
    with ExitStack() as held:
        domains = await asyncio.to_thread(lambda: [*_domains(stage, running, held)])
        await asyncio.to_thread(_set_speed, domains, COPY_MIB)
        source, target = await asyncio.to_thread(_wait, domains)
        await deed(stage, source, target)
        await asyncio.to_thread(_set_speed, domains, FAST_MIB)


def _domains(stage: Stage, running: dict[str, str], held: ExitStack) -> Iterator[tuple[str, Any]]:
    """Each with the host on which it is."""
    for host in dict.fromkeys(running.values()):
        connection = held.enter_context(libvirt_of(stage.host(host)))
        for vm in [vm for vm, place in running.items() if place == host]:
            yield host, connection.lookupByUUIDString(uuid_of(vm))


def _set_speed(domains: list[tuple[str, Any]], mib: int) -> None:
    for _, domain in domains:
        with suppress(libvirt.libvirtError):  # it is not there just now, or its libvirtd is not
            domain.migrateSetMaxSpeed(mib)


def _wait(domains: list[tuple[str, Any]]) -> tuple[str, str]:
    ends = monotonic() + SECONDS
    while monotonic() < ends:
        for host, domain in domains:
            with suppress(libvirt.libvirtError):  # it is not there just now, or its libvirtd is not
                if domain.jobStats().get("data_processed", 0) > COPIED_BYTES:
                    told = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE)
                    record = decoded_element(told)
                    return host, record.target if record is not None else ""
        sleep(LOOK_SECONDS)
    raise AssertionError(f"no migration began to copy within {SECONDS:g} s")
