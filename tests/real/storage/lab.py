"""A storage box with a real tgtd, for tests: root only. Nothing of it outlives the process that made it, however that ends.

The file system is mounted in namespaces that a small keeper holds open, and the keeper ends with its input; tgtd runs there
too, and is killed by the kernel with whoever started it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ave.errors import Unavailable
from ave.ports.hypervisor import Stamp
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.iscsi import names
from drivers.iscsi.block import IscsiBlock
from drivers.iscsi.box import Box
from drivers.iscsi.pool import Pool
from drivers.iscsi.server import Service
from drivers.iscsi.tgt import Tgt
from tests.contracts.labs import HOSTS, LATER, MEMBERS, wait_for

PORTAL = "127.0.0.1:3260"  # in a network of its own
SECRET = b"a secret that only tests know"
POOL_BYTES = 128 * 2**30  # sparse
TOOLS = ("tgtd", "mkfs.xfs", "qemu-io", "qemu-img", "unshare", "nsenter", "setpriv", "mount")
KEEPER = """
set -e
mkfs.xfs -q -m reflink=1 -l size=64m -d agcount=2 "$1/pool.img"
mount -o loop "$1/pool.img" "$1/mount"
ip link set lo up
echo ready
cat >/dev/null
umount -l "$1/mount"
rm -rf "$1"
"""


class Ground:
    """A pool and a tgtd that can be killed, stopped and started again."""

    def __init__(self) -> None:
        missing = [tool for tool in TOOLS if shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]
        assert not missing, f"install what has {', '.join(missing)}"
        assert os.geteuid() == 0, "these tests mount a file system: run them as root"
        self.folder = Path(tempfile.mkdtemp(prefix="ave-box-"))
        self._keeper: subprocess.Popen[bytes] | None = None
        self._tgtd: subprocess.Popen[bytes] | None = None
        try:
            self._mount()
            self.start_tgtd()
        except BaseException:
            self.close()
            raise

    def _mount(self) -> None:
        (self.folder / "mount").mkdir()
        with open(self.folder / "pool.img", "wb") as image:
            image.truncate(POOL_BYTES)
        apart = ("unshare", "--mount", "--net", "--propagation", "private")
        command = [*apart, "sh", "-c", KEEPER, "keeper", str(self.folder)]
        self._keeper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._keeper.stdout is not None
        assert self._keeper.stdout.readline() == b"ready\n", "the pool cannot be mounted"
        self.pool = Path(f"/proc/{self._keeper.pid}/root{self.folder}/mount")

    @property
    def tgt(self) -> Tgt:
        return Tgt(self.folder / "socket.0")

    @property
    def tgtd(self) -> int:
        assert self._tgtd is not None, "tgtd was started"
        return self._tgtd.pid

    def inside(self, *command: str) -> list[str]:
        """The command, as it runs where the pool and the portal are, and no longer than this process."""
        assert self._keeper is not None, "the pool is mounted"
        there = ("nsenter", f"--target={self._keeper.pid}", "--mount", "--net")
        return [*there, "setpriv", "--pdeathsig", "KILL", *command]

    def start_tgtd(self) -> None:
        environment = {**os.environ, "TGT_IPC_SOCKET": str(self.folder / "socket")}
        with open(self.folder / "tgtd.log", "ab") as log:
            self._tgtd = subprocess.Popen(
                self.inside("tgtd", "-f", "-C", "0", "-t", "4", "--iscsi", f"portal={PORTAL}"),
                env=environment,
                stdout=log,
                stderr=log,
            )
        wait_for(self._answers, "tgtd answers")

    def _answers(self) -> bool:
        assert self._tgtd is not None, "tgtd was started"
        assert self._tgtd.poll() is None, f"tgtd has ended: {self.folder / 'tgtd.log'}"
        try:
            self.tgt.look({})
        except Unavailable:
            return False
        return True

    def kill_tgtd(self) -> None:
        assert self._tgtd is not None, "tgtd was started"
        self._tgtd.kill()
        self._tgtd.wait()

    def close(self) -> None:
        if self._tgtd is not None:
            self.kill_tgtd()
        if self._keeper is not None:
            self._keeper.communicate(timeout=10)  # its input ends, and so does it
        shutil.rmtree(self.folder, ignore_errors=True)  # the keeper has done it, unless it never began


class IscsiLab:
    """Four hosts that share the storage box, all in this process; tgtd and the initiators are real."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.folder = Path(tempfile.mkdtemp(prefix="lab-", dir=ground.folder))
        self.pool_folder = Path(tempfile.mkdtemp(prefix="lab-", dir=ground.pool))
        self.runner = asyncio.Runner()
        self.runtime = self.runner.run(self._runtime_here())
        self.hosts: dict[str, IscsiBlock] = {}
        self._server: asyncio.Server | None = None
        self.start_box()
        self.call("a", 1, "join", "a", "boot")
        self.call("a", 1, "renew", "a", "boot")

    async def _runtime_here(self) -> AsyncioRuntime:
        return AsyncioRuntime("lab")

    def start_box(self) -> None:
        """Anew, from what is on its disks."""
        self.box = Box(Pool(self.pool_folder), self.folder / "state", self.ground.tgt, SECRET)
        self.service = Service(self.box, self.folder / "state", SECRET, self.runtime)
        self._server = self.runner.run(self.service.serve("127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        self.hosts = {host: self.host(host) for host in HOSTS}

    def host(self, host: str, secret: bytes = SECRET) -> IscsiBlock:
        box = ("127.0.0.1", self.port)
        return IscsiBlock(host, box, PORTAL, secret, self.runtime, may_lead=host in MEMBERS)

    def stop_box(self) -> None:
        assert self._server is not None
        self._server.close()
        self.run(self._server.wait_closed())
        self._server = None

    def close(self) -> None:
        if self._server is not None:
            self.stop_box()
        self.runner.close()
        for target in self.ground.tgt.look({}):
            self.ground.tgt.take_down(target)
        shutil.rmtree(self.pool_folder)
        shutil.rmtree(self.folder)

    def run(self, call: Any, limit: float = 30.0) -> Any:
        return self.runner.run(asyncio.wait_for(call, limit))

    def call(self, host: str, port: int, verb: str, *given: Any, **named: Any) -> Any:
        assert port == 1, "there is no hypervisor here"
        return self.run(getattr(self.hosts[host], verb)(*given, **named))

    def place(self, volume: str, owner: str, epoch: int) -> None:
        stamp = Stamp(epoch=epoch)
        self.box.detach(volume, Stamp(epoch=LATER))
        self.box.delete(volume, stamp)
        self.box.create(volume, 20, stamp)
        self.box.attach(volume, owner or "nobody", stamp)
        if not owner:
            self.box.detach(volume, stamp)

    def volumes(self) -> list[str]:
        return list(self.box.volumes())

    # Initiators

    def image(self, target: str, host: str, epoch: int, secret: str = "") -> list[str]:
        """Options of QEMU's tools for a LUN, as who says to be this host under this epoch."""
        file = self.folder / f"chap-{names.part(host)}{'-wrong' if secret else ''}"
        file.write_text(secret or names.chap_secret(SECRET, host))
        file.chmod(0o600)
        node = {
            "driver": "raw",
            "file": {
                "driver": "iscsi",
                "transport": "tcp",
                "portal": PORTAL,
                "target": target,
                "lun": names.LUN,
                "initiator-name": names.initiator(host, epoch),
                "user": names.user(host),
                "password-secret": "chap",
            },
        }
        return ["--object", f"secret,id=chap,file={file}", f"json:{json.dumps(node)}"]

    def io_as(self, key: bytes, volume: str, host: str, epoch: int) -> bool:
        """Can this host write, with what follows from another storage secret than this lab's?"""
        target, secret = names.target(volume, host, epoch), names.chap_secret(key, host)
        return self.io(self.image(target, host, epoch, secret), f"write -P {epoch} 0 4k")[0]

    def io(self, image: list[str], *commands: str, limit: float = 10.0) -> tuple[bool, str]:
        """Did all of these commands of qemu-io succeed? And what it said."""
        words = [part for command in commands for part in ("-c", command)]
        run = subprocess.run(
            self.ground.inside("qemu-io", "-n", *image[:2], *words, image[2]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit,
        )
        said = run.stdout + run.stderr
        return run.returncode == 0 and "failed" not in said and "rror" not in said, said

    def write(self, volume: str, host: str, epoch: int) -> bool:
        """Can it write under this epoch, to any target that there is of the volume?"""
        there = [name for name in self.ground.tgt.look({}) if name.startswith(names.prefix(volume))]
        targets = {names.target(volume, host, epoch), *there}
        return any(self.io(self.image(target, host, epoch), f"write -P {epoch} 0 4k")[0] for target in targets)


def until(come: Callable[[], Any], seconds: float) -> bool:
    """Did it come to be in this time?"""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if come():
            return True
        time.sleep(0.01)
    return False
