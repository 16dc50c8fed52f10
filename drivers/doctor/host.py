"""The machine: its control groups, its size, and the room on its disks."""

from __future__ import annotations

import os
from pathlib import Path

from drivers.doctor.check import (
    Check,
    Found,
    Subject,
    failed,
    ok,
    unless_libvirt,
    unless_node,
    warning,
    worst,
)
from drivers.doctor.files import state_folders
from drivers.doctor.mounts import nearest
from drivers.iscsi.pool import RESERVE_BYTES
from drivers.urls import SQLITE

CONTROL_GROUPS = Path("/sys/fs/cgroup")
CONTROLLERS = ("cpu", "memory")  # by which libvirt keeps VMs apart
MEMORY = Path("/proc/meminfo")
MIB, GIB = 2**20, 2**30
LITTLE_BYTES, LITTLE_SHARE = GIB, 0.05


def cgroups(root: Path) -> Found:
    try:
        there = (root / "cgroup.controllers").read_text().split()
    except OSError:
        return warning(f"{root} is no cgroup v2: libvirt works with version 1 too, but nothing of AVE is tried with it")
    missing = [name for name in CONTROLLERS if name not in there]
    if missing:
        return warning(f"cgroup v2 at {root} is without {', '.join(missing)}: VMs are not kept apart by it")
    return ok(f"cgroup v2 at {root}")


def _size(subject: Subject) -> Found:
    """What VMs may have is not more than there is."""
    assert subject.config is not None, "this row is only for who has one"
    machine = subject.config.machine
    kib = next(int(row.split()[1]) for row in MEMORY.read_text().splitlines() if row.startswith("MemTotal:"))
    cpus, memory_mib, found = os.cpu_count() or 1, kib // 1024, []
    if machine.memory_mib > memory_mib:
        found.append(
            failed(
                f"[machine] memory_mib is {machine.memory_mib}, and this host has {memory_mib} MiB: VMs would be killed",
                f"set [machine] memory_mib to {memory_mib} at most; reserve_mib of it is for the host itself",
            )
        )
    if machine.cpus > cpus:
        found.append(
            warning(
                f"[machine] cpus is {machine.cpus}, and this host has {cpus}", f"set [machine] cpus to {cpus} at most"
            )
        )
    return worst(found, ok(f"VMs may have {machine.cpus} of {cpus} CPUs and {machine.memory_mib} of {memory_mib} MiB"))


def room(path: Path, what: str) -> Found:
    there = nearest(path)
    on = os.statvfs(there)
    free, total = on.f_bavail * on.f_frsize, on.f_blocks * on.f_frsize
    says = f"{what} {path}: {free / GIB:.1f} of {total / GIB:.1f} GiB are free"
    if on.f_flag & os.ST_RDONLY:
        return failed(f"{what} {path} is on a file system that is read-only", "look at dmesg, and mount it anew")
    if free < RESERVE_BYTES:
        return failed(says)
    if on.f_files and not on.f_favail:
        return failed(f"{what} {path}: its file system takes no more files")
    if free < LITTLE_BYTES or free < LITTLE_SHARE * total:
        return warning(says)
    return ok(says)


def _room(subject: Subject) -> Found:
    places = {**state_folders(subject), "temporary files in": Path("/tmp")}
    if subject.config is not None and subject.config.store.url.startswith(SQLITE):
        places["[store] url"] = Path(subject.config.store.url.removeprefix(SQLITE))
    return worst([room(path, what) for what, path in places.items()], ok("nothing is kept here"))


def _unless_real(subject: Subject) -> str:
    return unless_libvirt(subject) or unless_node(subject)


ROWS = (
    Check(
        "host.cgroup",
        "VMs are kept apart by cgroup v2",
        lambda subject: cgroups(CONTROL_GROUPS),
        "boot with systemd.unified_cgroup_hierarchy=1, the default of Debian 11 and later",
        unless_libvirt,
    ),
    Check("host.size", "the host is as large as it says", _size, "see [machine]", _unless_real),
    Check(
        "disk.room",
        "there is room for what must be written",
        _room,
        "remove what is not needed, or grow the file system",
    ),
)
