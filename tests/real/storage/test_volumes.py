"""Volumes on a real pool: they grow under load, move with a migration, are copied, and say clearly when there is no room."""

import os
import subprocess
import threading
import time
from functools import partial

import pytest

from ave.errors import Refused
from drivers.iscsi import names
from drivers.iscsi.pool import GIB, Pool
from drivers.iscsi.tgt import Mode, Op
from tests.contracts.test_block import stamp
from tests.real.storage.initiator import hear, image, interactive, running, tell
from tests.real.storage.lab import until

PAUSE_SECONDS = 15.0  # libiscsi connects once in three seconds at most; the rest is for a machine at work


def reaches(file, blocks):
    return file.stat().st_blocks > blocks


def test_a_volume_grows_under_load_and_no_write_fails(lab, do, disk):
    over, written = threading.Event(), 0

    def write():
        nonlocal written
        while not over.is_set() and written < 2**14:  # of 64 KiB: the whole volume as it was at first
            tell(writer, f"write -q -P 1 {written * 64}k 64k")
            written += 1

    with running(lab, "qemu-io", "-n", *image(lab, "a", 1)) as writer:
        writing = threading.Thread(target=write)
        writing.start()
        file = Pool(lab.pool_folder).path(disk)
        try:
            assert until(partial(reaches, file, 2**14), 10.0), "it writes"
            for size in (2, 3, 4):
                do("a", "grow", disk, size, stamp(1))
                more = file.stat().st_blocks + 64
                assert until(partial(reaches, file, more), PAUSE_SECONDS), "it writes on"
        finally:
            over.set()
            writing.join()
        said, _ = writer.communicate(timeout=60)
        assert writer.returncode == 0, said
        assert "rror" not in said
    done, said = lab.io(image(lab, "a", 1), "length", f"read -P 1 0 {written * 64}k")
    assert done, said
    assert "4 GiB" in said


def test_who_writes_hardly_notices_that_the_volume_grows(lab, do, disk):
    with interactive(lab, "a", 1) as writer:
        tell(writer, "write 0 4k")
        hear(writer, "wrote")
        do("a", "grow", disk, 2, stamp(1))
        began = time.monotonic()
        tell(writer, "write 0 4k")
        hear(writer, "wrote")
        assert time.monotonic() - began < 0.5


def test_a_growth_that_was_cut_short_is_finished_by_the_next_look(lab, do, disk):
    """The box died with the target offline: only tgtd is left as it was."""
    target = names.target(disk, "a", 1)
    tgt = lab.ground.tgt
    tgt._ask("stand in for a box that died", Mode.TARGET, Op.UPDATE, tgt._show()[target].tid, "state=offline")
    assert lab.box.look().put_right == (disk,)
    assert lab.write(disk, "a", 1)
    assert lab.box.look().put_right == ()


def test_the_incoming_side_of_a_migration_has_the_volume_open_before_it_owns_it_and_writes_at_once(lab, do, disk):
    do("a", "admit", disk, "b", stamp(1))
    with interactive(lab, "a", 1) as source, interactive(lab, "b", 2) as target:
        tell(source, "write -P 1 0 4k")
        hear(source, "wrote")
        tell(target, "read -P 1 0 4k")
        hear(target, "read 4096")
        do("a", "attach", disk, "b", stamp(2))
        began = time.monotonic()
        tell(target, "write -P 2 0 4k")
        hear(target, "wrote")
        assert time.monotonic() - began < 0.2, "its session was never cut"
        tell(source, "write -P 3 0 4k")
        assert not until(lambda: not lab.io(image(lab, "b", 2), "read -P 2 0 4k")[0], 1.0)


def test_a_migration_that_is_taken_back_leaves_the_source_its_session_and_the_target_nothing(lab, do, disk):
    do("a", "admit", disk, "b", stamp(1))
    with interactive(lab, "a", 1) as source, interactive(lab, "b", 2) as target:
        tell(source, "write -P 1 0 4k")
        hear(source, "wrote")
        tell(target, "read -P 1 0 4k")
        hear(target, "read 4096")
        do("a", "attach", disk, "a", stamp(1))
        tell(target, "write -P 2 0 4k")
        tell(source, "write -P 3 0 4k")
        hear(source, "wrote")
        assert not until(lambda: not lab.io(image(lab, "a", 1), "read -P 3 0 4k")[0], 1.0)


# What is wished for and cannot be


def test_a_disk_larger_than_the_pool_is_refused_and_nothing_is_made(lab, do):
    with pytest.raises(Refused, match=r"volume huge cannot have 4096 GiB: the whole pool has 127"):
        do("a", "create", "huge", 4096, stamp(1))
    assert lab.volumes() == []
    do("a", "create", "small", 1, stamp(1))
    with pytest.raises(Refused, match="volume small cannot have 4096 GiB"):
        do("a", "grow", "small", 4096, stamp(1))
    do("a", "create", "small", 1, stamp(1))


