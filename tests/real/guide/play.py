"""Do what the operator's guide says, on a bed with three hosts and a fourth that is the storage box."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Lock
from time import monotonic, sleep

from tests.mongod import mongod
from tests.real.bed import Bed, Host
from tests.real.bed.command import run
from tests.real.bed.guest_image import guest_image
from tests.real.guide import stand_ins
from tests.real.guide.page import Block, Power, fits

ROOT = Path(__file__).parents[3]
OWN = (
    "/etc",
    "/opt",
    "/var/lib",
    "/srv",
    "/usr/local",
    "/root",
)  # folders of the machine that each host has for itself
NUMBERS = {"h1": 1, "h2": 2, "h3": 3, "box": 4}
BLOCK_SECONDS = 180.0
LOOK_SECONDS = 1.0
POOL_GIB = 16
# What a service of the guide has in its environment here, and a shell too: no KVM, and less patience.
ENVIRON = {"AVE_LIBVIRT__KIND": "qemu", "AVE_HA__GIVE_UP": "16", "AVE_HA__VERDICT": "34"}


class Unlike(Exception):
    """A block that did not do what the guide says."""


class Player:
    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self._delivering = Lock()
        self._programs = bed.root / "programs"
        self._post = bed.root / "post"
        self._places = {"10.0.0.": _net(bed.host(1).address), "10.0.1.": _net(bed.host(1).storage_address)}
        self._places["/dev/sdb"] = self._disk()
        self._post.mkdir()
        stand_ins.write(self._programs, self._post)
        for host in bed.hosts:
            self._install(host)

    def do(self, item: Block | Power) -> None:
        """Unlike, if it does not do what stands there."""
        if isinstance(item, Power):
            self._turn(item)
        elif item.not_run:
            self._read_only(item)
        else:
            with ThreadPoolExecutor() as pool:
                list(pool.map(partial(self._do, item), item.machines))

    def host(self, machine: str) -> Host:
        return self.bed.host(NUMBERS[machine])

    # Blocks

    def _do(self, block: Block, machine: str) -> None:
        deadline = monotonic() + block.within
        while True:
            code, said = self.shell(machine, block.commands)
            wanted = None if block.prints is None else self._here(block.prints)
            if code == 0 and (wanted is None or fits(said, wanted)):
                return
            if monotonic() > deadline:
                lacking = f"it ended with {code}" if code else f"it printed not what the guide says:\n{wanted}\nbut"
                raise Unlike(f"line {block.line}, on {machine}: {block.commands}\n{lacking}:\n{said}\n{self.said()}")
            sleep(LOOK_SECONDS)

    def shell(self, machine: str, commands: str) -> tuple[int, str]:
        """The exit code, and what was printed."""
        host = self.host(machine)
        environ = {
            "PATH": f"{self._programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
        }
        with host.run(
            ["bash", "-euo", "pipefail", "-c", self._here(commands)],
            env={**environ, **ENVIRON, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                said, _ = process.communicate(timeout=BLOCK_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise Unlike(f"on {machine} this took longer than {BLOCK_SECONDS:.0f} s: {commands}") from None
        with self._delivering:
            self._deliver()
        return process.returncode, said

    def _here(self, text: str) -> str:
        for name, place in self._places.items():
            text = text.replace(name, place)
        return text

    def _read_only(self, block: Block) -> None:
        """A block that is not run is a program all the same; and where it would bring something here, that is brought."""
        run("bash", "-n", given=block.commands)
        for pattern, give in {
            r"^python3 -m venv (\S+)$": self._give_ave,
            r"install --yes (mongodb-org-server)$": self._give_mongod,
            r"-o (\S+\.qcow2)": self._give_image,
        }.items():
            if found := re.search(pattern, block.commands, re.MULTILINE):
                for machine in block.machines:
                    give(self.host(machine), found[1])

    # Power

    def _turn(self, power: Power) -> None:
        host = self.host(power.machine)
        if not power.on:
            host.crash()
            return
        host.start()
        self._install(host)
        code, said = self.shell(power.machine, "systemctl boot")
        if code:
            raise Unlike(f"line {power.line}: {power.machine} does not boot: {said}")

    # What is another here

    def _deliver(self) -> None:
        """What was given to scp goes to where it was sent."""
        for to in sorted(self._post.glob(f"*/{stand_ins.TO}")):
            machine, _, folder = to.read_text().strip().removeprefix("root@").partition(":")
            to.unlink()
            self.host(machine).ask(["cp", "-p", *map(str, to.parent.iterdir()), folder])
            shutil.rmtree(to.parent)

    def _install(self, host: Host) -> None:
        """What a bare Debian has, or its services have in their environment on a bed."""
        drop_in = "".join(f"Environment={key}={value}\n" for key, value in ENVIRON.items())
        for service in ("ave-node", "ave-guard"):
            folder = f"/etc/systemd/system/{service}.service.d"
            host.ask(["sh", "-c", f'mkdir -p {folder}; echo "[Service]\n{drop_in}" > {folder}/bed.conf'])
        host.ask(["mkdir", "-p", "/etc/network/interfaces.d"])

    def _give_ave(self, host: Host, place: str) -> None:
        """As an installation of it leaves it, with the source that is tested and the packages of who tests it."""
        python = f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} "$@"'
        ave = f'#!/bin/sh\nexec {place}/bin/python -m ave.cli.main "$@"'
        lines = [f"mkdir -p {place}/bin", f"ln -s {ROOT} {place}/src"]
        for name, text in {"python": python, "ave": ave}.items():
            lines += [f"cat > {place}/bin/{name} <<'END'\n{text}\nEND", f"chmod 755 {place}/bin/{name}"]
        host.ask(["sh", "-ec", "\n".join(lines)])

    def _give_mongod(self, host: Host, package: str) -> None:
        """As its package leaves it: a user, a folder, and a service that is not enabled."""
        quick = "--setParameter shutdownTimeoutMillisForSignaledShutdown=100"
        unit = f"[Service]\nExecStart={mongod()} --config /etc/mongod.conf {quick}\nRestart=on-failure"
        lines = ["useradd --system --user-group mongodb", "mkdir -p /var/lib/mongodb"]
        lines.append(f"mkdir -p /etc/systemd/system; echo '{unit}' > /etc/systemd/system/mongod.service")
        host.ask(["sh", "-ec", "\n".join(lines)])

    def _give_image(self, host: Host, place: str) -> None:
        argv = ["qemu-img", "convert", "-O", "qcow2", str(guest_image().disk), place]
        host.ask(["mkdir", "-p", os.path.dirname(place)])
        host.ask(argv)

    def _disk(self) -> str:
        """A device with room for volumes; it goes with the bed."""
        file = self.bed.host(NUMBERS["box"]).folder / "disk"
        with file.open("wb") as made:
            made.truncate(POOL_GIB * 2**30)
        return run("losetup", "--find", "--show", str(file)).strip()

    def said(self) -> str:
        """The last words of every service."""
        last = "tail -n 6 /run/journal/* 2>&1 | cut -c1-300 || true"
        running = [machine for machine in NUMBERS if self.host(machine).pid]
        return "\n".join(f"--- {machine}\n{self.shell(machine, last)[1]}" for machine in running)


def _net(address: str) -> str:
    return address.rpartition(".")[0] + "."
