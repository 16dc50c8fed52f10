"""Whatever happens to a bed, nothing of it stays: looked for by other means than those by which it is removed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.real.bed import Bed, BedError, registry
from tests.real.bed.command import run, until
from tests.real.bed.domain import domain
from tests.real.bed.guest_image import GuestImage
from tests.real.bed.sweep import sweep
from tests.real.guests import libvirt_of

Note = Callable[[str, object], None]
ROOT = Path(__file__).parents[2]
_MAKE = """\
import sys, time
from pathlib import Path
from tests.real.bed import Bed
bed = Bed(Path(sys.argv[1]))
bed.up()
running = bed.host(1).run(["sleep", "600"])
print("up", flush=True)
time.sleep(600)
"""


def left_of(root: Path, bed: int) -> list[str]:
    """All on this machine that has the bed's folder in it, or its number while no other bed has that."""
    found, name = _with(f"{root}/"), f"avebed{bed}"
    named = _with(f"{name}-")
    named += [f"link {link}" for link in os.listdir("/sys/class/net") if link == name]
    named += [f"cgroup {folder}" for folder in Path("/sys/fs/cgroup").rglob(f"{name}-*")]
    named += [str(path) for path in Path("/run/netns").glob(f"{name}-*")]
    if not any(record.bed == bed and record.root != str(root) for record in registry.records()):
        found += named
    return [*found, str(root)] if root.exists() else found


def assert_nothing_left_of(root: Path, bed: int) -> None:
    """Soon: the hosts of another bed have copies of this one's mounts for a moment while they boot."""
    deadline = monotonic() + 3
    while (left := left_of(root, bed)) and monotonic() < deadline:
        sleep(0.1)
    assert left == []


def _with(word: str) -> list[str]:
    found = [f"process {pid}" for pid in _processes_with(word)]
    found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if word in line]
    return [*found, *(line for line in run("losetup", "--all").splitlines() if word in line)]


def _processes_with(word: str) -> list[int]:
    """Those that have it in their arguments, environment, mounts or cgroups; but this one."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        for file in ("cmdline", "environ", "mountinfo", "cgroup"):
            try:
                text = (folder / file).read_bytes()
            except OSError:  # it has ended, or is of the kernel
                continue
            if word.encode() in text:
                found.append(int(folder.name))
                break
    return found


@contextmanager
def maker(root: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that makes a bed there and keeps it up. It is killed at the end at the latest, and swept up after."""
    argv = [sys.executable, "-c", _MAKE, str(root)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            sweep()


def number_of(root: Path) -> int:
    return next((record.bed for record in registry.records() if record.root == str(root)), -1)


def test_down_leaves_nothing_of_a_bed_at_work(image: GuestImage, record_property: Note) -> None:
    began = monotonic()
    bed = Bed()
    bed.up()
    record_property("note", f"three hosts and a storage box: up in {monotonic() - began:.1f} s")
    root, number = bed.root, number_of(bed.root)
    try:
        with libvirt_of(bed.host(1)) as connection:
            connection.createXML(domain("guest-1", image))
        sleeper = bed.host(2).run(["sleep", "600"])
        bed.host(3).crash()
        assert len(left_of(root, number)) > 10, "it would be seen if it were there"
    finally:
        began = monotonic()
        bed.down()
    record_property("note", f"and down in {monotonic() - began:.1f} s")
    assert sleeper.wait(5), "it did not end by itself"
    assert_nothing_left_of(root, number)
    bed.down()


def test_two_beds_at_once_do_not_meet() -> None:
    with Bed(hosts=1) as first:
        with Bed(hosts=1) as second:
            assert first.root != second.root
            assert first.host(1).address != second.host(1).address
            assert first.host(1).uuid != second.host(1).uuid
            gone = second.root, number_of(second.root)
        assert_nothing_left_of(*gone)
        assert first.host(1).pids("libvirtd")
        assert first.storage.tgtadm("system", "show")


@pytest.fixture
def root() -> Iterator[Path]:
    """Where a bed may be: a path short enough for the sockets below it."""
    with tempfile.TemporaryDirectory(prefix="ave-test-") as folder:
        yield Path(folder, "bed")


@pytest.mark.parametrize("there", ["", "store/pool.img", "store/tgtd.0", "h2", "h3/run/libvirtd.pid"])
def test_a_sweep_leaves_nothing_of_a_bed_whose_maker_was_killed_half_way(there: str, root: Path) -> None:
    with maker(root) as process:
        until(lambda: number_of(root) >= 0 and (root / there).exists(), f"{there} is there", 30)
        process.kill()
        process.wait()
        number = number_of(root)
        assert left_of(root, number)
        sweep()
        assert number_of(root) < 0
        assert_nothing_left_of(root, number)


def test_a_bed_that_stands_is_swept_after_its_maker_was_killed_and_not_before(root: Path) -> None:
    with maker(root) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        number = number_of(root)
        assert not any(str(root) in said for said in sweep())
        assert len(left_of(root, number)) > 10
        process.kill()
        process.wait()
        sweep()
        assert number_of(root) < 0
        assert_nothing_left_of(root, number)


def test_what_bears_a_beds_name_is_swept_though_its_record_is_lost() -> None:
    with Bed(hosts=1) as bed:
        (record,) = (record for record in registry.records() if record.root == str(bed.root))
        registry.forget(record)
        sweep()
        assert not bed.host(1).pid
        assert not bed.storage.pid


def test_copies_of_its_mounts_in_a_namespace_of_somebody_else_keep_nothing_alive() -> None:
    bed = Bed(hosts=1)
    bed.up()
    root, number = bed.root, number_of(bed.root)
    with subprocess.Popen(["unshare", "--mount", "sleep", "600"]) as stranger:
        try:
            until(
                lambda: b"sleep" in Path(f"/proc/{stranger.pid}/cmdline").read_bytes()[:5], "the stranger is there", 5
            )
            bed.down()
            assert stranger.poll() is None, "it is not ours to end"
            assert_nothing_left_of(root, number)
        finally:
            stranger.kill()


def test_a_bed_that_fails_half_way_leaves_nothing(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tgtd").symlink_to("/bin/false")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(BedError, match="tgtd did not come up"):
        Bed(root).up()
    assert not root.exists()
    assert all(record.root != str(root) for record in registry.records())


def test_the_command_line_makes_a_bed_that_stays_until_down() -> None:
    def said(*words: str) -> str:
        return run(sys.executable, "-m", "tests.real.bed", *words)

    told = said("up", "--hosts", "1")
    root = Path(told.partition(":")[0])
    number = number_of(root)
    try:
        assert f"bed {number} in {root}: stays" in said("list")
        sweep()
        assert len(left_of(root, number)) > 5
    finally:
        gone = said("down", str(root))
    assert f"removed bed {number} in {root}" in gone
    assert_nothing_left_of(root, number)
