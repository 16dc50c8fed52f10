"""A cgroup for each host in every hierarchy of this machine, of version 1 or 2."""

from __future__ import annotations

from pathlib import Path

from tests.real.bed.command import until
from tests.real.bed.init import cgroup_hierarchies
from tests.real.bed.names import bed_of

_EMPTY_SECONDS = 10.0
_INHERITED = ("cpuset.cpus", "cpuset.mems")  # of version 1: nobody can join a group in which they are empty


def named(name: str) -> list[str]:
    """The folders of that group, which a process joins by its number; on version 2, one that may have processes."""
    leaf = {"cgroup": name, "cgroup2": f"{name}/init"}
    return [f"{place}/{leaf[kind]}" for place, kind, _ in cgroup_hierarchies()]


def made(name: str) -> list[str]:
    """A group of that name everywhere, and its folders for whoever is to be its first process."""
    folders = []
    for place, kind, _ in cgroup_hierarchies():
        folder = Path(place, name)
        folder.mkdir(exist_ok=True)
        if kind == "cgroup":
            for file in _INHERITED:
                if (folder / file).exists():
                    (folder / file).write_text(Path(place, file).read_text())
        folders.append(str(folder))
    return folders


def of_beds() -> list[tuple[int, Path]]:
    """The groups there are, each with the number of its bed."""
    found = []
    for place, _, _ in cgroup_hierarchies():
        for folder in Path(place).iterdir():
            bed = bed_of(folder.name)
            if bed is not None and folder.is_dir():
                found.append((bed, folder))
    return found


def remove(folder: Path) -> None:
    """With all below it. BedError if something is still in it."""
    until(lambda: _removed(folder), f"cgroup {folder} is empty", _EMPTY_SECONDS)


def _removed(folder: Path) -> bool:
    try:
        for inner in [path for path in folder.iterdir() if path.is_dir()]:
            _removed(inner)
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return not folder.exists()
    return True
