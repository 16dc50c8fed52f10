"""The QEMU processes of AVE's VMs on the hosts of a bed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from drivers.libvirt.record import name_of
from tests.real.bed import Host

QEMU = "qemu-system-x86_64"


def qemu(host: Host, vm: str) -> int:
    """The VM's process there, as this machine counts; 0 if it has none."""
    wanted = f"guest={name_of(vm)},".encode()
    for pid in host.pids(QEMU):
        with suppress(OSError):
            if any(word.startswith(wanted) for word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")):
                return pid
    return 0
