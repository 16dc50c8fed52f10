"""The user guide of the command line, run from its first command to its last against a real node and its guard."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drivers.process.power import power_off
from tests.soak.hosts import die_with_parent

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "cli.md").read_text()
BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<why>[^\n]+?) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL
)
PORTS = ("8460", "8461")  # of the guide's hosts a and b
HOSTS = ("a", "b")
START_SECONDS = 60.0


def blocks(kind: str) -> Iterator[tuple[str, str]]:
    """Text, and why it is not run."""
    for found in BLOCK.finditer(GUIDE):
        if found["kind"] == kind:
            yield found["text"], found["why"] or ""


def commands() -> list[str]:
    return [line for text, why in blocks("sh") if not why for line in text.splitlines()]


@contextmanager
def cluster(folder: Path, ports: tuple[str, ...]) -> Iterator[None]:
    """What the guide says to start, until it is left; then nothing of it runs any more."""
    ((config, _),) = blocks("toml")
    (folder / "try").mkdir()
    (folder / "try.toml").write_text(replaced(config, ports))
    logs = [folder / f"{host}.log" for host in HOSTS]
    begun: list[subprocess.Popen[bytes]] = []
    try:
        for host, port, log in zip(HOSTS, ports, logs, strict=True):
            for role in ("node", "guard"):
                command = [sys.executable, "-m", "ave.cli.main", role, "--config", "try.toml", "--host", host]
                told = {**environment(folder), "AVE_API__LISTEN": f"127.0.0.1:{port}"}
                with log.open("ab") as out:
                    begun.append(
                        subprocess.Popen(
                            command, cwd=folder, env=told, stdout=out, stderr=out, preexec_fn=die_with_parent
                        )
                    )
        deadline = time.monotonic() + START_SECONDS
        while not all(b"host joins" in log.read_bytes() for log in logs):
            said = "\n".join(log.read_text()[-2000:] for log in logs)
            assert time.monotonic() < deadline, said
            assert all(each.poll() is None for each in begun), said
            time.sleep(0.2)
        yield
    finally:
        for each in begun:
            each.kill()
            each.wait()
        for host in HOSTS:
            power_off(folder / "try" / "cluster", host)


def replaced(text: str, ports: tuple[str, ...]) -> str:
    for told, port in zip(PORTS, ports, strict=True):
        text = text.replace(told, port)
    return text


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AVE_")}
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    return {**kept, "PATH": path, "PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(folder / "config")}


def free_ports() -> tuple[str, ...]:
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        return tuple(str(each.getsockname()[1]) for each in (one, other))


@pytest.mark.timeout(400)
def test_every_command_of_the_guide_does_what_it_says(tmp_path: Path) -> None:
    shim = tmp_path / "bin" / "ave"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m ave.cli.main "$@"\n')
    shim.chmod(0o755)
    ports = free_ports()
    script = ["set -eu -o pipefail", "exec < /dev/null"]
    for number, line in enumerate(commands(), start=1):
        script += [f"echo '== {number}' >&2", replaced(line, ports)]
    with cluster(tmp_path, ports):
        run = subprocess.run(
            ["bash", "-c", "\n".join(script)],
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    last = commands()[len(re.findall(r"^== \d+$", run.stderr, re.MULTILINE)) - 1]
    assert run.returncode == 0, f"{last}\n{run.stderr[-2000:]}"
    assert "\x1b" not in run.stdout + run.stderr
    assert "web-1" in run.stdout


def test_what_is_not_run_has_a_reason_and_most_is() -> None:
    assert len(commands()) > 60
    assert all(len(why) > 10 for _, why in blocks("sh") if why)
    assert GUIDE.count("<!-- not run:") == sum(bool(why) for _, why in blocks("sh"))
