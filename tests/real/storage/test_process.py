"""``ave storage`` as a process of its own: killed in the middle of whatever it does, its state says who may write."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import Any

import pytest

from ave.errors import AveError, Unavailable, UnknownOutcome
from drivers.iscsi.block import IscsiBlock
from drivers.iscsi.secret import read_secret
from tests.contracts.test_block import stamp
from tests.real.storage.lab import PORTAL, until

ROUNDS = 8


class Box:
    """The process, and host a that asks it."""

    def __init__(self, lab, port):
        self.lab, self.port = lab, port
        self.secret = lab.folder / "secret"
        self.process: Any = None

    def start(self):
        words = [
            "--listen",
            f"127.0.0.1:{self.port}",
            "--pool",
            self.lab.pool_folder,
            "--state",
            self.lab.folder / "state",
        ]
        words += ["--tgtd", self.lab.ground.folder / "socket.0", "--secret-file", self.secret]
        command = [sys.executable, "-m", "ave.cli.main", "storage", *map(str, words)]
        with open(self.lab.folder / "box.log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        assert until(self.answers, 20.0), (self.lab.folder / "box.log").read_text()

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1.0).close()
        except OSError:
            return False
        return True

    def end(self, how):
        self.process.send_signal(how)
        return self.process.wait(20)

    def call(self, verb, *given):
        block = IscsiBlock(
            "a", ("127.0.0.1", self.port), PORTAL, read_secret(self.secret), self.lab.runtime, may_lead=True
        )
        return asyncio.run(getattr(block, verb)(*given))


@pytest.fixture
def box(lab):
    lab.stop_box()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    box = Box(lab, port)
    box.start()
    yield box
    if box.process.poll() is None:
        box.end(signal.SIGKILL)


def test_it_draws_its_secret_keeps_it_to_itself_and_ends_when_told(box):
    assert box.secret.stat().st_mode & 0o777 == 0o600
    assert box.end(signal.SIGTERM) == 0
    box.start()
    box.call("create", "disk", 1, stamp(1))
    assert box.call("owner", "disk") == ("", 0)


def test_there_is_one_box_on_one_state(box):
    words = ["--listen", "127.0.0.1:1", "--pool", box.lab.pool_folder, "--state", box.lab.folder / "state"]
    command = [sys.executable, "-m", "ave.cli.main", "storage", *map(str, words), "--secret-file", str(box.secret)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert second.returncode == 2
    assert "has been locked by another process" in second.stderr


@pytest.mark.timeout(120)
def test_whenever_the_box_is_killed_a_repeated_call_ends_what_was_begun_and_no_older_owner_writes(box):
    """One owner after the other, each through a box that is killed a little later in the middle of the call."""
    box.call("create", "disk", 1, stamp(1))
    box.call("attach", "disk", "a", stamp(1))
    done = 0
    for round_ in range(ROUNDS):
        epoch = round_ + 2
        owner = "ab"[epoch % 2]
        killer = threading.Timer(round_ * 0.002, box.process.send_signal, [signal.SIGKILL])
        killer.start()
        try:
            box.call("attach", "disk", owner, stamp(epoch))
            done += 1
        except (Unavailable, UnknownOutcome):
            pass
        killer.join()
        box.process.wait(10)
        box.start()
        box.call("attach", "disk", owner, stamp(epoch))
        assert box.call("owner", "disk") == (owner, epoch)
        assert not box.lab.write("disk", "ab"[(epoch - 1) % 2], epoch - 1)
        assert box.lab.io_as(read_secret(box.secret), "disk", owner, epoch)
    assert done < ROUNDS, "it was never killed in the middle"


def test_a_box_that_stands_still_is_waited_for_a_while_only(box):
    os.kill(box.process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(AveError, match="no answer within 2 s"):
            box.call("join", "a", "boot")
    finally:
        os.kill(box.process.pid, signal.SIGCONT)
    box.call("join", "a", "boot")
