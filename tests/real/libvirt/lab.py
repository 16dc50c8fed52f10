"""Three hosts with a libvirtd each, and a storage box, in namespaces of this machine: the lab of the hypervisor's contract.

They share one network, with addresses of their own, and no processes' numbers of their own: what a host's driver does by
them is done from outside.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from ave.errors import Refused, Unavailable
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.disk import file_name
from drivers.iscsi import names
from drivers.iscsi.backend import Export
from drivers.iscsi.tgt import Tgt
from drivers.libvirt import secrets, xml
from drivers.libvirt.agents import Agents
from drivers.libvirt.disks import Lun
from drivers.libvirt.host import Reach, Settings
from drivers.libvirt.hypervisor import LibvirtHypervisor
from drivers.libvirt.link import session
from drivers.libvirt.processes import process_of
from drivers.libvirt.record import name_of
from drivers.process import life
from tests.contracts.labs import facts, wait_for
from tests.real.libvirt import guest
from tests.real.libvirt.net import Net

HOSTS = ("a", "b", "c")
STORAGE, PORT = "10.79.0.20", 3260
ADDRESSES = {host: f"10.79.0.{11 + number}" for number, host in enumerate(HOSTS)}
PASSWORDS = {host: f"of host {host} alone".encode() for host in HOSTS}
VOLUME_BYTES = 2**20
BRIDGES = {"lan": "lan"}

LIBVIRTD = """
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

QEMU = """
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
migration_address = "{address}"
migration_host = "{address}"
keepalive_interval = 2
keepalive_count = 3
max_core = 0
"""


