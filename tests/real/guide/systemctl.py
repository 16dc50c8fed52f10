"""A stand-in for systemctl and journalctl on a bed's host, whose process 1 is no systemd: it runs the units' own lines.

A program of its own that imports nothing of AVE. Of a unit and its drop-ins it obeys what decides whether a service works: its
command line, environment, credentials, folders, capabilities, and when it is started again; the rest it leaves out, and systemd
itself reads the units in tests/real/test_units.py. ``boot`` starts what is enabled, as a boot does.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

SYSTEM = Path("/etc/systemd/system")
WANTED = SYSTEM / "bed.wants"  # what was enabled here; the machine itself has enabled other things
FOLDERS = (SYSTEM, Path("/lib/systemd/system"))
STATE, JOURNAL = Path("/run/units"), Path("/run/journal")
STARTED_SECONDS, END_SECONDS = 0.5, 30.0
LIBVIRTD = ("/usr/sbin/libvirtd", "-d", "--listen")
LIBVIRTD_CONF, TLS = Path("/etc/libvirt/libvirtd.conf"), "libvirtd-tls.socket"

Settings = dict[str, list[str]]


class Failed(Exception):
    pass


def main(words: list[str]) -> None:
    verb, *rest = [word for word in words if word != "--now"]
    names = [name if "." in name else f"{name}.service" for name in rest]
    now = "--now" in words
    if verb == "supervise":
        supervise(names[0])
    elif verb == "boot":
        for path in sorted(WANTED.glob("*")) if WANTED.is_dir() else []:
            start(path.name)
    elif verb in ("enable", "disable"):
        for name in names:
            enable(name) if verb == "enable" else (WANTED / name).unlink(missing_ok=True)
            if now:
                (start if verb == "enable" else stop)(name)
    elif verb in ("start", "stop", "restart"):
        for name in names:
            if verb != "start":
                stop(name)
            if verb != "stop":
                start(name)
    elif verb == "is-active":
        said = ["active" if runs(name) else "inactive" for name in names]
        print("\n".join(said))
        if "active" not in said:
            sys.exit(3)
    elif verb != "daemon-reload":
        raise Failed(f"this stand-in knows no {verb}")


def read(name: str) -> Settings:
    """A key that is given empty forgets what was given before."""
    unit = next((folder / name for folder in FOLDERS if (folder / name).is_file()), None)
    if unit is None:
        raise Failed(f"Unit {name} could not be found.")
    found: Settings = defaultdict(list)
    for path in (unit, *sorted((SYSTEM / f"{name}.d").glob("*.conf"))):
        for line in re.sub(r"\\\n", " ", path.read_text()).splitlines():
            key, mark, value = line.strip().partition("=")
            if not mark or key.startswith(("#", ";")):
                continue
            if value:
                found[key].append(value.replace("%d", f"/run/credentials/{name}"))
            else:
                found[key].clear()
    return found


def enable(name: str) -> None:
    if name != TLS:
        read(name)
    WANTED.mkdir(parents=True, exist_ok=True)
    (WANTED / name).touch()


def start(name: str) -> None:
    if name in (TLS, "libvirtd.service"):
        return libvirtd(name)
    if runs(name):
        return None
    settings = read(name)
    prepare(name, settings)
    JOURNAL.mkdir(exist_ok=True)
    with (JOURNAL / name).open("ab") as journal:
        argv = [sys.executable, "-I", "-S", "-B", __file__, "supervise", name]
        supervisor = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=journal, stderr=journal, start_new_session=True
        )
    while not runs(name) and supervisor.poll() is None:
        time.sleep(0.05)
    time.sleep(STARTED_SECONDS)
    if not runs(name):
        last = (JOURNAL / name).read_text(errors="replace")[-500:]
        raise Failed(f"Job for {name} failed because the control process exited with error code.\n{last}")
    return None


def libvirtd(name: str) -> None:
    """The bed's own, which takes its sockets by itself; the socket unit of TLS says that it shall have that one too."""
    if name == TLS:
        LIBVIRTD_CONF.write_text(LIBVIRTD_CONF.read_text().replace("listen_tls = 0", "listen_tls = 1"))
        if not runs(name):
            return
        stop(name)
    deadline = time.monotonic() + END_SECONDS
    while not runs(name) and subprocess.run(LIBVIRTD, check=False, stdin=subprocess.DEVNULL).returncode:
        if time.monotonic() > deadline:
            raise Failed("libvirtd does not start")
        time.sleep(0.2)


