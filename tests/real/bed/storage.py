"""The storage box: tgtd in a network namespace of its own, over a pool of raw files whose blocks can be shared."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.real.bed import inside, maker, processes
from tests.real.bed.command import PROGRAM, BedError, run, until
from tests.real.bed.names import STORAGE_BOX, Names, Plane
from tests.real.bed.network import Fabric

POOL_GIB = 16  # sparse: it takes what is written
PORT = 3260
UP_SECONDS = 15.0
PLANES: tuple[Plane, ...] = ("management", "storage")


class Storage:
    """``pool`` is a folder on XFS with reflinks. It is there, with what is in it, whether tgtd runs or not."""

    def __init__(self, names: Names, fabric: Fabric, root: Path) -> None:
        self.name = STORAGE_BOX
        self.folder = root / self.name
        self.pool = self.folder / "pool"
        self._names, self._fabric = names, fabric
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Of the portal, on the storage network."""
        return self._names.address(self.name, "storage")

    @property
    def portal(self) -> str:
        return f"{self.address}:{PORT}"

    @property
    def environ(self) -> dict[str, str]:
        """What a tgtadm must have in its environment to speak with this tgtd."""
        return {"TGT_IPC_SOCKET": str(self.folder / "tgtd")}

    @property
    def control(self) -> Path:
        """The control socket of tgtd: the name in ``environ`` and the number of its control port."""
        return self.folder / "tgtd.0"

    @property
    def pid(self) -> int:
        """Of tgtd, 0 if it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    def up(self) -> None:
        self.pool.mkdir(parents=True)
        image = self.folder / "pool.img"
        with image.open("wb") as file:
            file.truncate(POOL_GIB * 2**30)
        run("mkfs.xfs", "-q", "-m", "reflink=1", str(image))
        run("mount", "-o", "loop,discard", str(image), str(self.pool))
        self._fabric.plug(self.name, PLANES)
        self.start()
        self._fabric.wait_until_carrying(self.name, PLANES)

    def start(self) -> None:
        """A tgtd without any target, as after every start of it."""
        if self.pid:
            raise BedError("tgtd runs already")
        self.control.unlink(missing_ok=True)
        plan = json.dumps({"net": f"/run/netns/{self._names.namespace(self.name)}"})
        argv = ["tgtd", "--foreground", "--control-port", "0", "--iscsi", f"portal={self.portal}"]
        with (self.folder / "tgtd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*PROGRAM, inside.__file__, "enter", plan, *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=maker.environ({**os.environ, **self.environ}),
            )
        until(self._answers, f"tgtd (see {self.folder}/tgtd.log)", UP_SECONDS)

    def run(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program on the box's networks, in a session of its own as on a host. ``options`` are Popen's."""
        plan = json.dumps({"net": f"/run/netns/{self._names.namespace(self.name)}"})
        environ = maker.environ({**os.environ, **self.environ})
        words = [*PROGRAM, inside.__file__, "enter", plan, *argv]
        return subprocess.Popen(words, env=environ, start_new_session=True, **options)

    def kill(self) -> None:
        """kill -9: its targets and sessions are gone, the pool is not."""
        if self._process is not None:
            processes.kill(self._process.pid)
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        os.kill(self._running(), signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._running(), signal.SIGCONT)

    def cut(self, plane: Plane) -> None:
        self._fabric.turn(self.name, plane, up=False)

    def heal(self, plane: Plane) -> None:
        self._fabric.turn(self.name, plane, up=True)
        self._fabric.wait_until_carrying(self.name, [plane])

    def tgtadm(self, mode: str, op: str, **options: str | int) -> str:
        """``tgtadm("target", "new", tid=1, targetname=…)``: what it prints. BedError with what it says against it."""
        words = [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", str(value))]
        argv = ["tgtadm", "--control-port", "0", "--lld", "iscsi", "--mode", mode, "--op", op, *words]
        return run(*argv, environ={**os.environ, **self.environ})

    def _running(self) -> int:
        if not (pid := self.pid):
            raise BedError("tgtd does not run")
        return pid

    def _answers(self) -> bool:
        if not self.pid:
            raise BedError(f"tgtd did not come up: {(self.folder / 'tgtd.log').read_text(errors='replace')[-500:]}")
        try:
            self.tgtadm("system", "show")
        except BedError:
            return False
        return True
