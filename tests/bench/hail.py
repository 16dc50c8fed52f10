"""P7: one allocation, against ``hail`` of Ganeti on the same cluster of 100 nodes and 2,000 VMs.

The goals are due where hail answers our question, one node for a VM whose disks are not mirrored; a pair of nodes for
mirrored disks, which it finds in a fraction of that time, is told beside it. Against hail's process stands the command that
a user types, ``ave plan place``, on the cluster as ``ave plan snapshot`` writes it; from JSON it is told beside it. Without
hail, from the package ganeti-htools, there is nothing to compare.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from math import nan
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import msgspec

from ave.cli.snapshot_file import text
from ave.model.host import Host, HostState
from ave.model.vm import VM, VMState
from ave.placement.place import place
from ave.placement.purpose import Purpose
from ave.placement.snapshot import Snapshot, written
from tests.bench.row import Row

NODES, VMS, PAIRS = 100, 2_000, 5
CPUS, MEMORY_MIB, RESERVE_MIB = 64, 256 * 1024, 4 * 1024
DISK_MIB = 10 * 1024
MIX = ((1, 1_792),) * 12 + ((2, 3_584),) * 4 + ((4, 7_168),) * 2 + ((8, 14_336),) * 2
NEW = VM(id="new", vcpus=4, memory_mib=7_168)
ASKED = f"name={NEW.id},vcpus={NEW.vcpus},memory={NEW.memory_mib}"
AVE = str(Path(sys.executable).with_name("ave"))
PLACES = ("/usr/lib/ganeti/iallocators/hail", "/usr/bin/hail")
DECISION_GOAL, PROCESS_GOAL = 1000.0, 10.0  # times as fast as hail


def run(*, quick: bool = False) -> list[Row]:
    hail, cluster = _hail(), _cluster()
    decide = partial(place, cluster.view(), NEW, Purpose.START)
    where, decision = decide().host, _seconds(decide, 1_000)
    rows = []
    with TemporaryDirectory(prefix="ave-bench-") as folder:
        yaml, json = Path(folder, "snapshot.yaml"), Path(folder, "snapshot.json")
        yaml.write_text(text(cluster), encoding="utf-8")
        json.write_bytes(msgspec.json.encode(written(cluster)))
        ours = partial(_plan, yaml, where)
        ours()  # the very first also compiles
        for template, due in (("plain", True), ("drbd", False)):
            asked = Path(folder, f"{template}.json")
            asked.write_bytes(msgspec.json.encode(_request(cluster, template)))
            what = "one allocation" if template == "plain" else "the same with mirrored disks"
            if hail is None:
                missing = f"{what}: not measured, ganeti-htools is missing"
                rows.append(Row("P7", missing, nan, "×", DECISION_GOAL, "more", due=False))
                continue
            pairs = [(_seconds(partial(_run, hail, str(asked))), _seconds(ours)) for _ in range(1 if quick else PAIRS)]
            theirs = median(seconds for seconds, _ in pairs)
            process = median(his / mine for his, mine in pairs)
            rows += [
                Row("P7", f"{what}, hail", theirs, "s", None, "less"),
                Row("P7", f"{what}, the decision, hail takes", theirs / decision, "×", DECISION_GOAL, "more", due=due),
                Row("P7", f"{what}, ave plan place, hail takes", process, "×", PROCESS_GOAL, "more", due=due),
            ]
        for file in (yaml, json):
            took = _seconds(partial(_plan, file, where), PAIRS)
            rows.append(Row("P7", f"ave plan place, start to end, {file.suffix[1:]}", took, "s", None, "less"))
    return rows


def _hail() -> str | None:
    """Its path. Whoever may, installs it."""
    if not any(map(os.path.exists, PLACES)) and shutil.which("apt-get") and os.geteuid() == 0:
        install = ("apt-get", "install", "-y", "-qq", "--no-install-recommends", "ganeti-htools")
        subprocess.run(install, capture_output=True, stdin=subprocess.DEVNULL, timeout=120, check=False)
    return next(filter(os.path.exists, PLACES), None)


def _run(*command: str) -> str:
    # Where no byte code is kept, every start would also compile the command, which an installed one does once.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        command, capture_output=True, stdin=subprocess.DEVNULL, text=True, timeout=300, check=True, env=environment
    )
    return done.stdout


def _plan(snapshot: Path, host: str) -> None:
    said = _run(AVE, "plan", "place", "--snapshot", str(snapshot), "--vm", ASKED)
    assert f" goes to {host}:" in said, f"it decided otherwise than the function that is measured beside it: {said}"


def _seconds(work: Any, times: int = 1) -> float:
    """On the clock, the median of so many."""
    took = []
    for _ in range(times):
        start = perf_counter()
        work()
        took.append(perf_counter() - start)
    return median(took)


def _cluster() -> Snapshot:
    random = Random("hail")
    hosts = [
        Host(id=f"node{n:03}", state=HostState.ONLINE, cpus=CPUS, memory_mib=MEMORY_MIB, reserve_mib=RESERVE_MIB)
        for n in range(NODES)
    ]
    vms = []
    for n in range(VMS):
        vcpus, memory_mib = random.choice(MIX)
        host = random.choice(hosts).id
        vms.append(VM(id=f"vm{n}", state=VMState.RUNNING, vcpus=vcpus, memory_mib=memory_mib, host=host))
    return Snapshot(hosts=tuple(hosts), vms=tuple(vms))


# Ganeti's words for it


def _request(cluster: Snapshot, template: str) -> dict[str, Any]:
    policy = _policy()
    group = {"name": "default", "alloc_policy": "preferred", "networks": [], "tags": [], "ipolicy": policy}
    asked = _instance(NEW, template)
    asked |= {"type": "allocate", "name": "new", "required_nodes": 2 if template == "drbd" else 1, "hail_request": 0}
    return {
        "version": 2,
        "cluster_name": "bench",
        "cluster_tags": [],
        "enabled_hypervisors": ["kvm"],
        "ipolicy": policy,
        "nodegroups": {"g1": group},
        "nodes": {host.id: _node(host, cluster.vms, template) for host in cluster.hosts},
        "instances": {
            vm.id: _instance(vm, template) | {"nodes": _nodes(vm, template), "admin_state": "up", "disks_active": True}
            for vm in cluster.vms
        },
        "request": asked,
    }


def _nodes(vm: VM, template: str) -> list[str]:
    beside = f"node{(int(vm.host.removeprefix('node')) + 1) % NODES:03}"
    return [vm.host, beside] if template == "drbd" else [vm.host]


def _policy() -> dict[str, Any]:
    def spec(memory: int, cpus: int, disk: int, disks: int, nics: int, spindles: int) -> dict[str, int]:
        sizes = {"memory-size": memory, "cpu-count": cpus, "disk-size": disk}
        return sizes | {"disk-count": disks, "nic-count": nics, "spindle-use": spindles}

    bounds = {"min": spec(1, 1, 1, 1, 0, 1), "max": spec(2**20, 256, 2**24, 16, 8, 12)}
    ratios = {"vcpu-ratio": 64.0, "spindle-ratio": 1024.0}
    return {"minmax": [bounds], "std": spec(1024, 1, 1024, 1, 1, 1), "disk-templates": ["plain", "drbd"], **ratios}


def _instance(vm: VM, template: str) -> dict[str, Any]:
    return {
        "memory": vm.memory_mib,
        "vcpus": vm.vcpus,
        "disks": [{"size": DISK_MIB, "mode": "w"}],
        "disk_space_total": DISK_MIB,
        "disk_template": template,
        "tags": [],
        "nics": [],
        "os": "none",
        "hypervisor": "kvm",
        "spindle_use": 1,
    }


def _node(host: Host, vms: Sequence[VM], template: str) -> dict[str, Any]:
    used = sum(vm.memory_mib for vm in vms if vm.host == host.id)
    disks = sum(host.id in _nodes(vm, template) for vm in vms)
    address = "192.0.2.1"
    return {
        "total_memory": host.memory_mib,
        "reserved_memory": host.reserve_mib,
        "free_memory": host.memory_mib - host.reserve_mib - used,
        "total_disk": 1000 * DISK_MIB,
        "free_disk": (1000 - disks) * DISK_MIB,
        "total_cpus": host.cpus,
        "reserved_cpus": 1,
        "total_spindles": 1,
        "free_spindles": 1,
        "i_pri_memory": used,
        "i_pri_up_memory": used,
        "primary_ip": address,
        "secondary_ip": address,
        **dict.fromkeys(("offline", "drained"), False),
        **dict.fromkeys(("master_candidate", "master_capable", "vm_capable"), True),
        "group": "g1",
        "tags": [],
        "ndparams": {"spindle_count": 1, "exclusive_storage": False, "cpu_speed": 1.0, "oob_program": None},
    }
