"""What a guest that is a process has used, as the kernel counts for it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ave.ports.hypervisor import Usage
from drivers.process import life
from drivers.process.life import Life

TICKS, PAGE_BYTES = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


def usage(vm: str, epoch: int, process: Life) -> Usage | None:
    """None if it has ended."""
    folder = Path("/proc", str(process.pid))
    with suppress(FileNotFoundError, ProcessLookupError):
        stat = (folder / "stat").read_text(errors="replace")
        io = dict(line.split(": ") for line in (folder / "io").read_text().splitlines())
        fields = stat[stat.rindex(")") + 2 :].split()
        if not life.is_there(process):
            return None  # what was read is of another process, perhaps
        return Usage(
            vm=vm,
            epoch=epoch,
            cpu_seconds=(int(fields[11]) + int(fields[12])) / TICKS,
            memory_mib=int(fields[21]) * PAGE_BYTES // 2**20,
            reads=int(io["syscr"]),
            writes=int(io["syscw"]),
            read_bytes=int(io["rchar"]),
            written_bytes=int(io["wchar"]),
        )
    return None
