"""One host's ports, put together."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ave.ports.machine import Facts
from ave.ports.store import Store
from ave.ports.together import Ports
from ave.runtime import Runtime
from drivers import disk
from drivers.process.block import ProcessBlock
from drivers.process.domains import Domains
from drivers.process.home import Home
from drivers.process.hypervisor import ProcessHypervisor
from drivers.process.machine import ProcessMachine
from drivers.process.power import power_on
from drivers.process.volumes import Volumes


def open_host(root: Path, facts: Facts) -> str:
    """Be this host, whose first process switches it on and whose later ones find it so. Returns the boot id."""
    return power_on(root, facts)


def ports(root: Path, host: str, runtime: Runtime, store: Store) -> Ports:
    """What a process of this host may touch. ``root`` is the cluster's folder; the host must be on."""
    home = Home(root, host)
    here = domains(root, host)
    return Ports(
        host,
        runtime,
        store,
        ProcessHypervisor(here, lambda peer: domains(root, peer), runtime),
        ProcessBlock(home, runtime),
        ProcessMachine(home, here, runtime),
    )


def machine_of(root: Path, host: str, runtime: Runtime) -> ProcessMachine:
    """All that a guard may touch."""
    return ProcessMachine(Home(root, host), domains(root, host), runtime)


def domains(root: Path, host: str) -> Domains:
    return Domains(Home(root, host), Volumes(root), lambda: _next_instance(root))


def _next_instance(root: Path) -> int:
    """Numbers every domain that ever starts in the cluster, so that of two the later one is known."""
    path = root.absolute() / "instances"
    with disk.locked(path.with_name("instances.lock"), "the number of instances"):
        number = 1 + (msgspec.json.decode(path.read_bytes(), type=int) if path.exists() else 0)
        disk.replace(path, str(number).encode())
        return number