class Storage:
    """Volumes as files, and a target for whoever may open one: (volume, host, epoch)."""

    def __init__(self, net: Net, folder: Path) -> None:
        self._folder, self._socket = folder, folder / "run/tgtd/socket"
        self._tgtd = net.start(folder, "storage", f"tgtd -f -C 0 --iscsi portal={STORAGE}:{PORT}")
        self._owners: dict[str, tuple[str, int]] = {}
        self._targets: dict[str, dict[str, int]] = {}  # of each volume: their names, and numbers
        self._number = 0
        wait_for(lambda: self._tgtadm("sys", "show", check=False), "the storage box is up")
        for host in HOSTS:
            password = PASSWORDS[host].decode()
            self._tgtadm("account", "new", "--user", names.user(host), "--password", password)

    def close(self) -> None:
        self._tgtd.kill()  # it does not obey while it has targets
        self._tgtd.wait()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """No disk answers meanwhile."""
        self._tgtd.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._tgtd.send_signal(signal.SIGCONT)

    def place(self, volume: str, owner: str, epoch: int, content: bytes) -> None:
        self.hide(volume)
        self._owners[volume] = owner, epoch if owner else 0
        with self._file(volume).open("wb") as file:
            file.write(content)
            file.truncate(max(VOLUME_BYTES, len(content)))
        if owner:
            self.admit(volume, owner, epoch)

    def admit(self, volume: str, host: str, epoch: int) -> None:
        way = names.way(f"{STORAGE}:{PORT}", volume, host, epoch)
        targets = self._targets.setdefault(volume, {})
        if way.target in targets:
            return
        self._number += 1
        targets[way.target] = self._number
        tid = ("--tid", str(self._number))
        self._tgtadm("target", "new", *tid, "--targetname", way.target)
        file = str(self._file(volume))
        self._tgtadm("logicalunit", "new", *tid, "--lun", str(way.lun), "--backing-store", file)
        self._tgtadm("target", "bind", *tid, "--initiator-name", way.initiator)
        self._tgtadm("account", "bind", *tid, "--user", way.user)

    def hide(self, volume: str) -> None:
        """Nobody can open it, whoever owns it."""
        for number in self._targets.pop(volume, {}).values():
            self._tgtadm("target", "delete", "--force", "--tid", str(number))

    def grow(self, volume: str, size_gib: int) -> None:
        os.truncate(self._file(volume), size_gib * 2**30)
        tgt, path = Tgt(Path(f"{self._socket}.0")), str(self._file(volume))
        for target in self._targets.get(volume, {}):
            tgt.reopen(Export(target=target, user="", initiator="", path=path, size=size_gib * 2**30, serial=volume))

    def clear(self) -> None:
        for volume in list(self._owners):
            self.place(volume, "", 0, b"")
        self._owners.clear()

    def _file(self, volume: str) -> Path:
        return self._folder / "lib" / file_name(volume)

    async def owner(self, volume: str) -> tuple[str, int]:
        if volume not in self._owners:
            raise Refused(f"there is no volume {volume}")
        return self._owners[volume]

    async def where(self, volume: str, host: str, epoch: int) -> Lun:
        way = names.way(f"{STORAGE}:{PORT}", volume, host, epoch)
        return Lun(
            portal=STORAGE,
            port=PORT,
            target=way.target,
            lun=way.lun,
            initiator=way.initiator,
            user=way.user,
            secret=way.usage,
        )

    def _tgtadm(self, mode: str, how: str, *words: str, check: bool = True) -> bool:
        command = ["tgtadm", "-C", "0", "--lld", "iscsi", "--mode", mode, "--op", how, *words]
        environment = {**os.environ, "TGT_IPC_SOCKET": str(self._socket)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0 or not check, f"{command}: {done.stderr}"
        return done.returncode == 0


class Box:
    """One host: its folders, and its libvirtd while it is on."""

    def __init__(self, net: Net, folder: Path, host: str) -> None:
        self.folder, self.host = folder, host
        self._net = net
        self.exclusive_cpus = 0
        self._first: subprocess.Popen[bytes] | None = None  # of its processes: holds its namespaces
        self.libvirtd: subprocess.Popen[bytes] | None = None
        shutil.copytree("/etc/libvirt", folder / "etc", symlinks=True)
        shutil.rmtree(folder / "etc/qemu/networks/autostart", ignore_errors=True)
        words = {"address": ADDRESSES[host], "uuid": uuid.uuid5(uuid.NAMESPACE_DNS, host)}
        (folder / "etc/libvirtd.conf").write_text(LIBVIRTD.format(**words))
        (folder / "etc/qemu.conf").write_text(QEMU.format(**words))

    def settings(self, **changes: Any) -> Settings:
        reach = reaches(self.folder.parent)
        return Settings(
            facts=facts(self.host, self.exclusive_cpus),
            reach=reach(self.host),
            peers=reach,
            bridges=BRIDGES,
            kind="qemu",
            state=self.folder / "state",
            run=self.folder / "run",
            **changes,
        )

    def power_on(self) -> None:
        if self._first is not None:
            return
        self._first = self._net.start(self.folder, self.host, "sleep infinity")
        wait_for(lambda: command_of(self._first) == b"sleep", f"the folders of {self.host} are where they belong")
        self.start_libvirtd()

    def start_libvirtd(self) -> None:
        """The first of this boot, or the next one."""
        path = self.folder / "run/libvirt/libvirt-sock"
        path.unlink(missing_ok=True)
        assert self._first is not None
        words = ["nsenter", f"--target={self._first.pid}", "--net", "--mount", "--uts", "libvirtd", "--listen"]
        self.libvirtd = self._net.enter(words, self.folder)
        wait_for(lambda: answers(path), f"libvirtd of {self.host} is up")

    def kill_libvirtd(self) -> None:
        self._libvirtd().kill()
        self._libvirtd().wait()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Its libvirtd does nothing meanwhile."""
        self._libvirtd().send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._libvirtd().send_signal(signal.SIGCONT)

    def _libvirtd(self) -> subprocess.Popen[bytes]:
        assert self.libvirtd is not None, f"{self.host} is off"
        return self.libvirtd

    def power_off(self) -> None:
        if self._first is None or self.libvirtd is None:
            return
        here = namespace(self._first.pid)
        while pids := [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if namespace(pid) == here]:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.libvirtd.poll()
            self._first.poll()
        self.libvirtd.wait()
        self._first.wait()
        self._first = self.libvirtd = None
        shutil.rmtree(self.folder / "run")

    def starts(self) -> int:
        """How many guests have begun here."""
        logs = (self.folder / "log/qemu").glob("*.log")
        return sum(log.read_text(errors="replace").count("starting up libvirt version") for log in logs)


def answers(path: Path) -> bool:
    """A socket is there a moment before anybody listens."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")
    except OSError:
        return f"none of {pid}"


def command_of(process: subprocess.Popen[bytes] | None) -> bytes:
    return Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")[0] if process else b""


def reaches(root: Path) -> Callable[[str], Reach]:
    def reach(host: str) -> Reach:
        if host not in ADDRESSES:
            raise Unavailable(f"there is no host {host}")
        path = root / host / "run/libvirt/libvirt-sock"
        return Reach(
            uri=f"qemu+unix:///system?socket={path}",
            peer=f"qemu+tcp://{ADDRESSES[host]}/system",
            migration=f"tcp://{ADDRESSES[host]}",
        )

    return reach


