"""A guest with an agent: what is heard of it, and how it is asked to shut down."""

import base64
import json
import os
import socket
import time
from contextlib import suppress

import libvirt
import libvirt_qemu
import pytest

from ave.errors import Refused, Unavailable
from ave.model.vm import VM
from drivers.libvirt.link import session
from tests.contracts.labs import RUNNING, wait_for
from tests.contracts.test_hypervisor import own, stamp
from tests.real.bed.guest_image import guest_image

TALKER = VM(id="vm", vcpus=1, memory_mib=192, volumes=("disk",))


pytestmark = pytest.mark.timeout(240)  # an emulated boot takes what the machine has left


@pytest.fixture(scope="session")
def disk():
    return guest_image().disk.read_bytes()


@pytest.fixture
def lab(libvirt_lab, disk):
    """Its guest boots, and its agent is connected."""
    lab = libvirt_lab
    lab.storage.place("disk", "a", 1, disk)
    lab.call("a", 0, "start", TALKER, stamp())
    wait_for(lambda: is_heard(lab), "its agent is connected", 90.0)
    return lab


def is_heard(lab):
    agents = lab.drivers["a"].agents
    with suppress(Unavailable), session():
        agents.ask()
        return agents.is_connected(lab.drivers["a"].here.look("vm"))


def silence(lab):
    """Its agent stands still from now on; it stays connected. One that stopped between libvirt's greeting and its question
    would be waited for by libvirt for a minute, twice as long as our driver waits for libvirt."""
    begin(lab, "kill -STOP $(pidof qemu-ga)")
    wait_for(lambda: not answers(lab), "its agent stands still", 60.0)


def answers(lab):
    with session():
        try:
            libvirt_qemu.qemuAgentCommand(lab.drivers["a"].here.look("vm").domain, '{"execute": "guest-ping"}', 1, 0)
        except libvirt.libvirtError:
            return False
    return True


def begin(lab, line):
    """In the guest; nobody waits for it."""
    words = {"execute": "guest-exec", "arguments": {"path": "/bin/sh", "arg": ["-c", line]}}
    with session(), suppress(Exception):
        libvirt_qemu.qemuAgentCommand(lab.drivers["a"].here.look("vm").domain, json.dumps(words), 1, 0)


def test_a_guest_whose_agent_answers_no_more_is_silent_until_it_is_started_anew(lab):
    assert lab.call("a", 0, "silent", 0.5) == {}
    silence(lab)
    began = time.monotonic()
    assert lab.call("a", 0, "silent", 6.0, {}) == {"vm": 1}
    assert 5.0 < time.monotonic() - began < 20.0
    lab.call("a", 0, "pause", "vm")
    assert lab.call("a", 0, "silent", 6.0, {"vm": 1}) == {}, "it cannot say anything"
    lab.call("a", 0, "resume", "vm", own(1))
    lab.call("a", 0, "destroy", "vm", own(1))
    assert lab.call("a", 0, "silent", 0.0) == {}


def test_a_guest_shuts_down_by_its_agent(lab):
    began = time.monotonic()
    lab.call("a", 0, "shutdown", "vm", stamp(), 60.0)
    assert time.monotonic() - began < 15.0
    assert lab.call("a", 0, "list") == ()


def test_a_guest_whose_agent_hangs_shuts_down_by_the_power_button(lab):
    silence(lab)
    lab.call("a", 0, "shutdown", "vm", stamp(), 60.0)
    assert lab.call("a", 0, "list") == ()


def test_a_guest_goes_on_talking_after_its_migration(lab):
    lab.call("a", 0, "migrate", TALKER, "b", stamp())
    lab.call("a", 0, "finish_migration", "vm", "b", stamp(2))
    assert lab.call("b", 0, "silent", 60.0) == {}
    agents = lab.drivers["b"].agents

    def answers():
        with session():
            here = lab.drivers["b"].here.look("vm")
            return agents.is_connected(here) and agents.answers(here)

    wait_for(answers, "its agent answers on the target")


