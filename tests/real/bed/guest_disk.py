"""A disk from which the guest boots by itself: for drivers, which start VMs from their volumes and from nothing else.

The first part is FAT with syslinux, the kernel and its RAM disk; the second is an ext4 for the guest's own use. What is
written at the beginning of a volume may be followed by whatever the volume has more.
"""

from __future__ import annotations

import struct
from pathlib import Path

from tests.real.bed.command import BedError, run

SIZE_MIB = 64
_MIB = 2**20
_SECTOR = 512
_BOOT = (1, 40)  # MiB: where it begins, how long it is
_DATA = (41, SIZE_MIB - 41)
_FAT16, _LINUX = 0x0E, 0x83
_LOADER = Path("/usr/lib/syslinux/mbr/mbr.bin")  # finds the active part, and starts what its first sector holds
_CODE = 440  # bytes of it, before the table of parts
_NO_CHS = b"\xfe\xff\xff"  # nobody counts in cylinders any more


def make(path: Path, kernel: Path, initrd: Path, command_line: str) -> None:
    try:
        loader = _LOADER.read_bytes()[:_CODE].ljust(_CODE, b"\0")
    except FileNotFoundError:
        raise BedError("syslinux is not installed: make test-real installs it") from None
    with path.open("wb") as disk:
        disk.truncate(SIZE_MIB * _MIB)
        disk.write(
            loader + bytes(6) + _part(_BOOT, _FAT16, active=True) + _part(_DATA, _LINUX) + bytes(32) + b"\x55\xaa"
        )
    begin, length = (each * _MIB for each in _BOOT)
    config = path.with_name("syslinux.cfg")
    config.write_text(f"DEFAULT guest\nPROMPT 0\nLABEL guest\nLINUX vmlinuz\nINITRD initrd.gz\nAPPEND {command_line}\n")
    fat = f"{path}@@{begin}"
    run("mformat", "-i", fat, "-T", str(length // _SECTOR), "-H", str(begin // _SECTOR), "-h", "255", "-s", "63", "::")
    run("syslinux", "--install", "--offset", str(begin), str(path))
    for source, name in ((kernel, "vmlinuz"), (initrd, "initrd.gz"), (config, "syslinux.cfg")):
        run("mcopy", "-i", fat, str(source), f"::{name}")
    config.unlink()
    begin, length = (each * _MIB for each in _DATA)
    run("mkfs.ext4", "-q", "-F", "-E", f"offset={begin}", str(path), f"{length // 1024}k")


def _part(place: tuple[int, int], kind: int, *, active: bool = False) -> bytes:
    """A line of the table of parts."""
    begin, length = (each * _MIB // _SECTOR for each in place)
    return struct.pack("<B3sB3sII", 0x80 if active else 0, _NO_CHS, kind, _NO_CHS, begin, length)