class LibvirtLab:
    """All of it for a whole run of tests: each begins with nothing in it, and all hosts on."""

    def __init__(self, root: Path) -> None:
        self.net = Net(root, (STORAGE, *ADDRESSES.values()), BRIDGES.values())
        try:
            self.storage = Storage(self.net, root / "storage")
            self.boxes = {host: Box(self.net, root / host, host) for host in HOSTS}
            self.runner = asyncio.Runner()
            self.runtime = self.runner.run(self._runtime_here())
            self.drivers = self.runner.run(self._drivers(HOSTS))
        except BaseException:
            self.net.close()
            raise
        self._started = 0

    async def _runtime_here(self) -> AsyncioRuntime:
        return AsyncioRuntime("lab")

    async def _drivers(self, hosts: Iterable[str]) -> dict[str, LibvirtHypervisor]:
        return {host: LibvirtHypervisor(self.boxes[host].settings(), self.storage, self.runtime) for host in hosts}

    def renew(self, host: str) -> None:
        """Another node than before: its driver knows nothing."""
        self.drivers[host].close()
        self.drivers[host] = self.runner.run(self._drivers([host]))[host]

    def close(self) -> None:
        for driver in self.drivers.values():
            driver.close()
        self.runner.close()
        for box in self.boxes.values():
            box.power_off()
        self.storage.close()
        self.net.close()

    def dedicate(self, many: int = 1) -> int:
        """One of each host's CPUs: a small machine has two, and only the tests of pinning do with one for all else."""
        for host, box in self.boxes.items():
            box.exclusive_cpus = self.drivers[host].files.exclusive_cpus = many
        return many

    def reset(self) -> None:
        self.dedicate(0)
        for host, driver in self.drivers.items():
            self.power_on(host)
            for found in driver.here.known():
                driver.here.remove(found)
            driver.agents = Agents(driver.here)  # the next VM has the name and the epoch of this one
            for kept in (self.boxes[host].folder / "state/rights").glob("*"):
                kept.unlink()
        self.storage.clear()
        self._started = sum(box.starts() for box in self.boxes.values())

    def call(self, host: str, port: int, verb: str, *given: Any, **named: Any) -> Any:
        if host not in self.drivers:
            raise Unavailable(f"there is no host {host}")
        if verb == "start" and given[0].labels.get("guest") == "deaf":
            for volume in given[0].volumes:
                self.storage.place(volume, host, given[1].epoch, guest.deaf())
        if verb == "migrate":
            for volume in given[0].media:
                self.storage.admit(volume, given[1], given[2].epoch + 1)
        return self.run(getattr(self.drivers[host], verb)(*given, **named))

    def run(self, call: Any, limit: float = 100.0) -> Any:
        return self.runner.run(asyncio.wait_for(call, limit))

    def idle(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    def grow(self, volume: str, size_gib: int) -> None:
        self.storage.grow(volume, size_gib)

    def seen_gib(self, host: str, vm: str, volume: str) -> int:
        here = self.drivers[host].here.look(vm)
        assert here is not None
        (dev,) = [
            xml.dev_of(disk)
            for disk in ET.fromstring(here.domain.XMLDesc(0)).iterfind("devices/disk")
            if disk.findtext("serial") == xml.serial(volume)
        ]
        return int(here.domain.blockInfo(dev)[0]) // 2**30

    def place(self, volume: str, owner: str, epoch: int) -> None:
        self.storage.place(volume, owner, epoch, guest.obedient())

    def started(self) -> int:
        return sum(box.starts() for box in self.boxes.values()) - self._started

    def power_off(self, host: str) -> None:
        self.boxes[host].power_off()

    def power_on(self, host: str) -> None:
        self.boxes[host].power_on()
        self.begin_lease(host)
        with session():
            secrets.keep(self.drivers[host].here.link, names.usage(host), PASSWORDS[host])

    def begin_lease(self, host: str) -> None:
        self.drivers[host].files.make()
        self.drivers[host].files.signs.hold_until(float("inf"), 0)

    def end_lease(self, host: str) -> None:
        self.drivers[host].files.signs.hold_until(self.runtime.now(), 0)

    def process(self, host: str, vm: str) -> life.Life:
        found = process_of(self.boxes[host].folder / "run/libvirt/qemu", name_of(vm))
        assert found is not None, f"{vm} has no process on {host}"
        return found

    def kill_guest(self, host: str, vm: str) -> None:
        life.send(self.process(host, vm), signal.SIGKILL)
        self._wait_for_end(host, vm)

    def shut_down_guest(self, host: str, vm: str) -> None:
        """By the button, again and again: it may still be booting."""
        here = self.drivers[host].here.look(vm)
        assert here is not None

        def press() -> bool:
            here.domain.shutdown()
            return False

        with suppress(Exception):
            wait_for(press, f"{vm} ends")
        self._wait_for_end(host, vm)

    def _wait_for_end(self, host: str, vm: str) -> None:
        here = self.drivers[host].here
        wait_for(lambda: not (found := here.look(vm)) or not found.active, f"libvirt has seen {vm} end")
