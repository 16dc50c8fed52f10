"""A program at a terminal of its own, for who measures how soon it draws what was typed."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
from tempfile import TemporaryDirectory
from time import monotonic

LINES, COLUMNS = 50, 160
LIMIT_SECONDS = 120.0
CURSOR = re.compile(rb"\x1b\[(\d+);1H\x1b\[[0-9;]*m\xe2\x96\x8c")  # its row is drawn with this in front
TICKS = os.sysconf("SC_CLK_TCK")


class Screen:
    def __init__(self, command: list[str]) -> None:
        self._config = TemporaryDirectory()
        self._end, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "XDG_CONFIG_HOME": self._config.name}
        self.begun = monotonic()
        self._process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
        )
        os.close(theirs)

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self.read_for(0.2)
        self._process.wait(30)
        os.close(self._end)
        self._config.cleanup()

    def type(self, keys: str) -> None:
        os.write(self._end, keys.encode())

    def read_for(self, seconds: float) -> bytes:
        """All that is drawn in this time."""
        seen, ends = b"", monotonic() + seconds
        while True:
            if not select.select([self._end], [], [], max(ends - monotonic(), 0.0))[0]:
                return seen
            try:
                seen += os.read(self._end, 1 << 16)
            except OSError:  # it has ended
                return seen
            if monotonic() >= ends:
                return seen

    def until(self, what: str) -> float:
        """Seconds since its begin until this is drawn, in one piece."""
        seen, wanted = b"", what.encode()
        while wanted not in seen:
            seen = seen[-4096:] + self.read_for(0.005)
            assert monotonic() - self.begun < LIMIT_SECONDS, f"{what} is not drawn"
        return monotonic() - self.begun

    def press(self, key: str, row: int) -> float:
        """Seconds until the cursor is drawn in that row."""
        self.read_for(0.0)
        begun = monotonic()
        self.type(key)
        seen = b""
        while not any(int(found) == row for found in CURSOR.findall(seen)):
            if select.select([self._end], [], [], 1.0)[0]:
                seen = seen[-256:] + os.read(self._end, 1 << 16)
            assert monotonic() - begun < LIMIT_SECONDS, f"{key} moves nothing"
        return monotonic() - begun

    def cpu(self) -> float:
        """Seconds that it has used so far."""
        with open(f"/proc/{self._process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS
