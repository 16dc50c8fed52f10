"""When attach has answered, nothing of an older owner is written any more, whatever it was doing and whatever dies."""

import asyncio
import hashlib
import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from ave.errors import Refused, Unavailable, UnknownOutcome
from drivers.iscsi import names
from drivers.iscsi.pool import Pool
from drivers.iscsi.tgt import Shown
from tests.contracts.test_block import stamp
from tests.real.storage.initiator import HalfLogin, block, hear, image, interactive, running, tell
from tests.real.storage.lab import until

FENCE_SECONDS = 0.1


def test_a_fence_takes_a_tenth_of_a_second_at_most(lab, do, disk):
    with interactive(lab, "a", 1) as old:
        tell(old, "write -P 1 0 4k")
        hear(old, "wrote")
        began = time.monotonic()
        do("b", "attach", disk, "b", stamp(2))
        assert time.monotonic() - began <= FENCE_SECONDS


def test_an_owner_that_stood_still_when_it_was_fenced_writes_nothing_when_it_goes_on(lab, do, disk):
    with interactive(lab, "a", 1) as old:
        tell(old, "write -P 1 0 4k")
        hear(old, "wrote")
        old.send_signal(signal.SIGSTOP)
        tell(old, "write -P 3 0 4k")
        do("b", "attach", disk, "b", stamp(2))
        assert lab.write(disk, "b", 2)
        old.send_signal(signal.SIGCONT)
        assert not until(lambda: block(lab) != b"\2", 2.0)
        assert lab.io(image(lab, "b", 2), "read -P 2 0 4k")[0]


def test_writes_that_are_under_way_end_before_the_fence_answers(lab, do, disk):
    file = Pool(lab.pool_folder).path(disk)
    many = lab.folder / "writes"
    many.write_text("".join(f"aio_write -q -P 1 {number * 64}k 64k\n" for number in range(8192)))
    with many.open() as commands, running(lab, "qemu-io", "-n", *image(lab, "a", 1), stdin=commands) as old:
        assert until(lambda: block(lab, 16 * 2**20) == b"\1", 10.0), "it writes"
        do("b", "attach", disk, "b", stamp(2))
        os.truncate(file, 0)
        os.truncate(file, 2**30)
        time.sleep(1.0)
        assert old.poll() is None, "it still wants to write"
    assert file.stat().st_blocks == 0


def test_a_fence_waits_for_a_write_that_the_disk_does_not_take(lab, do, disk):
    """The pool is frozen with a write of the old owner in it: until it is thawed, nobody is told that it is fenced."""
    with interactive(lab, "a", 1) as old:
        tell(old, "write -P 1 0 4k")
        hear(old, "wrote")
        freeze = lab.ground.inside("fsfreeze")
        mount = str(lab.ground.folder / "mount")
        subprocess.run([*freeze, "--freeze", mount], check=True)
        answered = threading.Event()

        def fence():
            try:
                lab.box.attach(disk, "b", stamp(2))
            except UnknownOutcome:
                return
            answered.set()

        try:
            tell(old, "write -P 3 4k 4k")
            time.sleep(0.3)
            thread = threading.Thread(target=fence)
            thread.start()
            assert not answered.wait(2.0)
            with pytest.raises(Unavailable):
                lab.box.owner(disk)
        finally:
            subprocess.run([*freeze, "--unfreeze", mount], check=True)
        thread.join(10)
        assert answered.is_set()
        written = block(lab, 4096)
        time.sleep(0.5)
        assert block(lab, 4096) == written
        assert lab.box.owner(disk) == ("b", 2)


@pytest.mark.parametrize("fenced", [False, True], ids=["goes on", "is fenced"])
def test_a_login_that_was_half_done_when_the_fence_came_ends_nowhere(lab, do, disk, fenced):
    """tgtd looks at an initiator's name once, at the beginning of its login: it would let this one in afterwards."""
    login = HalfLogin(lab.ground, names.target(disk, "a", 1), names.initiator("a", 1))
    try:
        assert login.answer[:2] == (0, 0)
        _, _, told = login.say({"CHAP_A": "5"}, csg=0, nsg=1, transit=False)
        secret = lab.hosts["a"].chap_secret().encode()
        challenge = bytes.fromhex(told[b"CHAP_C"].decode().removeprefix("0x"))
        response = hashlib.md5(bytes([int(told[b"CHAP_I"])]) + secret + challenge).hexdigest()
        proven = login.say({"CHAP_N": names.user("a"), "CHAP_R": f"0x{response}"}, csg=0, nsg=1, transit=True)
        assert proven[:2] == (0, 0)
        if fenced:
            do("b", "attach", disk, "a", stamp(2))
            do("b", "attach", disk, "b", stamp(3))
            do("b", "attach", disk, "a", stamp(4))
        end = login.say({}, csg=1, nsg=3, transit=True)
        assert (end is not None and end[:2] == (0, 0)) is not fenced
    finally:
        login.link.close()


# Starts anew


