"""``make demo`` at a real terminal: a host is killed, its VMs come back, why one is there, and back in time."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
COLUMNS, LINES = 120, 40
REAL_SECONDS = 120.0  # a look gives up; on two busy cores the demo is slow
ROW = re.compile(r"(?P<state>\w+) +(?P<name>db-\d) +(?P<host>host-\d)")


class Terminal:
    """A terminal in a tmux of its own."""

    def __init__(self, folder: Path) -> None:
        self._tmux = ("tmux", "-u", "-S", str(folder / "tmux"), "-f", "/dev/null")
        self._environment = {**os.environ, "XDG_CONFIG_HOME": str(folder), "LC_ALL": "C.UTF-8"}
        self._environment.pop("TMUX", None)
        # make's own flags, such as the server of its jobs, are not for another make.
        for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
            self._environment.pop(name, None)

    def begin(self, command: str) -> None:
        size = ("-x", str(COLUMNS), "-y", str(LINES))
        self._do("new-session", "-d", *size, "-c", str(ROOT), f"{command}; echo ENDED WITH $?; sleep 600")

    def type(self, *keys: str) -> None:
        self._do("send-keys", *keys)

    def write(self, text: str) -> None:
        self._do("send-keys", "-l", text)

    def shown(self) -> str:
        return self._do("capture-pane", "-p")

    def until(self, found: Callable[[str], Any]) -> Any:
        ends = time.monotonic() + REAL_SECONDS
        while not (what := found(shown := self.shown())):
            assert time.monotonic() < ends, shown
            time.sleep(0.1)
        return what

    def end(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], capture_output=True, check=False)

    def _do(self, *words: str) -> str:
        return subprocess.run(
            [*self._tmux, *words], env=self._environment, capture_output=True, text=True, check=True, timeout=60
        ).stdout


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    assert shutil.which("tmux"), "python -m tests.real.install brings it"
    made = Terminal(tmp_path)
    yield made
    made.end()


def hosts(shown: str) -> dict[str, str]:
    """VM -> its host, of the rows that say it runs."""
    return {row["name"]: row["host"] for row in ROW.finditer(shown) if row["state"] == "running"}


@pytest.mark.timeout(600)
def test_a_host_is_killed_its_vms_return_why_there_and_back_in_time(terminal: Terminal) -> None:
    terminal.begin("make --no-print-directory demo")
    terminal.until(lambda shown: "HEALTHY" in shown and "hosts 6/6" in shown)
    terminal.type("2", "/")
    terminal.write("db-")
    terminal.type("Enter")
    terminal.until(lambda shown: "demo › vms   6 of" in shown)
    before = terminal.until(lambda shown: found if len(found := hosts(shown)) == 6 else None)
    lost = [vm for vm, host in before.items() if host == "host-1"]
    assert lost

    terminal.type("!")
    terminal.until(lambda shown: "Let a fault befall it" in shown and "‹ host-1 ›" in shown)
    terminal.type("C-u")  # for how long is not said: for ever
    terminal.type("Enter")
    terminal.until(lambda shown: "host-crash hits host-1" in shown)
    terminal.until(lambda shown: "DEGRADED" in shown and "1 host dead" in shown)
    after = terminal.until(
        lambda shown: found if len(found := hosts(shown)) == 6 and "host-1" not in found.values() else None
    )

    terminal.type("Home")
    terminal.type("w")
    said = terminal.until(lambda shown: shown if "OUTCOME" in shown and "chosen" in shown else None)
    assert f"why {min(after)}" in said
    terminal.type("Escape")
    terminal.until(lambda shown: "› why" not in shown)  # else the terminal takes it for alt and the next key

    terminal.type("<")
    terminal.until(lambda shown: "PAST" in shown and hosts(shown) == before)
    terminal.type("0")
    terminal.until(lambda shown: "PAST" not in shown and hosts(shown) == after)
    terminal.type("q")
    terminal.until(lambda shown: "ENDED WITH 0" in shown)