def test_in_a_full_pool_nothing_new_is_made_and_what_is_there_can_be_fenced(lab, do, disk):
    filling = lab.pool_folder / "filling"
    there = os.statvfs(lab.pool_folder)
    subprocess.run(["fallocate", "-l", str(there.f_bavail * there.f_frsize - 2**20), filling], check=True)
    with pytest.raises(Refused, match="the storage is full"):
        do("a", "create", "more", 1, stamp(1))
    with pytest.raises(Refused, match="the storage is full"):
        do("a", "grow", disk, 2, stamp(1))
    assert lab.volumes() == [disk]
    assert Pool(lab.pool_folder).volumes() == (disk,)
    done, said = lab.io(image(lab, "a", 1), "write -P 1 0 256M")
    assert not done
    assert "rror" in said
    do("b", "attach", disk, "b", stamp(2))
    assert not lab.write(disk, "a", 1)
    filling.unlink()
    assert lab.write(disk, "b", 2)


NAMES = [
    'it\'s "quoted"',
    "../../etc/passwd",
    "two\nlines",
    "<xml/>&amp;",
    "a,b=c",
    "ünï",
    "UPPER",
    "x" * 200,
    ".hidden",
    "-",
    "%41",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_a_volumes_and_a_hosts(lab, do, name):
    do("a", "create", name, 1, stamp(1))
    do("a", "attach", name, name, stamp(1))
    assert lab.volumes() == [name]
    assert do("a", "owner", name) == (name, 1)
    assert (lab.write(name, name, 1), lab.write(name, "a", 1)) == (True, False)
    do("a", "detach", name, stamp(1))
    do("a", "delete", name, stamp(1))
    assert Pool(lab.pool_folder).volumes() == ()


HEADERS = {"qcow2": ["-b", "/etc/passwd", "-F", "raw"], "vmdk": ["-o", "subformat=monolithicSparse"], "vdi": []}


@pytest.mark.parametrize("kind", HEADERS)
def test_what_a_guest_writes_into_its_disk_is_never_taken_for_a_format(lab, do, disk, kind):
    """The header of an image, which may name another file as its backing one."""
    header = lab.folder / f"header-{kind}"
    subprocess.run(["qemu-img", "create", "-q", "-f", kind, *HEADERS[kind], header, "1M"], check=True)
    text = header.read_bytes()[: 64 * 1024].ljust(64 * 1024, b"\0")
    header.write_bytes(text)
    assert lab.io(image(lab, "a", 1), f"write -s {header} 0 {len(text)}")[0]
    do("a", "grow", disk, 2, stamp(1))
    pool = Pool(lab.pool_folder)
    pool.copy(disk, "snapshot")
    pool.copy("snapshot", "clone")
    do("a", "detach", disk, stamp(1))
    pool.roll_back(disk, "snapshot")
    for name in (disk, "snapshot", "clone"):
        with open(pool.path(name), "rb") as file:
            assert file.read(len(text)) == text
        assert pool.path(name).stat().st_size == 2 * GIB
    do("a", "attach", disk, "a", stamp(2))
    done, said = lab.io(image(lab, "a", 2), f"read -P 0 {GIB} 4k")
    assert done, said


# Copies


@pytest.fixture
def pool(ground, lab):
    return Pool(lab.pool_folder)


def fill(pool, volume, text):
    with open(pool.path(volume), "r+b") as file:
        file.write(text)


def test_a_copy_is_of_one_moment_and_takes_no_room(pool):
    pool.make("disk", 1)
    fill(pool, "disk", b"1" * 2**20)
    free = os.statvfs(pool.path("disk")).f_bfree
    pool.copy("disk", "snapshot")
    fill(pool, "disk", b"2")
    assert pool.path("snapshot").read_bytes()[:2] == b"11"
    assert free - os.statvfs(pool.path("disk")).f_bfree < 64
    assert pool.volumes() == ("disk", "snapshot")


def test_a_volume_that_is_rolled_back_has_the_content_and_size_of_the_snapshot(pool):
    pool.make("disk", 1)
    fill(pool, "disk", b"1")
    pool.copy("disk", "snapshot")
    pool.grow("disk", 2)
    fill(pool, "disk", b"2")
    pool.roll_back("disk", "snapshot")
    assert pool.size("disk") == GIB
    with open(pool.path("disk"), "rb") as file:
        assert file.read(1) == b"1"


def test_copies_of_nothing_or_over_something_are_refused(pool):
    pool.make("disk", 1)
    pool.make("other", 1)
    with pytest.raises(Refused, match="there is no volume none"):
        pool.copy("none", "copy")
    with pytest.raises(Refused, match="volume other exists already"):
        pool.copy("disk", "other")
    with pytest.raises(Refused, match="there is no volume none"):
        pool.roll_back("disk", "none")
    assert pool.volumes() == ("disk", "other")
