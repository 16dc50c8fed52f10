"""What each fault of a scenario is on the bed. One row each; what has no row cannot be done to real hosts here."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from drivers.libvirt.record import uuid_of
from sim.scenario.catalogue import Value
from tests.real.bed.names import Plane
from tests.real.both import migrations
from tests.real.both.stage import Stage
from tests.real.guests import libvirt_of, shell
from tests.real.qemus import qemu

Given = Mapping[str, Value]
Deed = Callable[[Stage, str, Given], Awaitable[None]]  # to one host or VM, by its name in the scenario


@dataclass(frozen=True)
class Row:
    """``real``: its name in tests/real/faults/table.py, if it is played there as well. ``only``: values without which the bed
    cannot do it."""

    fault: str
    real: str
    begin: Deed
    end: Deed | None = None
    only: tuple[tuple[str, Value], ...] = ()


async def _power_off(stage: Stage, name: str, given: Given) -> None:
    with stage.supervisor.away():
        await asyncio.to_thread(stage.host(name).crash)


async def _power_on(stage: Stage, name: str, given: Given) -> None:
    def start() -> None:
        with stage.supervisor.away():
            stage.host(name).start()

    await asyncio.to_thread(start)


async def _reboot(stage: Stage, name: str, given: Given) -> None:
    await _power_off(stage, name, given)
    await asyncio.sleep(float(given["seconds"]))
    await _power_on(stage, name, given)


async def _kill_process(stage: Stage, name: str, given: Given) -> None:
    stage.signal(stage.cluster.pid(stage.host(name), str(given["process"])), signal.SIGKILL)


async def _stop(what: str, stage: Stage, name: str, given: Given) -> None:
    stage.stopped[name, what] = stage.cluster.pid(stage.host(name), what)
    stage.signal(stage.stopped[name, what], signal.SIGSTOP)


async def _go_on(what: str, stage: Stage, name: str, given: Given) -> None:
    stage.signal(stage.stopped.pop((name, what)), signal.SIGCONT)


async def _cut(plane: Plane, stage: Stage, name: str, given: Given) -> None:
    stage.host(name).cut(plane)


async def _heal(plane: Plane, stage: Stage, name: str, given: Given) -> None:
    await asyncio.to_thread(stage.host(name).heal, plane)


async def _kill_qemu(stage: Stage, name: str, given: Given) -> None:
    for host in stage.bed.hosts:
        stage.signal(qemu(host, name), signal.SIGKILL)


async def _shut_down(stage: Stage, name: str, given: Given) -> None:
    """As its user would: nobody outside asks for it."""

    def ask() -> None:
        for host in stage.bed.hosts:
            if qemu(host, name):
                with libvirt_of(host) as connection:
                    shell(connection.lookupByUUIDString(uuid_of(name)), "(sleep 0.2; poweroff -f) >/dev/null 2>&1 &")

    await asyncio.to_thread(ask)


async def _restart_storage(stage: Stage, name: str, given: Given) -> None:
    for pid in (stage.bed.storage.pid, stage.cluster.box_pid):
        stage.signal(pid, signal.SIGKILL)


async def _migration(deed: migrations.Strike, stage: Stage, name: str, given: Given) -> None:
    await migrations.strike(deed, stage)


async def _kill_source(stage: Stage, source: str, target: str) -> None:
    stage.signal(stage.cluster.pid(stage.host(source), "node"), signal.SIGKILL)


async def _crash_source(stage: Stage, source: str, target: str) -> None:
    await _power_off(stage, source, {})


async def _crash_target(stage: Stage, source: str, target: str) -> None:
    await _power_off(stage, target, {})


_COPY: tuple[tuple[str, Value], ...] = (("phase", "copy"),)

ROWS = {
    row.fault: row
    for row in (
        Row("host-crash", "power-lost", _power_off, _power_on),
        Row("host-reboot", "reboot", _reboot),
        Row("process-kill", "node-killed", _kill_process),
        Row("node-stall", "node-stopped", partial(_stop, "node"), partial(_go_on, "node"), only=(("seen", True),)),
        Row("guard-stall", "", partial(_stop, "guard"), partial(_go_on, "guard")),
        Row("storage-loss", "storage-cut-long", partial(_cut, "storage"), partial(_heal, "storage")),
        Row("vm-network-loss", "", partial(_cut, "vm"), partial(_heal, "vm"), only=(("network", ""),)),
        Row("vm-crash", "qemu-killed", _kill_qemu),
        Row("guest-shutdown", "", _shut_down),
        Row(
            "migration-kill",
            "migration-copy: the source's node is killed",
            partial(_migration, _kill_source),
            only=_COPY,
        ),
        Row("migration-source-crash", "", partial(_migration, _crash_source), only=_COPY),
        Row(
            "migration-target-crash",
            "migration-copy: the target loses power",
            partial(_migration, _crash_target),
            only=_COPY,
        ),
        Row("storage-restart", "storage-killed", _restart_storage),
    )
}
