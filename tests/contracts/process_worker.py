"""A worker that dies on demand: it forks for each call, and a fork may kill itself before its n-th change of the world.

One line of JSON in (host, verb, arguments, at which change to die or null), one line out: how the fork ended.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec

from ave.errors import AveError
from ave.model.vm import VM
from ave.ports.block import BlockStorage
from ave.ports.hypervisor import Stamp
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.process.ports import ports

CHANGES = {
    *(("posix", name) for name in ("write", "pwrite", "fsync", "rename", "unlink")),
    ("fcntl", "flock"),
    ("_signal", "pidfd_send_signal"),
    ("_posixsubprocess", "fork_exec"),
}
TYPES = {"vm": VM, "stamp": Stamp}


class Counter:
    """Counts calls that change the world, in every thread, and kills this process before the one it was told."""

    def __init__(self, die_at: int | None) -> None:
        self.die_at, self.seen = die_at, 0

    def __call__(self, _frame: Any, event: str, what: Any) -> None:
        if event == "c_call" and (getattr(what, "__module__", None), getattr(what, "__name__", None)) in CHANGES:
            if self.seen == self.die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            self.seen += 1


async def call(root: Path, host: str, verb: str, given: list[Any]) -> None:
    there = ports(root, host, AsyncioRuntime("worker"), None)  # type: ignore[arg-type]
    port: Any = there.block if hasattr(BlockStorage, verb) else there.hypervisor
    await getattr(port, verb)(*given)


def fork(root: Path, host: str, verb: str, given: list[Any], die_at: int | None) -> str:
    arguments = [msgspec.convert(a["is"], TYPES[a["type"]]) if isinstance(a, dict) else a for a in given]
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        counter = Counter(die_at)
        threading.setprofile(counter)
        sys.setprofile(counter)
        try:
            asyncio.run(call(root, host, verb, arguments))
            said = f"done {counter.seen}"
        except AveError as error:
            said = f"{type(error).__name__} {error}"
        sys.setprofile(None)
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        said = answer.read().decode()
    os.waitpid(child, 0)
    return said or "killed"


def main(root: str) -> None:
    for line in sys.stdin:
        print(fork(Path(root), *json.loads(line)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
