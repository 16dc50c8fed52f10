"""What real files promise of their writers: nobody writes late, nothing acknowledged is lost, nobody is held up."""

import os
import threading
import time
from contextlib import closing

import msgspec
import pytest

from ave.model.vm import VM
from ave.ports.hypervisor import Stamp
from drivers import disk
from drivers.process import guest
from drivers.process.home import Home
from drivers.process.volumes import Volumes
from tests.contracts.labs import INCOMING, ProcessLab, wait_for

SMALL = VM(id="vm", vcpus=1, memory_mib=64, volumes=("disk",))


def stamp(epoch=1, token=1):
    return Stamp(job="job", task="task", attempt=1, token=token, epoch=epoch)


@pytest.fixture
def lab(tmp_path):
    with closing(ProcessLab(tmp_path)) as lab:
        lab.place("disk", "a", 1)
        yield lab


@pytest.fixture
def do(lab):
    return lambda host, verb, *given: lab.call(host, 0, verb, *given)


@pytest.fixture
def up(lab, do):
    do("a", "start", SMALL, stamp())
    return SMALL


def test_process_of_a_vm_and_its_successor_one_wrote_after_the_other(lab, do, up):
    wait_for(lambda: lab.runs("disk"), "the first write")
    do("a", "pause", "vm")
    lab.call("b", 1, "attach", "disk", "b", stamp(2))
    do("b", "start", up, stamp(2))
    do("a", "resume", "vm", stamp())  # it runs, and should not: its host was taken for dead
    wait_for(lambda: len(lab.runs("disk")) == 2, "the successor's first write")
    before = lab.runs("disk")
    wait_for(lambda: lab.runs("disk")[1].writes > before[1].writes + 2, "the successor writes on")
    first, second = lab.runs("disk")
    assert (first.instance, second.instance) == (1, 2)
    assert first == before[0]
    assert first.last < second.first


def test_process_a_writer_that_stands_still_in_the_middle_of_a_write_holds_nobody_up(lab):
    path = Volumes(lab.root).path("disk")
    late = os.open(path, os.O_RDWR)
    with os.fdopen(late, "r+b", buffering=0) as file:
        assert disk.acquire(late, 0.0)
        before = time.monotonic()
        lab.call("b", 1, "attach", "disk", "b", stamp(2))
        assert time.monotonic() - before < 5.0
        assert lab.write("disk", "b", 2)
        assert file.read(4) == guest.VOID  # so it finds out, before it could take its write for done
        file.seek(0, os.SEEK_END)
        file.write(guest.row(1, 1, 0.0, 0.0, 1))
    assert [run.epoch for run in lab.runs("disk")] == [2]


def test_process_a_write_during_which_the_volume_is_taken_away_is_not_acknowledged(lab, monkeypatch):
    add = guest._add

    def late(*given):
        lab.call("b", 1, "attach", "disk", "b", stamp(2))
        add(*given)

    monkeypatch.setattr(guest, "_add", late)
    assert not lab.write("disk", "a", 1)
    monkeypatch.undo()
    assert lab.write("disk", "b", 2)
    assert [run.epoch for run in lab.runs("disk")] == [2]


def test_process_a_volume_keeps_what_was_written_whoever_owns_it(lab):
    for epoch in range(2, 6):
        lab.call("b", 1, "attach", "disk", "b", stamp(epoch))
        assert lab.write("disk", "b", epoch)
        lab.call("b", 1, "grow", "disk", 20 + epoch, stamp(epoch))
        assert lab.write("disk", "b", epoch)
    assert [(run.epoch, run.writes) for run in lab.runs("disk")] == [(epoch, 2) for epoch in range(2, 6)]


def test_process_of_writers_and_changes_at_once_no_acknowledged_write_is_lost(lab):
    acknowledged, stop = 0, threading.Event()

    def write():
        nonlocal acknowledged
        while not stop.is_set():
            acknowledged += lab.write("disk", "a", 1)

    writer = threading.Thread(target=write)
    writer.start()
    for size in range(21, 60):
        lab.call("a", 1, "grow", "disk", size, stamp())
    lab.call("b", 1, "attach", "disk", "b", stamp(2))
    written = lab.runs("disk")
    stop.set()
    writer.join(10)
    assert lab.runs("disk") == written
    assert sum(run.writes for run in written) >= acknowledged > 0


def test_process_devices_change_while_the_guest_runs(lab, do, up):
    lab.place("more", "a", 1)
    do("a", "plug", msgspec.structs.replace(up, volumes=("disk", "more")), stamp())
    wait_for(lambda: lab.runs("more"), "it writes to what was plugged")
    do("a", "plug", up, stamp())
    time.sleep(2 * guest.WRITE_SECONDS)
    written = lab.runs("more")
    time.sleep(3 * guest.WRITE_SECONDS)
    assert lab.runs("more") == written
    home = Home(lab.root, "a")
    assert msgspec.json.decode(home.domain("vm").read_bytes())["vm"]["volumes"] == ["disk"]


def test_process_a_migrated_vm_writes_at_the_target_and_its_copy_wrote_nothing_before(lab, do, up):
    wait_for(lambda: lab.runs("disk"), "the first write")
    do("a", "migrate", up, "b", stamp())
    lab.call("a", 1, "attach", "disk", "b", stamp(2))
    time.sleep(2 * guest.WRITE_SECONDS)
    assert len(lab.runs("disk")) == 1
    assert do("b", "list")[0].state is INCOMING
    do("a", "finish_migration", "vm", "b", stamp(2))
    wait_for(lambda: len(lab.runs("disk")) == 2, "the target's first write")
    assert [run.instance for run in lab.runs("disk")] == [1, 2]