def test_a_guest_whose_disk_hung_when_it_was_paused_goes_on_when_it_is_resumed(lab):
    """QEMU waits for the disk before it says that it stands still: it is frozen, and says so after it was let go on."""
    begin(lab, "while :; do dd if=/dev/zero of=/dev/sda bs=4k count=8 seek=15000 oflag=direct; done")
    time.sleep(1.0)
    with lab.storage.hanging():
        time.sleep(1.0)
        began = time.monotonic()
        lab.call("a", 0, "pause", "vm")
        assert time.monotonic() - began > 2.0, "libvirt has not answered"
    wait_for(lambda: resumes(lab), "it is resumed", 60.0)
    time.sleep(3.0)
    (found,) = lab.call("a", 0, "list")
    assert found.state is RUNNING
    lab.call("a", 0, "destroy", "vm", own(1))


def resumes(lab):
    with suppress(Unavailable):
        lab.call("a", 0, "resume", "vm", own(1))
        return True


# What is asked of a guest, and what it does


def told(lab, line):
    """What this prints in the guest."""
    wish = {"path": "/bin/sh", "arg": ["-c", line], "capture-output": True}
    pid = lab.call("a", 0, "ask", "vm", "guest-exec", wish)["pid"]
    found = {}

    def ended():
        found.update(lab.call("a", 0, "ask", "vm", "guest-exec-status", {"pid": pid}))
        return found["exited"]

    wait_for(ended, f"{line} has ended", 30.0)
    return base64.b64decode(found.get("out-data", "")).decode()


def answers_and_refuses_without_what_was_said(lab):
    assert lab.call("a", 0, "ask", "vm", "guest-ping", {}) == {}
    assert lab.call("a", 0, "ask", "vm", "guest-info", {})["version"]
    for command, arguments in (
        ("guest-nothing", {}),
        ("guest-set-user-password", {"username": "x", "password": "s3cr3t"}),
    ):
        with pytest.raises(Refused, match=f"the agent of vm refuses {command}") as refused:
            lab.call("a", 0, "ask", "vm", command, arguments)
        assert "s3cr3t" not in str(refused.value)
        assert refused.value.__cause__ is None


def sees_its_disk_grow_and_is_counted(lab):
    before = lab.call("a", 0, "usage")[0]
    assert before.memory_mib > 50
    assert before.read_bytes > 0, "it has booted from its disk"
    lab.grow("disk", 2)
    lab.call("a", 0, "resize", "vm", "disk", 2, own(1))
    assert int(told(lab, "cat /sys/block/sda/size")) == 2 * 2**30 // 512
    told(lab, "dd if=/dev/zero of=/dev/sda bs=1M seek=2047 count=1 oflag=direct conv=notrunc")  # into what is new
    after = lab.call("a", 0, "usage")[0]
    assert after.written_bytes - before.written_bytes >= 2**20
    assert after.cpu_seconds > before.cpu_seconds


def has_a_screen_and_a_terminal(lab):
    console, box = lab.call("a", 0, "console", "vm"), lab.boxes["a"]
    assert console.serial.startswith("/dev/pts/")
    assert console.screen.startswith("/var/lib/libvirt/qemu/")
    seen = box.folder / "lib" / console.screen.removeprefix("/var/lib/libvirt/")
    with socket.socket(socket.AF_UNIX) as screen:
        screen.settimeout(5.0)
        there = os.open(seen.parent, os.O_PATH)  # the path may be longer than a socket's may be
        screen.connect(f"/proc/self/fd/{there}/{seen.name}")
        os.close(there)
        assert screen.recv(12) == b"RFB 003.008\n"


def test_a_guest_is_asked_counted_seen_and_sees_its_disk_grow(lab):
    """In one test: a boot takes longer than all of it."""
    answers_and_refuses_without_what_was_said(lab)
    sees_its_disk_grow_and_is_counted(lab)
    has_a_screen_and_a_terminal(lab)
