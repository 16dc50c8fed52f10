"""P19: the memory of a simulated cluster of a thousand hosts and fifty thousand VMs, against a bare model of it.

The bare model is what any simulation of it needs: the documents of its hosts, VMs and volumes by id, a domain per VM, and
a bare SimPy process per host and per VM. Both are measured as the resident memory of a fresh process after ten simulated
minutes, less that of one that has only imported the same.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import simpy

from ave.model.host import Host
from ave.model.vm import VM
from ave.model.volume import Volume
from ave.ports.hypervisor import DomainState
from drivers.sim.guest import Guest
from sim.cluster import SimCluster, new_vm
from tests.bench.large import FLEET, HOSTS, TOPOLOGY, VMS, switched_on
from tests.bench.row import Row

MIB = 2**20
SIMULATED = 600.0
GOAL = 4.0


def run() -> list[Row]:
    nothing, bare, whole = (_measured(what) for what in CASES)
    return [
        Row("P19", "1,000 hosts, 50,000 VMs: a bare model", (bare - nothing) / MIB, "MiB", None, "less"),
        Row("P19", "the same, the control plane simulated", (whole - nothing) / MIB, "MiB", None, "less"),
        Row("P19", "memory, whole against bare", (whole - nothing) / (bare - nothing), "times", GOAL, "less"),
    ]


def _measured(what: str) -> int:
    done = subprocess.run([sys.executable, "-m", __name__, what], capture_output=True, text=True, check=True)
    return int(done.stdout)


def _nothing() -> object:
    return None


def _bare() -> object:
    env = simpy.Environment()

    def sleep(number: int) -> Generator[simpy.Event, Any, None]:
        while True:
            yield env.timeout(5.0 + number * 0.618034 % 1.0)

    names = [host.name for host in TOPOLOGY.hosts()]
    hosts = {name: Host(id=name, cpus=64, memory_mib=512 * 1024) for name in names}
    vms: dict[str, VM] = {}
    volumes: dict[str, Volume] = {}
    domains: dict[str, Guest] = {}
    for number in range(VMS):
        vm = new_vm(FLEET, f"{FLEET.fleet}-{number}", TOPOLOGY.networks)
        vms[vm.id] = vm
        volumes[vm.volumes[0]] = Volume(id=vm.volumes[0], size_gib=1, vm=vm.id)
        domains[vm.id] = Guest(vm, number, 1, DomainState.RUNNING)
    for number in range(HOSTS + VMS):
        env.process(sleep(number))
    env.run(until=SIMULATED)
    return env, hosts, vms, volumes, domains


def _whole() -> object:
    cluster = switched_on(SimCluster(TOPOLOGY, seed=1))
    cluster.world.advance(SIMULATED)
    return cluster


CASES: dict[str, Callable[[], object]] = {"nothing": _nothing, "bare": _bare, "whole": _whole}


if __name__ == "__main__":
    kept = CASES[sys.argv[1]]()
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    print(pages * 4096)
