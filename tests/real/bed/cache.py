"""What is worth keeping between beds, outside of the repository: libvirt's probe of QEMU (1.5 s a host), and the guest."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.real.bed.command import BedError, run

_PROBED = ("libvirt-daemon", "qemu-system-x86")


def folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "ave-bed")


def installed(*packages: str) -> str:
    """Their versions in one word, for the name of what was made from them."""
    lines = run("dpkg-query", "--show", "--showformat", "${Version} ", *packages).split()
    if len(lines) != len(packages):
        raise BedError(f"of {', '.join(packages)} some are not installed: make test-real installs them")
    return "_".join(lines).replace(":", ".")


def prune(pattern: str, *, keep: int) -> None:
    """Of what was made from older packages, only the newest stay."""
    found = sorted(folder().glob(pattern), key=lambda path: path.stat().st_mtime)
    for old in found[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


def give(place: Path) -> None:
    """To a host that has none yet. libvirt itself looks whether it is still true."""
    if (kept := _libvirt()).is_dir():
        shutil.copytree(kept, place, dirs_exist_ok=True)


def keep(place: Path) -> None:
    """What a host found out, unless another has told before."""
    kept = _libvirt()
    if kept.is_dir() or not any(place.rglob("*.xml")):
        return
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_name(f"{kept.name}.{os.getpid()}")
    shutil.copytree(place, part)
    try:
        part.rename(kept)
    except OSError:  # another bed was faster
        shutil.rmtree(part)


def _libvirt() -> Path:
    return folder() / f"libvirt-{installed(*_PROBED)}"
