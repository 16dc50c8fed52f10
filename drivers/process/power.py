"""The power button of such a host: what a machine's own start and a pulled plug do."""

from __future__ import annotations

import secrets
from pathlib import Path

from ave.ports.machine import Facts
from drivers import disk
from drivers.process import birth, life
from drivers.process.home import Home, Off


def power_on(root: Path, facts: Facts) -> str:
    """Boot the host, unless it is on: a new boot id, nothing running, no lease. Returns the boot id.

    What it is made of may have changed in either case. Unavailable when it cannot be told whether it is on: then nothing
    is touched, and powering it off is the way out.
    """
    home = Home(root, facts.host)
    home.make()
    for name in ("volumes", "locks"):
        (home.root / "storage" / name).mkdir(parents=True, exist_ok=True)
    with disk.locked(home.folder / "power", f"the power of {facts.host}"):
        home.set_facts(facts)
        try:
            return home.boot()
        except Off:
            _end_all(home)
            home.set_boot(boot := f"{facts.host}/boot-{secrets.token_hex(8)}")
            return boot


def power_off(root: Path, host: str) -> None:
    """None of its VMs runs when this returns, and none can be started. Its own processes are whoever started them's."""
    home = Home(root, host)
    if not home.folder.is_dir():
        return
    home.unset_boot()  # so that nobody new comes, and those who are in it leave
    with disk.locked(home.folder / "power", f"the power of {host}"):
        home.unset_boot()
        _end_all(home)


def _end_all(home: Home) -> None:
    while processes := [process for process, _ in life.running([birth.PROGRAM, str(home.folder)])]:
        for process in processes:
            life.end(process)
    for path in (home.folder / "domains").iterdir():
        path.unlink()