def test_when_the_box_starts_anew_its_owner_goes_on_and_no_older_one_does(lab, do, disk):
    do("a", "attach", disk, "b", stamp(2))
    with interactive(lab, "b", 2) as owner:
        tell(owner, "write -P 2 0 4k")
        hear(owner, "wrote")
        lab.stop_box()
        lab.start_box()
        tell(owner, "write -P 3 0 4k")
        hear(owner, "wrote")
    assert not lab.write(disk, "a", 1)
    assert lab.call("a", 1, "owner", disk) == ("b", 2)


def test_when_tgtd_is_killed_and_starts_anew_the_owner_goes_on_and_no_older_one_does(lab, do, disk):
    do("a", "attach", disk, "b", stamp(2))
    with interactive(lab, "b", 2) as owner:
        tell(owner, "write -P 2 0 4k")
        hear(owner, "wrote")
        lab.ground.kill_tgtd()
        lab.ground.start_tgtd()
        assert not lab.write(disk, "a", 1)
        lab.run(lab.service.look())
        tell(owner, "write -P 3 0 4k")
        hear(owner, "wrote")
    assert not lab.write(disk, "a", 1)
    assert lab.write(disk, "b", 2)


def test_a_fence_that_tgtd_does_not_take_part_in_has_an_unknown_outcome_and_holds_once_it_does(lab, do, disk):
    lab.ground.kill_tgtd()
    with pytest.raises(UnknownOutcome, match="tgtd does not answer"):
        do("b", "attach", disk, "b", stamp(2))
    with pytest.raises(Unavailable):
        do("b", "owner", disk)
    lab.ground.start_tgtd()
    lab.run(lab.service.look())
    assert do("b", "owner", disk) == ("b", 2)
    assert (lab.write(disk, "a", 1), lab.write(disk, "b", 2)) == (False, True)


def test_targets_of_volumes_that_nobody_knows_are_removed_and_files_are_left_alone(lab, do, disk):
    lab.stop_box()
    for record in (lab.folder / "state" / "volumes").iterdir():
        record.unlink()
    lab.start_box()
    assert not [name for name in lab.ground.tgt.look({}) if names.ours([name])]
    assert lab.run(lab.service.look()) is None
    assert lab.box.look().strangers == (disk,)
    with pytest.raises(Refused, match="has a file in the pool, but no record"):
        lab.call("a", 1, "create", disk, 1, stamp(1))


def test_leases_are_renewed_while_many_volumes_wait_for_a_tgtd_that_stands_still(lab, do):
    volumes = [f"disk-{number}" for number in range(50)]
    for volume in volumes:
        do("a", "create", volume, 1, stamp(1))

    async def renew_meanwhile():
        calls = [asyncio.ensure_future(lab.hosts["a"].attach(volume, "a", stamp(1))) for volume in volumes]
        await asyncio.sleep(0.5)
        began = time.monotonic()
        for _ in range(5):
            await lab.hosts["a"].renew("a", "boot")
        seconds = time.monotonic() - began
        os.kill(lab.ground.tgtd, signal.SIGCONT)
        return seconds, await asyncio.gather(*calls, return_exceptions=True)

    os.kill(lab.ground.tgtd, signal.SIGSTOP)
    try:
        seconds, outcomes = lab.run(renew_meanwhile(), 60.0)
    finally:
        os.kill(lab.ground.tgtd, signal.SIGCONT)
    assert seconds < 1.0
    assert outcomes == [None] * len(volumes)
    assert lab.run(lab.hosts["b"].owner("disk-49")) == ("a", 1)


# Who may not


def test_a_wrong_chap_secret_opens_nothing(lab, disk):
    found = lab.image(names.target(disk, "a", 1), "a", 1, "0" * 32)
    done, said = lab.io(found, "write 0 4k")
    assert not done
    assert "uthentication" in said
    assert lab.write(disk, "a", 1)


def test_an_initiator_that_nobody_knows_is_told_that_there_is_no_such_target(lab, disk):
    done, said = lab.io(lab.image(names.target(disk, "a", 1), "x", 1), "write 0 4k")
    assert not done
    assert "Target not found" in said


def test_a_host_with_another_storage_secret_is_told_so_and_nothing_is_done(lab, do):
    other = lab.host("a", b"another secret than the box's")
    with pytest.raises(Unavailable, match="is the storage secret the same on both"):
        lab.run(other.create("disk", 1, stamp(1)))
    assert lab.volumes() == []


def test_no_secret_is_in_anybodys_arguments(lab, disk):
    assert lab.write(disk, "a", 1)
    secret = lab.hosts["a"].chap_secret()
    assert secret not in (lab.ground.folder / "tgtd.log").read_text()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            assert secret.encode() not in (process / "cmdline").read_bytes()


def test_a_target_that_is_known_under_an_old_number_is_taken_down_all_the_same(lab, do, disk):
    """As it is if a list of targets was slow to come."""
    tgt, target = lab.box._backend, names.target(disk, "a", 1)
    tgt._seen[target] = Shown(1 + tgt._seen[target].tid % 1000, ["host.a"], [names.initiator("a", 1)])
    do("b", "attach", disk, "b", stamp(2))
    assert target not in lab.ground.tgt.look({})
    assert (lab.write(disk, "a", 1), lab.write(disk, "b", 2)) == (False, True)
