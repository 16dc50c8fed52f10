"""What runs as a VM: it writes who it is to its volumes, a few times per second, as a guest's journal would.

It is started alone, by its path and without site-packages, so it imports next to nothing. It is born asking: until its
starter says the word it touches no volume, and if its starter dies first it ends.

A volume is a file of text. Its header names the host and epoch that may write; each further line is a run of writes by
one instance, so an instance that writes again after a later one did shows as a line out of order.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time

GO, HOLD = b"go", b"hold"
UP = b"up\n"
SHUT_DOWN = ".shut-down"  # beside its devices, once it has ended in order
DEAF = "deaf"  # a guest that does not listen to the power button
WRITE_SECONDS = 0.25

HEADER = 8192  # bytes; its first line is for guests, the second for who administers the volume
WORD = b"ave-volume"
VOID = b"void"  # over the first bytes: this file has been replaced, whoever still has it open
LINE = 128  # bytes of one run of writes; no line lies on two pages, so none is ever half written


def first_line(owner: str, epoch: int) -> bytes:
    return b"%s %s %d\n" % (WORD, owner.encode(), epoch)


def row(instance: int, epoch: int, first: float, last: float, writes: int) -> bytes:
    """A run of writes: whose they are, when by this machine's monotonic clock, and how many."""
    return (b"%d %d %.6f %.6f %d" % (instance, epoch, first, last, writes)).ljust(LINE - 1) + b"\n"


def write(path: str, owner: str, epoch: int, instance: int) -> bool:
    """Write once to the volume; is it acknowledged? Only if nobody else owned it from before the write until after it."""
    for _ in range(3):  # it is replaced while its owner stays: by one who lets it grow, say
        try:
            handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if not _is_at(handle, path):
                continue
            if not _owned(handle, owner, epoch):
                return False
            _add(handle, instance, epoch)
            return _is_at(handle, path) and _owned(handle, owner, epoch)
        finally:
            os.close(handle)
    return False


def _is_at(handle: int, path: str) -> bool:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    here = os.fstat(handle)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _owned(handle: int, owner: str, epoch: int) -> bool:
    mine = first_line(owner, epoch)
    return os.pread(handle, len(mine), 0) == mine


def _add(handle: int, instance: int, epoch: int) -> None:
    now = time.monotonic()
    size = os.fstat(handle).st_size
    end = max(HEADER, size - (size - HEADER) % LINE)
    if end > HEADER:
        words = os.pread(handle, LINE, end - LINE).split()
        if len(words) == 5 and words[:2] == [b"%d" % instance, b"%d" % epoch]:
            os.pwrite(handle, row(instance, epoch, float(words[2]), now, int(words[4]) + 1), end - LINE)
            return
    os.pwrite(handle, row(instance, epoch, now, now, 1), end)


def main(home: str, vm: str, host: str, epoch: str, instance: str, memory: str, devices: str, how: str) -> None:
    """Be this VM. ``home``, ``vm`` and ``memory`` are for who finds the process and nothing else of it."""
    if os.fork():
        os._exit(0)
    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if how == DEAF else lambda *_: _shut_down(devices))
    os.write(1, b"%d\n" % os.getpid())
    word = os.read(0, 16)
    if word not in (GO, HOLD):
        os._exit(1)  # who started it died before it was known to anybody
    os.write(1, UP)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    if word == HOLD:
        os.kill(os.getpid(), signal.SIGSTOP)
    while True:
        for path in _volumes(devices):
            try:
                write(path, host, int(epoch), int(instance))
            except OSError:
                pass  # a disk that fails is the guest's to live with
        time.sleep(WRITE_SECONDS)


def _shut_down(devices: str) -> None:
    """In order: it says so before it goes, for who finds it gone."""
    os.close(os.open(devices + SHUT_DOWN, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    os._exit(0)


def _volumes(devices: str) -> list[str]:
    """Read anew each time: they may be changed while it runs."""
    try:
        handle = os.open(devices, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return []
    try:
        return os.read(handle, 1 << 20).decode().split("\n")[:-1]
    finally:
        os.close(handle)


if __name__ == "__main__":
    main(*sys.argv[1:])
