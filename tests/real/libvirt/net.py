"""One network namespace, which ends with this process, and whatever runs in it with it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

# Holds the network; when its input ends, so does every process in it.
HOLDER = """
import os, signal, subprocess, sys
for words in sys.argv[1:]:
    subprocess.run(["ip", *words.split()], check=True)
print("up", flush=True)
sys.stdin.read()
def network(pid):
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return ""
def others():
    return [int(p) for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid() and network(p) == network("self")]
while pids := others():
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
"""

INIT = """
set -e
hostname {host}
mount --make-rprivate /
for each in run:/run etc:/etc/libvirt lib:/var/lib/libvirt log:/var/log/libvirt cache:/var/cache/libvirt; do
    mount --bind {folder}/${{each%%:*}} ${{each#*:}}
done
exec {command}
"""


class Net:
    def __init__(self, addresses: Iterable[str], bridges: Iterable[str]) -> None:
        commands = ["link set lo up", *(f"address add {address}/32 dev lo" for address in addresses)]
        commands += [each for bridge in bridges for each in (f"link add {bridge} type bridge", f"link set {bridge} up")]
        self._holder = subprocess.Popen(
            ["unshare", "--net", sys.executable, "-c", HOLDER, *commands],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"up\n", "the network could not be made"

    def start(self, folder: Path, host: str, command: str) -> subprocess.Popen[bytes]:
        """This command in the network, in a mount namespace of its own with this host's folders."""
        for name in ("run/libvirt", "run/tgtd", "run/lock", "etc", "lib/images", "log/qemu", "cache"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        script = INIT.format(host=host, folder=folder, command=command)
        words = ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net", "unshare", "--mount", "--uts", "sh", "-c", script]
        with (folder / "log/console.log").open("ab") as log:
            return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def close(self) -> None:
        assert self._holder.stdin is not None
        self._holder.stdin.close()
        self._holder.wait()
        assert self._holder.stdout is not None
        self._holder.stdout.close()
