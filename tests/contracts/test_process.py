"""What only real processes and files can get wrong: identities, signals, damaged files, late writers and slow disks."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec
import pytest

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.model.vm import VM
from ave.ports.hypervisor import Domain, Stamp
from ave.ports.machine import Health
from drivers import disk
from drivers.phases import Phase
from drivers.process import guest, life
from drivers.process.domains import Record
from drivers.process.home import Home
from drivers.process.machine import ProcessMachine
from drivers.process.ports import domains as domains_of
from drivers.process.volumes import Volumes
from tests.contracts.labs import PAUSED, RUNNING, ProcessLab, facts, wait_for

SMALL = VM(id="vm", vcpus=1, memory_mib=64, volumes=("disk",))
OTHER = VM(id="other", vcpus=1, memory_mib=64)


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


def record(lab, host="a", vm="vm"):
    return msgspec.json.decode(Home(lab.root, host).domain(vm).read_bytes(), type=Record)


def runs(lab):
    return lab.runs("disk")


# Who is who


def test_process_a_domain_is_recorded_with_who_started_it(lab, do, up):
    known = record(lab)
    assert (known.vm, known.epoch, known.instance, known.stamp) == (up, 1, 1, stamp())
    assert life.is_there(known.life)


def test_process_another_process_with_the_same_number_is_never_taken_for_the_vm(lab, do, up):
    known = record(lab)
    time.sleep(0.05)  # births are told apart by the kernel's ticks, of 10 ms; no number comes again within one
    with subprocess.Popen(["sleep", "60"]) as stranger, ExitStack() as stack:
        stack.callback(stranger.kill)
        os.kill(known.life.pid, signal.SIGKILL)
        reused = msgspec.structs.replace(known.life, pid=stranger.pid)
        Home(lab.root, "a").domain("vm").write_bytes(msgspec.json.encode(msgspec.structs.replace(known, life=reused)))
        assert do("a", "list") == ()
        do("a", "pause", "vm")
        with pytest.raises(Refused):
            do("a", "resume", "vm", stamp())
        do("a", "destroy", "vm", stamp())
        assert not life.send(reused, signal.SIGKILL)
        now = life.life_of(stranger.pid)
        assert now is not None
        assert not life.is_standing(now)
        assert stranger.poll() is None


def test_process_a_vm_of_an_earlier_start_of_the_machine_is_gone(lab, do, up):
    known = record(lab)
    earlier = msgspec.structs.replace(known.life, kernel="another")
    Home(lab.root, "a").domain("vm").write_bytes(msgspec.json.encode(msgspec.structs.replace(known, life=earlier)))
    assert do("a", "list") == ()


def test_process_a_vm_that_died_is_gone_and_can_be_started_again(lab, do, up):
    os.kill(record(lab).life.pid, signal.SIGKILL)
    wait_for(lambda: do("a", "list") == (), "it is gone")
    do("a", "start", up, stamp())
    assert (do("a", "list")[0].state, record(lab).instance) == (RUNNING, 2)


def test_process_an_attempt_is_outdated_by_the_next_one_whatever_other_tasks_did_meanwhile(lab, do):
    def of(task, attempt, token=1):
        return Stamp(job="job", task=task, attempt=attempt, token=token, epoch=1)

    for accepted in (of("one", 1), of("one", 2), of("two", 1)):
        do("a", "destroy", "vm", accepted)
        lab.call("a", 1, "attach", "disk", "a", accepted)
    for call in (("destroy", "vm"), ("start", SMALL)):
        with pytest.raises(Refused, match="by job is outdated"):
            do("a", *call, of("one", 1))
    with pytest.raises(Refused, match="attach by job is outdated"):
        lab.call("a", 1, "attach", "disk", "a", of("one", 1))
    do("a", "destroy", "vm", of("one", 1, token=2))


# Signals


def test_process_a_paused_vm_writes_nothing_and_goes_on_where_it_was(lab, do, up):
    wait_for(lambda: runs(lab), "the first write")
    before = time.monotonic()
    do("a", "pause", "vm")
    assert time.monotonic() - before < 1.0
    assert life.is_standing(record(lab).life)
    written = runs(lab)
    time.sleep(3 * guest.WRITE_SECONDS)
    assert runs(lab) == written
    do("a", "resume", "vm", stamp())
    wait_for(lambda: runs(lab)[0].writes > written[0].writes, "it writes on")
    assert len(runs(lab)) == 1


def test_process_a_pause_waits_for_nobodys_lock(lab, do, up):
    with Home(lab.root, "a").lock("vm"):
        do("a", "pause", "vm")
    assert do("a", "list")[0].state is PAUSED


def test_process_the_guard_freezes_what_no_record_names(lab, do, up):
    do("a", "start", OTHER, stamp())
    known = [record(lab).life, record(lab, vm="other").life]
    for path in (lab.root / "hosts" / "a" / "domains").iterdir():
        path.unlink()
    machine = ProcessMachine(Home(lab.root, "a"), domains_of(lab.root, "a"), lab.runtime)
    assert lab.run(machine.freeze()) == 2
    assert all(life.is_standing(each) for each in known)
    assert lab.run(machine.freeze()) == 0


def test_process_the_guard_of_one_host_leaves_the_others_alone(lab, do, up):
    machine = ProcessMachine(Home(lab.root, "b"), domains_of(lab.root, "b"), lab.runtime)
    assert lab.run(machine.freeze()) == 0
    assert do("a", "list")[0].state is RUNNING


def test_process_nothing_is_started_where_the_lease_is_over(lab, do):
    lab.end_lease("a")
    with pytest.raises(Unavailable, match="vm cannot begin to run on a: the host's lease is over"):
        do("a", "start", SMALL, stamp())
    assert (do("a", "list"), lab.guests()) == ((), [])


def test_process_what_is_let_run_while_the_lease_ends_stands_still_again(lab, do, up, monkeypatch):
    """Whoever lets it run may fall asleep between the look at the lease and the deed."""
    do("a", "pause", "vm")
    send = life.send
    monkeypatch.setattr(life, "send", lambda *given: (lab.end_lease("a"), send(*given))[1])
    do("a", "resume", "vm", stamp())
    assert do("a", "list")[0].state is PAUSED


# The hold


def test_process_a_hold_outlives_who_said_it_and_not_the_boot(lab):
    home = Home(lab.root, "a")
    home.hold_until(12.5, 3)
    program = (
        "import sys, pathlib, drivers.process.home as home;print(home.Home(pathlib.Path(sys.argv[1]), 'a').held()[0])"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, str(lab.root)], capture_output=True, text=True, check=True, timeout=30
    )
    assert float(told.stdout) == 12.5
    boot, hold = home.boot(), home.folder.joinpath("hold").read_text()
    lab.power_off("a")
    with pytest.raises(Unavailable, match="a is off"):
        home.hold_until(12.5, 3)
    lab.power_on("a")
    assert home.boot() != boot
    home.folder.joinpath("hold").write_text(hold)
    assert home.held() == (0.0, 0)


def test_process_a_bit_that_flips_in_a_hold_prolongs_nothing_and_the_next_renewal_mends_it(lab):
    home = Home(lab.root, "a")
    home.hold_until(1234.5, 3)
    file = home.folder / "hold"
    whole = file.read_bytes()
    for place in range(len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            file.write_bytes(bytes(damaged))
            assert home.held() == (0.0, 0), bytes(damaged)
    home.hold_until(1235.5, 3)
    assert home.held() == (1235.5, 3)


@pytest.mark.parametrize("damage", ["", "garbage", "boot nan", "boot", "boot x 9.0", "other 9.0"])
def test_process_a_hold_that_cannot_be_read_is_over(lab, damage):
    home = Home(lab.root, "a")
    home.folder.joinpath("hold").write_text(damage.replace("boot", home.boot()))
    assert home.held() == (0.0, 0)


def test_process_a_host_of_which_nobody_knows_whether_it_is_on_is_left_alone_until_it_is_powered_off(lab, do, up):
    boot = lab.root / "hosts" / "a" / "boot.json"
    boot.write_bytes(b"garbage")
    for _ in range(2):
        with pytest.raises(Unavailable, match="whether a is on cannot be read"):
            lab.power_on("a")
        with pytest.raises(Unavailable, match="whether a is on cannot be read"):
            do("a", "list")
    assert len(lab.guests()) == 1
    lab.power_off("a")
    lab.power_on("a")
    assert (do("a", "list"), lab.guests()) == ((), [])


def test_process_a_host_that_is_off_answers_nobody(lab, do, up):
    lab.power_off("a")
    for verb, given in (("list", ()), ("start", (SMALL, stamp())), ("destroy", ("vm", stamp()))):
        with pytest.raises(Unavailable, match="a is off"):
            do("a", verb, *given)
    with pytest.raises(Unavailable, match="there is no host nowhere"):
        lab.place("disk", "b", 1)
        do("b", "start", SMALL, stamp())
        do("b", "migrate", SMALL, "nowhere", stamp())


# Damaged files


@pytest.mark.parametrize(
    "damage", [b"", b"garbage", b"{}", b"\xff", None], ids=["empty", "garbage", "lacking", "bytes", "cut"]
)
def test_process_a_damaged_record_hides_no_process_and_hurts_no_other_vm(lab, do, up, damage):
    path = Home(lab.root, "a").domain("vm")
    path.write_bytes(path.read_bytes()[:-20] if damage is None else damage)
    do("a", "start", OTHER, stamp())
    assert do("a", "list") == (
        Domain(vm="other", state=RUNNING, epoch=1, memory_mib=64),
        Domain(vm="vm", state=RUNNING, epoch=1, memory_mib=64),
    )
    with pytest.raises(Refused, match="the record of vm on a is damaged: all that can be done is to force it off"):
        do("a", "resume", "vm", stamp())
    with pytest.raises(Refused, match="vm does not run on a"):
        do("a", "migrate", up, "b", stamp())
    do("a", "pause", "vm")
    assert {domain.vm: domain.state for domain in do("a", "list")} == {"other": RUNNING, "vm": PAUSED}
    do("a", "destroy", "vm", stamp())
    assert [domain.vm for domain in do("a", "list")] == ["other"]
    do("a", "start", up, stamp())
    assert len(do("a", "list")) == len(lab.guests()) == 2


def test_process_a_damaged_record_of_what_has_ended_is_no_obstacle(lab, do, up):
    os.kill(record(lab).life.pid, signal.SIGKILL)
    Home(lab.root, "a").domain("vm").write_bytes(b"garbage")
    wait_for(lambda: do("a", "list") == (), "it is gone")
    do("a", "start", up, stamp())
    assert do("a", "list")[0].state is RUNNING


def test_process_domains_that_cannot_be_listed_are_not_none(lab, do, up):
    folder = lab.root / "hosts" / "a" / "domains"
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(Unavailable, match="the domains of a cannot be listed"):
        do("a", "list")
    folder.with_name("elsewhere").rename(folder)
    assert do("a", "list")[0].state is RUNNING


def test_process_damaged_rights_stop_every_job_from_acting_on_that_vm_and_on_no_other(lab, do, up):
    Home(lab.root, "a").rights("vm").write_bytes(b"garbage")
    with pytest.raises(Refused, match="who may suspend it on a cannot be read"):
        do("a", "suspend", "vm", stamp())
    do("a", "start", OTHER, stamp())
    do("a", "destroy", "vm", Stamp(epoch=1))  # the host may still clear itself


def test_process_a_damaged_volume_is_unavailable_and_no_other_is(lab, do):
    lab.call("a", 1, "create", "fine", 10, stamp())
    Path(Volumes(lab.root).path("disk")).write_bytes(b"garbage")
    with pytest.raises(Unavailable, match="the header of volume disk cannot be read"):
        lab.call("a", 1, "attach", "disk", "a", stamp(2))
    with pytest.raises(Unavailable, match="volume disk"):
        do("a", "start", SMALL, stamp())
    assert lab.call("a", 1, "owner", "fine") == ("", 0)


def test_process_names_are_never_paths(lab, do):
    odd = ("..", "../../x", "a/b", ".hidden", "vm.json", "ä ö", "%2E")
    for name in odd:
        lab.call("a", 1, "create", name, 1, stamp())
        do("a", "start", VM(id=name, vcpus=1, memory_mib=64), stamp())
    assert sorted(lab.volumes()) == sorted((*odd, "disk"))
    assert sorted(domain.vm for domain in do("a", "list")) == sorted(odd)


# Disks and locks


def test_process_what_another_process_holds_locked_is_unavailable_after_a_while(tmp_path):
    with (
        disk.locked(tmp_path / "lock", "it"),
        pytest.raises(Unavailable, match=r"it has been locked by another process for 0\.05 s"),
        disk.locked(tmp_path / "lock", "it", seconds=0.05),
    ):
        pass


def test_process_a_disk_that_does_not_answer_leaves_the_outcome_open_and_a_look_unavailable(lab, do, monkeypatch):
    monkeypatch.setattr(disk, "ANSWER_SECONDS", 0.05)
    let = threading.Event()
    monkeypatch.setattr(life, "is_there", lambda _: let.wait(10) and False)
    Home(lab.root, "a").domain("vm").write_bytes(
        msgspec.json.encode(
            Record(vm=SMALL, epoch=1, instance=1, life=life.Life("", 1, 1), phase=Phase.SETTLED, stamp=stamp())
        )
    )
    try:
        with pytest.raises(Unavailable, match="list domains on a: no answer"):
            do("a", "list")
        with pytest.raises(UnknownOutcome, match="destroy vm on a: no answer"):
            do("a", "destroy", "vm", stamp())
    finally:
        let.set()


def test_process_a_full_disk_is_unavailable_and_changes_nothing(lab, do, up, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk, "replace", full)
    for call in (("suspend", "vm", stamp(1, 2)), ("migrate", up, "b", stamp(1, 2))):
        with pytest.raises(Unavailable, match="No space left on device"):
            do("a", *call)
    with pytest.raises(Unavailable, match="No space left"):
        lab.call("a", 1, "attach", "disk", "b", stamp(2))
    monkeypatch.undo()
    assert do("a", "list")[0].state is RUNNING
    assert lab.call("a", 1, "owner", "disk") == ("a", 1)
    assert len(lab.guests()) == 1


def test_process_what_is_written_and_may_not_outlast_a_power_loss_is_an_unknown_outcome(lab, monkeypatch):
    def broken(_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(disk, "settle", broken)
    with pytest.raises(UnknownOutcome, match="disk is written, but may not outlast a power loss"):
        lab.call("a", 1, "attach", "disk", "b", stamp(2))
    monkeypatch.undo()
    assert lab.call("a", 1, "owner", "disk") == ("b", 2)
    lab.call("a", 1, "attach", "disk", "b", stamp(2))


def test_process_what_a_vm_costs(lab, do, record_property):
    before = time.perf_counter()
    do("a", "start", SMALL, stamp())
    seconds = time.perf_counter() - before
    status = Path("/proc", str(record(lab).life.pid), "status").read_text()
    kib = int(status.split("VmRSS:")[1].split()[0])
    record_property("note", f"a VM that is a process starts in {seconds * 1000:.0f} ms and takes {kib / 1024:.1f} MiB")
    assert kib < 16 * 1024


def test_process_facts_are_those_the_host_was_powered_on_with(lab):
    machine = ProcessMachine(Home(lab.root, "a"), domains_of(lab.root, "a"), lab.runtime)
    told = lab.run(machine.facts())
    assert msgspec.structs.replace(told, boot="") == facts("a")
    assert told.boot == Home(lab.root, "a").boot() != Home(lab.root, "b").boot()


def fill(home: Home, *names: str) -> None:
    """What this process writes under these names goes to a device on which there is no room, as the kernel says."""
    for name in names:
        home.folder.joinpath(f".{name}.{os.getpid()}").symlink_to("/dev/full")


def test_process_a_host_says_when_its_folder_is_full(lab):
    home = Home(lab.root, "a")
    machine = ProcessMachine(home, domains_of(lab.root, "a"), lab.runtime)
    fill(home, "probe")
    assert lab.run(machine.health(Health())) == Health(full=True)
    home.folder.joinpath(f".probe.{os.getpid()}").unlink()
    assert lab.run(machine.health(Health(full=True))) == Health()


def test_process_a_hold_for_which_there_is_no_room_is_unavailable_and_what_was_told_before_holds(lab):
    home = Home(lab.root, "a")
    machine = ProcessMachine(home, domains_of(lab.root, "a"), lab.runtime)
    machine.hold_until(1234.5, 3)
    fill(home, "hold")
    with pytest.raises(Unavailable, match=r"until when VMs may run cannot be noted in .*: No space left on device"):
        machine.hold_until(1235.5, 3)
    assert (machine.held_until(), machine.held_for()) == (1234.5, 3)
    home.folder.joinpath(f".hold.{os.getpid()}").unlink()
    machine.hold_until(1236.5, 3)
    assert (machine.held_until(), machine.held_for()) == (1236.5, 3)


def test_process_a_host_says_when_its_folder_takes_no_writes_and_which_networks_are_unplugged(lab, monkeypatch):
    home = Home(lab.root, "a")
    machine = ProcessMachine(home, domains_of(lab.root, "a"), lab.runtime)
    assert lab.run(machine.health()) == Health()

    def refuse(path, content, *, durably=True):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    with monkeypatch.context() as patched:
        patched.setattr(disk, "replace", refuse)
        assert lab.run(machine.health(Health())) == Health(read_only=True)
    (home.folder / "unplugged").write_text("vm-1\nvm-2\n")
    assert lab.run(machine.health(Health(read_only=True))) == Health(down=("vm-1", "vm-2"))
