"""One host: namespaces of its own in which libvirtd, QEMU and the nodes of AVE run as on a machine of their own."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from tests.real.bed import cgroups, init, inside, maker, processes
from tests.real.bed.command import PROGRAM, BedError, until
from tests.real.bed.names import HOSTS, PLANES, Names, Plane
from tests.real.bed.network import Fabric

UP_SECONDS = 30.0
DOWN_SECONDS = 20.0
LIBVIRT_PORT = 16509

_LIBVIRTD = """\
listen_tls = 0
listen_tcp = 1
listen_addr = "{address}"
auth_tcp = "none"
auth_unix_rw = "none"
host_uuid = "{uuid}"
keepalive_interval = 2
keepalive_count = 3
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
"""
_QEMU = """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = ["cpu", "memory"]
stdio_handler = "logd"
vnc_listen = "{address}"
migration_address = "{address}"
migration_host = "{address}"
keepalive_interval = 2
keepalive_count = 3
max_core = 0
"""
_VIRTLOGD = 'log_outputs = "3:file:/var/log/libvirt/virtlogd.log"\n'


class Host:
    """It begins without power. ``folder`` is its own, on a disk that survives a crash."""

    def __init__(self, names: Names, fabric: Fabric, root: Path, number: int, own: Sequence[str] = ()) -> None:
        """``own``: folders of the machine, what is written to which stays on this host."""
        self.name = f"h{number}"
        self._own = list(own)
        self.folder = root / self.name
        self._names, self._fabric, self._root = names, fabric, root
        self._cut: set[Plane] = set()
        self._outer: subprocess.Popen[bytes] | None = None
        self.folder.mkdir()
        for private in init.PLACES:
            (self.folder / private).mkdir()

    @property
    def address(self) -> str:
        """On the management network. This machine reaches it too."""
        return self._names.address(self.name, "management")

    @property
    def storage_address(self) -> str:
        return self._names.address(self.name, "storage")

    @property
    def uuid(self) -> str:
        """By which its libvirtd tells itself from others."""
        return str(uuid5(NAMESPACE_DNS, self._names.namespace(self.name)))

    @property
    def libvirt_uri(self) -> str:
        """Over the management network, as another host sees it: it hangs when that is cut."""
        return f"qemu+tcp://{self.address}/system"

    @property
    def local_uri(self) -> str:
        """Over the socket in its /run, for a process of this machine: no cut of a network matters."""
        return f"qemu+unix:///system?socket={self.folder}/run/libvirt/libvirt-sock"

    @property
    def log(self) -> Path:
        """The folder that is /var/log/libvirt there."""
        return self.folder / "log"

    @property
    def pid(self) -> int:
        """Of its process 1, as this machine counts; 0 without power."""
        if self._outer is None or self._outer.poll() is not None:
            return 0
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children")
        try:
            first = children.read_text().split()
        except OSError:
            return 0
        return int(first[0]) if first else 0

    def start(self, *, wait: bool = True) -> None:
        """Power on: a new boot with an empty /run, all else as it was. Without ``wait``, see ``wait_until_up``."""
        if self.pid:
            raise BedError(f"{self.name} runs already")
        self._fabric.plug(self.name, PLANES)
        for plane in self._cut:
            self._fabric.turn(self.name, plane, up=False)
        self._furnish()
        plan = {
            "net": self._net,
            "cgroups": cgroups.made(self._names.namespace(self.name)),
            "folder": str(self.folder),
            "root": str(self._root),
            "name": self.name,
            "own": self._own,
        }
        words = json.dumps(plan)
        with (self.folder / "console.log").open("ab") as console:
            self._outer = subprocess.Popen(
                [*PROGRAM, inside.__file__, "boot", words, *PROGRAM, init.__file__, words],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
                cwd="/",
                env=maker.environ(),
            )
        if wait:
            self.wait_until_up()

    def wait_until_up(self) -> None:
        """Until its libvirtd takes connections, and the networks carry."""
        until(self._answers, f"libvirtd of {self.name} (see {self.folder}/console.log)", UP_SECONDS)
        self._fabric.wait_until_carrying(self.name, set(PLANES) - self._cut)

    def crash(self) -> None:
        """Power off, now: it says no last word on any network, and all that it ran ends with its process 1."""
        self._fabric.unplug(self.name)
        if first := self.pid:
            processes.kill(first)
        self.bury()

    def bury(self) -> None:
        """Once its process 1 has been killed."""
        if self._outer is not None:
            self._outer.wait(DOWN_SECONDS)
            self._outer = None

    def cut(self, plane: Plane) -> None:
        """Pull the cable. It stays pulled over a crash and a start."""
        self._cut.add(plane)
        self._fabric.turn(self.name, plane, up=False)

    def heal(self, plane: Plane) -> None:
        self._cut.discard(plane)
        self._fabric.turn(self.name, plane, up=True)
        self._fabric.wait_until_carrying(self.name, [plane])

    def run(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program on this host: it ends with the host, or with the process that is returned.

        ``options`` are Popen's, its ``env`` too; ``cwd`` is ``/``. SIGTERM, SIGINT and SIGHUP are passed on. It is in a
        session of its own: in ours, if it stood still when our shell ends, the kernel would end us by SIGHUP, without a word.
        """
        plan = {"net": self._net, "pid": self._alive(), "cgroups": cgroups.named(self._names.namespace(self.name))}
        environ = maker.environ(options.pop("env", None))
        words = [*PROGRAM, inside.__file__, "enter", json.dumps(plan), *argv]
        return subprocess.Popen(words, env=environ, start_new_session=True, **options)

    def ask(self, argv: Sequence[str], *, seconds: float = 60.0, env: Mapping[str, str] | None = None) -> str:
        """What a program prints that is run here. BedError if it fails or takes longer."""
        with self.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
            try:
                said, wrong = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                raise BedError(f"{' '.join(argv)} on {self.name} took longer than {seconds:.0f} s") from None
        if process.returncode:
            raise BedError(f"{' '.join(argv)} on {self.name} ended with {process.returncode}: {wrong.strip()}")
        return str(said)

    def pids(self, name: str) -> list[int]:
        """Its processes that run the program of this name, as this machine counts them; a script is its interpreter."""
        if not (first := self.pid):
            return []
        own = processes.namespace(f"/proc/{first}/ns/pid")
        return [pid for pid in processes.of_namespace("pid", [own]) if processes.program(pid) == name]

    def start_libvirtd(self) -> None:
        """As its supervisor would after ``kill -9`` of libvirtd; what runs is found again."""
        for daemon in init.DAEMONS:
            if not self.pids(Path(daemon[0]).name):
                self.ask(daemon)
        self.wait_until_up()

    def _alive(self) -> int:
        if not (first := self.pid):
            raise BedError(f"{self.name} has no power")
        return first

    @property
    def _net(self) -> str:
        return f"/run/netns/{self._names.namespace(self.name)}"

    def _answers(self) -> bool:
        """By its socket file: it can be seen with the management network cut."""
        if self._outer is not None and self._outer.poll() is not None:
            last = (self.folder / "console.log").read_text(errors="replace")[-500:]
            raise BedError(f"{self.name} did not come up: {last.strip()}")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            return probe.connect_ex(f"{self.folder}/run/libvirt/libvirt-sock") == 0

    def _furnish(self) -> None:
        """What a boot finds: an empty /run, a new boot id, its configuration, the names of all hosts."""
        shutil.rmtree(self.folder / "run")
        for private in ("run/libvirt", "run/lock", "etc/qemu", "log/qemu"):
            (self.folder / private).mkdir(parents=True, exist_ok=True)
        (self.folder / "boot_id").write_text(Path("/proc/sys/kernel/random/uuid").read_text())
        (self.folder / "machine-id").write_text(self.uuid.replace("-", "") + "\n")
        known = "".join(f"{self._names.address(f'h{n}', 'management')} h{n}\n" for n in range(1, HOSTS + 1))
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost\n{known}")
        words = {"address": self.address, "uuid": self.uuid}
        (self.folder / "etc/libvirtd.conf").write_text(_LIBVIRTD.format(**words))
        (self.folder / "etc/qemu.conf").write_text(_QEMU.format(**words))
        (self.folder / "etc/virtlogd.conf").write_text(_VIRTLOGD)
