"""AVE itself on the bed: a storage box that serves volumes, and on each host a node and a guard, as systemd would run them."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple

import msgspec

from drivers.config import MachineConfig
from tests.real.bed import Bed, Host
from tests.real.bed.network import VM_BRIDGE

BOX_PORT = 3270
NETWORK = "lan"
UP_SECONDS = 120.0
END_SECONDS = 20.0


class Times(NamedTuple):
    """When a silent host gives up, and when it is judged, in seconds: short, and still safe."""

    give_up: float
    verdict: float


GIVE_UP, VERDICT = TIMES = Times(20.0, 40.0)


class Told(NamedTuple):
    """What its configuration tells a host of the bed of itself."""

    name: str
    machine: MachineConfig = MachineConfig(cpus=2, memory_mib=4096, reserve_mib=512, networks=(NETWORK,))
    master: bool = True


UNITS = Path(__file__).parents[2] / "packaging/systemd"


def confined(what: str) -> list[str]:
    """What lets a program have no more capabilities than its unit leaves it."""
    (row,) = re.findall(r"^CapabilityBoundingSet=(.*)$", (UNITS / f"ave-{what}.service").read_text(), re.MULTILINE)
    left = ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in row.split())
    return ["setpriv", "--no-new-privs", f"--bounding-set=-all,{left}"]


class RealCluster:
    """Close it, or use it as a context manager. ``told``: by host of the bed; whoever gives it starts the hosts as well.
    ``store`` is a URL; without it, one file that all hosts share."""

    def __init__(
        self,
        bed: Bed,
        folder: Path,
        times: Times = TIMES,
        told: Mapping[str, Told] | None = None,
        store: str = "",
    ) -> None:
        self.bed, self.folder, self.times = bed, folder, times
        self.told = told or {host.name: Told(host.name) for host in bed.hosts}
        self.store = store or f"sqlite:{folder}/store"
        self._secret = folder / "storage.secret"
        self._nodes: dict[tuple[str, str], subprocess.Popen[Any]] = {}  # by host and what it is
        self._box: subprocess.Popen[Any] | None = None
        self.start_box()
        self._wait(lambda: "storage box starts" in self.log("storage").read_text(), "the storage box")
        for host in bed.hosts if told is None else ():
            self.start(host)

    def __enter__(self) -> RealCluster:
        return self

    def __exit__(self, *_: object) -> None:
        running = [each for each in (*self._nodes.values(), self._box) if each is not None]
        for process in running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in running:
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start_box(self) -> None:
        config = self.folder / "storage.toml"
        config.write_text(
            "[storage]\n"
            f'listen = "{self.bed.storage.address}:{BOX_PORT}"\n'
            f'pool = "{self.bed.storage.pool}"\n'
            f'state = "{self.folder}/box"\n'
            f'tgtd = "{self.bed.storage.control}"\n'
            f'secret_file = "{self._secret}"\n'
        )
        with self.log("storage").open("ab") as log:
            argv = [sys.executable, "-m", "ave.cli.main", "storage", "--config", str(config)]
            self._box = self.bed.storage.run(argv, stdout=log, stderr=log)

    @property
    def box(self) -> str:
        """Where hosts ask the storage box."""
        return f"{self.bed.storage.address}:{BOX_PORT}"

    @property
    def secret(self) -> Path:
        return self._secret

    @property
    def box_pid(self) -> int:
        """0 if it does not run."""
        return self._box.pid if self._box is not None and self._box.poll() is None else 0

    def start(self, host: Host) -> None:
        """Its node and its guard."""
        for what in ("node", "guard"):
            self.start_one(host, what)

    def start_one(self, host: Host, what: str) -> None:
        config = self.folder / f"{host.name}.toml"
        config.write_text(self._config(host))
        with self.log(f"{host.name}.{what}").open("ab") as log:
            argv = [*confined(what), sys.executable, "-m", "ave.cli.main", what, "--config", str(config)]
            self._nodes[host.name, what] = host.run(argv, stdout=log, stderr=log)

    def has_ended(self, host: Host, what: str) -> bool:
        return self._nodes[host.name, what].poll() is not None

    def pid(self, host: Host, what: str) -> int:
        """Of the program itself, as this machine counts; 0 if it does not run."""
        process = self._nodes[host.name, what]
        if process.poll() is not None:
            return 0
        try:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        except OSError:
            return 0
        return int(children[0]) if children else 0

    def _config(self, host: Host) -> str:
        told = self.told[host.name]
        bridges = ", ".join(f'{network} = "{VM_BRIDGE}"' for network in told.machine.networks)
        peers = "".join(
            f'[libvirt.peers.{self.told[other.name].name}]\nuri = "{other.libvirt_uri}"\nmigration = "tcp://{other.address}"\n'
            for other in self.bed.hosts
        )
        return (
            f'[node]\nhost = "{told.name}"\nmaster = {str(told.master).lower()}\n'
            f"[ha]\ngive_up = {self.times.give_up}\nverdict = {self.times.verdict}\n"
            f'[store]\nurl = "{self.store}"\n'
            '[hypervisor]\ndriver = "libvirt"\n'
            f"[machine]\n{_lines(told.machine)}"
            "[storage]\n"
            f'box = "{self.bed.storage.address}:{BOX_PORT}"\n'
            f'portal = "{self.bed.storage.portal}"\n'
            f'secret_file = "{self._secret}"\n'
            f'[libvirt]\nuri = "qemu:///system"\nkind = "qemu"\nstate = "{self.folder}/{host.name}"\n'
            f"bridges = {{{bridges}}}\n"
            f"{peers}"
        )

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def said(self) -> str:
        """The last words of everybody."""
        return "\n".join(f"--- {path.name}\n{path.read_text()[-1500:]}" for path in sorted(self.folder.glob("*.log")))

    def _wait(self, done: Any, what: str) -> None:
        deadline = monotonic() + UP_SECONDS
        while not done():
            assert monotonic() < deadline, f"{what} is not there after {UP_SECONDS:g} s: {self.said()}"
            sleep(0.1)


def _lines(machine: MachineConfig) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in msgspec.to_builtins(machine).items())
