"""Take a bed down by its number alone, whoever made it and however far it came."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.real.bed import cgroups, elsewhere, processes, registry
from tests.real.bed.command import PROGRAM, BedError, run, tried, until
from tests.real.bed.names import Names, bed_of
from tests.real.bed.registry import Record

_GONE_SECONDS = 10.0
_NAMESPACES = Path("/run/netns")


def sweep(stays: Callable[[Record], bool] = lambda record: True) -> list[str]:
    """Remove the beds whose owner has died, and what bears a bed's name though no bed has that number.

    Of beds that were left running on purpose, those that do not stay go too. It says what it removed.
    """
    with registry.locked():
        records = registry.records()
        lost = [record for record in records if record.orphan or (record.kept and not stays(record))]
        said = []
        for record in lost:
            if record.orphan:
                processes.end_all_of(record.owner, record.owner_since)
            take_down(record)
            said.append(f"bed {record.bed} in {record.root}")
        known = {record.bed for record in records}
        for bed in sorted({bed for bed, _ in traces()} - known):
            _remove_named(Names(bed))
            said.append(f"bed {bed}, of which nothing else was known")
        close_if_empty()
    return said


def close_if_empty() -> None:
    """With the last bed goes what all beds share. With the lock held."""
    registry.close_if_empty()
    if _NAMESPACES.is_dir() and not _namespace_files():  # a mount upon itself, which ip makes with the first namespace
        tried("umount", str(_NAMESPACES))
        tried("rmdir", str(_NAMESPACES))


def take_down(record: Record) -> None:
    """Nothing of it is left when this returns. BedError if something resists; then it can be tried again."""
    _remove_named(record.names)
    root = Path(record.root)
    _unmount(root)
    shutil.rmtree(root, ignore_errors=True)
    if left := [*of_number(record.bed), *of_root(root)]:
        raise BedError(f"of bed {record.bed} there is still {', '.join(left)}")
    registry.forget(record)


def of_number(bed: int) -> list[str]:
    return [what for number, what in traces() if number == bed]


def of_root(root: Path) -> list[str]:
    """What is left of a bed beside what bears its name: mounts, loop devices, its folder."""
    found = [f"mount {place}" for place in _mounts(root)]
    found += [f"loop device {device}" for device in _loops(root)]
    return [*found, f"folder {root}"] if root.exists() else found


def traces() -> list[tuple[int, str]]:
    """Everything on this machine that bears a bed's name, with the bed's number; processes by their namespace."""
    found = [(bed, f"cgroup {folder}") for bed, folder in cgroups.of_beds()]
    names = [(path.name, f"namespace {path.name}") for path in _namespace_files()]
    names += [(link, f"link {link}") for link in _links()]
    found += [(bed, what) for name, what in names if (bed := bed_of(name)) is not None]
    for path in _namespace_files():
        if (bed := bed_of(path.name)) is not None:
            pids = processes.of_namespace("net", [processes.namespace(str(path))])
            found += [(bed, f"process {pid} {processes.program(pid)}") for pid in pids]
    return found


def _remove_named(names: Names) -> None:
    """Names first, so that nobody enters any more; then whoever is inside."""
    files = [path for path in _namespace_files() if bed_of(path.name) == names.bed]
    inside = [processes.namespace(str(path)) for path in files]
    processes.end_all(inside)
    for path in files:
        run("ip", "netns", "delete", path.name)
    processes.end_all(inside)
    for pid, copies in _copies(lambda place: place.parent == _NAMESPACES and bed_of(place.name) == names.bed):
        tried(*PROGRAM, elsewhere.__file__, str(pid), *copies)
    if names.runner_link in _links():
        tried("ip", "link", "delete", names.runner_link)
    until(lambda: names.runner_link not in _links(), f"link {names.runner_link} goes", _GONE_SECONDS)
    for bed, folder in cgroups.of_beds():
        if bed == names.bed:
            cgroups.remove(folder)


def _unmount(root: Path) -> None:
    until(lambda: _unmounted(root), f"what is mounted in {root} is unmounted", _GONE_SECONDS)
    for pid, copies in _copies(lambda place: place.is_relative_to(root)):
        tried(*PROGRAM, elsewhere.__file__, str(pid), *copies)
    for device in _loops(root):
        tried("losetup", "--detach", device)
    until(lambda: not _loops(root), f"the loop device of {root} is free", _GONE_SECONDS)


def _unmounted(root: Path) -> bool:
    for place in reversed(_mounts(root)):
        tried("umount", place)
    return not _mounts(root)


def _mounts(root: Path) -> list[str]:
    """In the order in which they were made."""
    return [place for place in mount_points("self") if Path(place).is_relative_to(root)]


def _copies(ours: Callable[[Path], bool]) -> list[tuple[int, list[str]]]:
    """Of each mount namespace but this one that has such mounts: one of its processes, and where they are."""
    seen = {processes.namespace("/proc/self/ns/mnt")}
    found = []
    for pid in processes.all_pids():
        if (namespace := processes.namespace(f"/proc/{pid}/ns/mnt")) not in seen:
            seen.add(namespace)
            if places := [place for place in mount_points(str(pid)) if ours(Path(place))]:
                found.append((pid, places))
    return found


def mount_points(process: str) -> list[str]:
    try:
        lines = Path(f"/proc/{process}/mountinfo").read_text().splitlines()
    except OSError:  # it has ended
        return []
    return [line.split()[4] for line in lines]


def _loops(root: Path) -> list[str]:
    """The loop devices whose file is in that folder, removed or not."""
    listed = json.loads(run("losetup", "--list", "--json", "--output", "NAME,BACK-FILE") or '{"loopdevices": []}')
    return [each["name"] for each in listed["loopdevices"] if str(each["back-file"]).startswith(f"{root}{os.sep}")]


def _links() -> list[str]:
    """Of this machine itself, not of the beds' namespaces."""
    return os.listdir("/sys/class/net")


def _namespace_files() -> list[Path]:
    return sorted(_NAMESPACES.iterdir()) if _NAMESPACES.is_dir() else []
