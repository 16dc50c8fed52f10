"""Enter a host's namespaces, or make them: a program of its own that imports nothing of AVE.

``inside.py boot PLAN`` makes a host: new mount, PID, UTS and cgroup namespaces around init.py. ``inside.py enter PLAN
ARGV…`` runs a program there, which ends with this process. PLAN is JSON, see host.py. The network namespace comes first in
both: what is in it belongs to the bed, and goes when the bed goes.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from typing import Any, NoReturn

_NEWNS, _NEWCGROUP, _NEWUTS, _NEWPID, _NEWNET = 0x20000, 0x2000000, 0x4000000, 0x20000000, 0x40000000
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def main(mode: str, plan: dict[str, Any], argv: list[str]) -> NoReturn:
    files = [(os.open(path, os.O_RDONLY | os.O_CLOEXEC), kind) for path, kind in _namespaces(mode, plan)]
    groups = [os.open(f"{folder}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC) for folder in plan.get("cgroups", ())]
    for file, kind in files:
        _checked(_libc.setns(file, kind))
    if mode == "boot":
        _checked(_libc.unshare(_NEWNS | _NEWUTS | _NEWPID))
    elif not plan.get("pid"):  # a network namespace is all there is
        os.execvp(argv[0], argv)
    _run_as_child(mode, argv, groups)


def _namespaces(mode: str, plan: dict[str, Any]) -> list[tuple[str, int]]:
    """In this order: the mount namespace hides the paths of the others, which are opened before."""
    joined = [(plan["net"], _NEWNET)]
    if mode == "enter" and plan.get("pid"):
        names = {"cgroup": _NEWCGROUP, "uts": _NEWUTS, "pid": _NEWPID, "mnt": _NEWNS}
        joined += [(f"/proc/{plan['pid']}/ns/{name}", kind) for name, kind in names.items()]
    return joined


def _run_as_child(mode: str, argv: list[str], groups: list[int]) -> NoReturn:
    """A PID namespace begins with a child, and so do the host's cgroups. Its end is ours, and its exit code too."""
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        for group in groups:
            os.write(group, b"0")
        if mode == "boot":
            _checked(_libc.unshare(_NEWCGROUP))
        else:
            _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL))
            if os.getppid() not in (parent, 0):  # 0: the parent is outside of our PID namespace
                os._exit(1)
            os.chdir("/")
        os.execvp(argv[0], argv)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: os.kill(child, number))
    while True:
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            os._exit(os.WEXITSTATUS(status))
        if os.WIFSIGNALED(status):
            os._exit(128 + os.WTERMSIG(status))


def _checked(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3:])
