"""Process 1 of a host: its own folders, /proc and /sys, its libvirtd and virtlogd; then it buries the dead.

A program of its own that imports nothing of AVE. The one argument is JSON, see host.py. Killing it kills the host.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

DAEMONS = (("/usr/sbin/virtlogd", "-d"), ("/usr/sbin/libvirtd", "-d", "--listen"))
# Where each private folder of the host goes.
PLACES = {
    "run": "/run",
    "etc": "/etc/libvirt",
    "lib": "/var/lib/libvirt",
    "log": "/var/log/libvirt",
    "cache": "/var/cache/libvirt",
}

FILES = {"boot_id": "/proc/sys/kernel/random/boot_id", "machine-id": "/etc/machine-id", "hosts": "/etc/hosts"}


def main(plan: dict[str, Any]) -> None:
    hierarchies = cgroup_hierarchies()
    _mount("--make-rprivate", "/")
    for place in sorted(foreign(plan["root"]), reverse=True):
        subprocess.run(["umount", "--lazy", place], check=False)
    Path("/proc/sys/kernel/hostname").write_text(plan["name"])
    _mount("-t", "proc", "proc", "/proc")
    _mount("-t", "sysfs", "sysfs", "/sys")
    _mount_cgroups(hierarchies)
    for place in plan["own"]:
        _own(Path(plan["folder"], "own", place.strip("/").replace("/", "-")), place)
    for private, place in PLACES.items():
        _mount("--bind", f"{plan['folder']}/{private}", place)
    for private, place in FILES.items():
        if Path(place).exists():
            _mount("--bind", f"{plan['folder']}/{private}", place)
    for daemon in DAEMONS:
        subprocess.run(daemon, check=True, stdin=subprocess.DEVNULL)
    _bury()


def _own(folder: Path, place: str) -> None:
    """What is written there stays on this host, and outlives a crash; all else that is read there is the machine's."""
    for name in ("upper", "work"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    _mount("-t", "overlay", "-o", f"lowerdir={place},upperdir={folder}/upper,workdir={folder}/work", "overlay", place)


def cgroup_hierarchies() -> list[tuple[str, str, str]]:
    """Mount point, type and options of each that controls something: of version 1, or else the one of version 2."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split()[:3]
        if kind in ("cgroup", "cgroup2"):
            controllers = [word for word in options.split(",") if word not in ("rw", "ro") and "=" not in word]
            found.append((before.split()[4], kind, ",".join(controllers)))
    version_1 = [each for each in found if each[1] == "cgroup" and each[2]]
    return version_1 or [each for each in found if each[1] == "cgroup2"]


def foreign(root: str) -> list[str]:
    """Mounts that this namespace was born with, and by which it would keep alive what others take down."""
    others = ["/run/netns"]
    for path in Path("/run/ave-bed").glob("*.json"):
        try:
            others.append(json.loads(path.read_text())["root"])
        except FileNotFoundError:  # taken down in between
            continue
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [place for place in places if any(f"{place}/".startswith(f"{other}/") for other in others if other != root)]


def _mount_cgroups(hierarchies: list[tuple[str, str, str]]) -> None:
    if [kind for _, kind, _ in hierarchies] == ["cgroup2"]:
        _mount("-t", "cgroup2", "cgroup2", "/sys/fs/cgroup")
        leaf = Path("/sys/fs/cgroup/init")  # libvirtd gives controllers to groups beside it: the root must be empty
        leaf.mkdir(exist_ok=True)
        Path(leaf, "cgroup.procs").write_text("0")
        return
    _mount("-t", "tmpfs", "-o", "mode=755", "cgroup", "/sys/fs/cgroup")
    for place, kind, options in hierarchies:
        here = Path("/sys/fs/cgroup", Path(place).name)
        here.mkdir()
        _mount("-t", kind, "-o", options, kind, str(here))


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _bury() -> None:
    """As process 1 must: whatever loses its parent here becomes a child of ours."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            time.sleep(0.5)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