def prepare(name: str, settings: Settings) -> None:
    for key, above in (("StateDirectory", "/var/lib"), ("RuntimeDirectory", "/run")):
        for folder in settings[key]:
            Path(above, folder).mkdir(mode=0o700, exist_ok=True)
    for credential in settings["LoadCredential"]:
        id, _, source = credential.partition(":")
        place = Path("/run/credentials", name, id)
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            shutil.copyfile(source, place)
        except OSError as error:
            raise Failed(f"{name}: credential {id}: {error}") from None
        place.chmod(0o400)


def command(settings: Settings) -> list[str]:
    """With no more capabilities than the unit leaves it."""
    rows = settings["CapabilityBoundingSet"]
    left = ",".join(f"+{word.removeprefix('CAP_').lower()}" for row in rows for word in row.split())
    confined = ["setpriv", "--no-new-privs", f"--bounding-set=-all,{left}"] if rows else []
    return [*confined, *shlex.split(settings["ExecStart"][-1])]


def supervise(name: str) -> None:
    """Its main process alone is ended and started again: what else it has left is its own affair."""
    settings = read(name)
    environ = dict(os.environ)
    for row in settings["Environment"]:
        environ.update(word.partition("=")[::2] for word in shlex.split(row))
    over = False
    child: subprocess.Popen[bytes] | None = None

    def end(number: int, frame: object) -> None:
        nonlocal over
        over = True
        if child is not None:
            child.send_signal(signal.Signals[(settings["KillSignal"] or ["SIGTERM"])[-1]])

    signal.signal(signal.SIGTERM, end)
    STATE.mkdir(exist_ok=True)
    (STATE / name).write_text(str(os.getpid()))
    while not over:
        child = subprocess.Popen(command(settings), stdin=subprocess.DEVNULL, env=environ)
        code = child.wait()
        again = (settings["Restart"] or ["no"])[-1]
        if again == "no" or (again == "on-failure" and code == 0):
            break
        time.sleep(float((settings["RestartSec"] or ["1"])[-1]))
    (STATE / name).unlink()


def runs(name: str) -> int:
    """The supervisor's process; 0 if there is none."""
    if name in (TLS, "libvirtd.service"):
        return int(subprocess.run(["pgrep", "--exact", "libvirtd"], capture_output=True, check=False).returncode == 0)
    try:
        pid = int((STATE / name).read_text())
        os.kill(pid, 0)
    except (OSError, ValueError):
        return 0
    return pid


def stop(name: str) -> None:
    if name in (TLS, "libvirtd.service"):
        subprocess.run(["pkill", "--exact", "libvirtd"], check=False)
    elif pid := runs(name):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + END_SECONDS
    while runs(name):
        if time.monotonic() > deadline:
            raise Failed(f"{name} does not stop")
        time.sleep(0.05)


def journal(words: list[str]) -> None:
    """``journalctl -u UNIT -n LINES``"""
    unit, lines = words[words.index("-u") + 1], words[words.index("-n") + 1]
    subprocess.run(["tail", "-n", lines, str(JOURNAL / f"{unit}.service")], check=True)


if __name__ == "__main__":
    try:
        journal(sys.argv[2:]) if sys.argv[1] == "journalctl" else main(sys.argv[1:])
    except Failed as why:
        print(why, file=sys.stderr)
        sys.exit(1)
