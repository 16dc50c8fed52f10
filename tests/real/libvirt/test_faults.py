"""What befalls a real host while its VMs run: libvirtd hangs or dies, the lease ends, a migration is stopped in the middle."""

import asyncio
import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.model.vm import VM
from ave.ports.hypervisor import Domain, End, Ended
from ave.ports.machine import Health
from drivers.iscsi import names
from drivers.libvirt import secrets
from drivers.libvirt.link import session
from drivers.libvirt.machine import LibvirtMachine
from drivers.process import life
from tests.contracts.labs import PAUSED, RUNNING, wait_for
from tests.contracts.test_hypervisor import SMALL, own, stamp
from tests.real.libvirt.lab import PASSWORDS

ODD = "a\"b'<c>&]]>\x01\n/../é\U0001f600"


@pytest.fixture
def lab(libvirt_lab):
    return libvirt_lab


@pytest.fixture
def do(lab):
    return lambda host, verb, *given: lab.call(host, 0, verb, *given)


@pytest.fixture
def up(do):
    do("a", "start", SMALL, stamp())
    return SMALL


@pytest.fixture
def machine(lab):
    return LibvirtMachine(lab.boxes["a"].settings(), lab.runtime)


def states(do, host):
    return {(domain.vm, domain.epoch): domain.state for domain in do(host, "list")}


# The host's own means


def test_the_guard_freezes_every_vm_while_libvirtd_hangs_and_they_go_on_afterwards(lab, do, up, machine):
    guest = lab.process("a", "vm")
    with lab.boxes["a"].hanging():
        assert lab.run(machine.freeze()) == 1
        assert life.is_standing(guest)
        assert lab.run(machine.freeze()) == 0
    assert states(do, "a") == {("vm", 1): PAUSED}
    do("a", "resume", "vm", own(1))
    assert states(do, "a") == {("vm", 1): RUNNING}
    assert not life.is_standing(guest)


def test_a_vm_is_paused_though_libvirtd_hangs(lab, do, up):
    guest = lab.process("a", "vm")
    with lab.boxes["a"].hanging():
        do("a", "pause", "vm")
        assert life.is_standing(guest)


def test_an_abort_of_no_migration_waits_for_no_answer_of_a_qemu_that_gives_none(lab, do, up):
    """A pause waits for the storage, and libvirt then says nothing of the domain for 30 s. Whoever finds it paused aborts, and
    holds its lock meanwhile: a lease that is back could not let it go on."""
    qemu = lab.process("a", "vm")
    domain = lab.drivers["a"].here.look("vm").domain
    life.send(qemu, signal.SIGSTOP)
    pausing = threading.Thread(target=domain.suspend)
    pausing.start()
    try:
        time.sleep(0.5)
        began = time.monotonic()
        do("a", "abort_migration", "vm", "a", own(1))
        assert time.monotonic() - began < 5.0
    finally:
        life.send(qemu, signal.SIGCONT)
        pausing.join()


def test_a_frozen_vm_is_destroyed_at_once(lab, do, up, machine):
    lab.run(machine.freeze())
    began = time.monotonic()
    do("a", "destroy", "vm", own(1))
    assert time.monotonic() - began < 5.0
    assert states(do, "a") == {}


def test_facts_name_the_boot_and_what_libvirt_knows(lab):
    settings = lab.boxes["a"].settings()
    settings = msgspec.structs.replace(settings, facts=msgspec.structs.replace(settings.facts, cpus=0, memory_mib=0))
    machine = LibvirtMachine(settings, lab.runtime, lab.drivers["a"].size)
    facts = lab.run(machine.facts())
    assert facts.cpus == os.cpu_count()
    assert facts.memory_mib > 1024
    lab.power_off("a")
    lab.power_on("a")
    assert lab.run(machine.facts()).boot not in ("", facts.boot)


def test_a_bridge_that_is_not_there_carries_nothing(lab, machine):
    assert lab.run(machine.health()) == Health(down=("lan",)), "it is in the hosts' own network namespace"


# libvirtd hangs, dies, comes back


def test_a_libvirtd_that_hangs_stalls_nobody_else_and_is_no_empty_list(lab, do, up):
    with lab.boxes["a"].hanging():

        async def both():
            asked = asyncio.ensure_future(lab.drivers["a"].list())
            began = time.monotonic()
            assert await lab.drivers["b"].list() == ()
            assert time.monotonic() - began < 2.0
            with pytest.raises(Unavailable):
                await asked

        lab.run(both())
    wait_for(lambda: is_listed(do), "libvirtd answers again")


def is_listed(do):
    with suppress(Unavailable):
        return do("a", "list") == (Domain(vm="vm", state=RUNNING, epoch=1, memory_mib=SMALL.memory_mib),)


def test_of_an_effect_that_libvirtd_does_not_answer_the_outcome_is_unknown_and_it_can_be_done_again(lab, do, up):
    driver = lab.drivers["a"]
    with lab.boxes["a"].hanging(), pytest.raises((UnknownOutcome, Unavailable)):
        lab.run(driver.destroy("vm", stamp()))
    wait_for(lambda: is_destroyed(do), "it can be destroyed")


def is_destroyed(do):
    with suppress(Unavailable, UnknownOutcome):
        do("a", "destroy", "vm", stamp())
        return do("a", "list") == ()


def test_a_vm_outlives_its_libvirtd_and_is_known_to_the_next_one(lab, do, up):
    box, guest = lab.boxes["a"], lab.process("a", "vm")
    box.kill_libvirtd()
    box.start_libvirtd()
    wait_for(lambda: is_listed(do), "it is listed again")
    assert lab.process("a", "vm") == guest
    with pytest.raises(Refused, match="outdated"):
        do("a", "destroy", "vm", stamp(epoch=1, token=0, job="old"))
    do("a", "destroy", "vm", stamp())


def test_a_vm_that_dies_while_libvirtd_is_down_has_ended_by_itself(lab, do, up):
    box, guest = lab.boxes["a"], lab.process("a", "vm")
    box.kill_libvirtd()
    with pytest.raises(Unavailable):
        do("a", "list")
    life.end(guest)
    box.start_libvirtd()
    wait_for(lambda: have_ended(do) == (Ended(vm="vm", epoch=1, end=End.CRASHED),), "its end is known")


def have_ended(do):
    with suppress(Unavailable):
        return do("a", "ended")


def test_an_end_is_heard_of_soon(lab, do, up):
    async def hear():
        heard = asyncio.ensure_future(lab.drivers["a"].hear())
        await asyncio.sleep(0.5)
        life.send(lab.process("a", "vm"), signal.SIGKILL)
        began = time.monotonic()
        await heard
        return time.monotonic() - began

    assert lab.run(hear()) < 3.0


# Names and what is wrong with a request


def test_a_vm_and_its_volumes_may_be_called_anything(lab, do):
    lab.place(ODD, "a", 1)
    vm = VM(id=ODD, name=ODD, labels={ODD: ODD}, vcpus=1, memory_mib=128, volumes=(ODD,), networks=("lan", "lan"))
    do("a", "start", vm, stamp())
    assert do("a", "list") == (Domain(vm=ODD, state=RUNNING, epoch=1, memory_mib=128),)
    do("a", "migrate", vm, "b", stamp())
    do("a", "finish_migration", ODD, "b", stamp(2))
    assert states(do, "b") == {(ODD, 2): RUNNING}


@pytest.mark.parametrize("magic", [b"QFI\xfb\x00\x00\x00\x03", b"KDMV\x01\x00\x00\x00"], ids=["qcow2", "vmdk"])
def test_a_disk_that_begins_like_an_image_is_opened_as_it_is_grown_and_moved(lab, do, magic):
    lab.storage.place("disk", "a", 1, magic + b"x" * 504)
    do("a", "start", SMALL, stamp())
    lab.grow("disk", 2)
    do("a", "resize", "vm", "disk", 2, own(1))
    assert lab.seen_gib("a", "vm", "disk") == 2, "and not as large as the header says"
    do("a", "migrate", SMALL, "b", stamp())
    do("a", "finish_migration", "vm", "b", stamp(2))
    assert lab.seen_gib("b", "vm", "disk") == 2
    assert states(do, "b") == {("vm", 2): RUNNING}


def test_a_network_that_is_not_here_is_named_and_nothing_is_left(do):
    with pytest.raises(Refused, match="vm: network wan is not on this host"):
        do("a", "start", msgspec.structs.replace(SMALL, networks=("wan",)), stamp())
    assert do("a", "list") == ()
    assert do("a", "ended") == ()


def test_a_volume_that_the_storage_does_not_show_leaves_nothing_half_made(lab, do):
    lab.storage.hide("disk")
    with pytest.raises(Unavailable, match=r"libvirt: .*(Failed|failed) to connect"):
        do("a", "start", SMALL, stamp())
    assert do("a", "list") == ()
    assert do("a", "ended") == ()


def test_a_wrong_password_is_told_in_libvirts_words_and_leaves_nothing_half_made(lab, do):
    with session():
        secrets.keep(lab.drivers["a"].here.link, names.usage("a"), b"another one")
    with pytest.raises(Unavailable, match=r"(?i)libvirt: .*auth"):
        do("a", "start", SMALL, stamp())
    assert do("a", "list") == ()
    assert do("a", "ended") == ()


def test_no_password_is_in_a_process_or_a_file_that_tells_of_a_vm(lab, do, up):
    secret = PASSWORDS["a"]
    pid, here = lab.process("a", "vm").pid, lab.drivers["a"].here.look("vm")
    assert secret not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert secret not in Path(f"/proc/{pid}/environ").read_bytes()
    assert secret.decode() not in here.domain.XMLDesc(1)


# Migrations that are stopped


@pytest.fixture
def crawling(lab, do, up):
    """The migration of the VM, which takes long; answers what it comes to."""
    driver = lab.drivers["a"]

    async def migrate():
        return asyncio.ensure_future(driver.migrate(up, "b", stamp()))

    lab.storage.admit("disk", "b", 2)
    here = driver.here.look("vm")
    here.domain.migrateSetMaxSpeed(1)  # MiB/s
    task = lab.run(migrate())
    wait_for(lambda: step(lab) and driver.here.job_of(driver.here.look("vm")), "its memory is on the way")
    return task


def step(lab):
    """Let what is under way go on a little."""
    lab.run(asyncio.sleep(0.05))
    return True


def ended_with(lab, task):
    async def wait():
        return await asyncio.gather(task, return_exceptions=True)

    return lab.run(wait())[0]


def test_how_far_a_migration_is_can_be_seen_and_its_disks_are_not_resized_meanwhile(lab, do, crawling):
    first = do("a", "progress", "vm")
    wait_for(lambda: step(lab) and do("a", "progress", "vm").sent_mib > first.sent_mib, "something was sent")
    second = do("a", "progress", "vm")
    assert second.seconds > first.seconds
    assert second.left_mib > 0.0
    with pytest.raises(Unavailable, match="vm is on its way"):
        do("a", "resize", "vm", "disk", 2, own(1))
    do("a", "abort_migration", "vm", "b", stamp())
    assert do("a", "progress", "vm") is None
    ended_with(lab, crawling)


def test_an_aborted_migration_ends_and_the_vm_runs_on(lab, do, crawling):
    do("a", "abort_migration", "vm", "b", stamp())
    assert isinstance(ended_with(lab, crawling), Unavailable)
    assert states(do, "a") == {("vm", 1): RUNNING}
    assert do("b", "list") == ()


def test_a_migration_whose_task_is_cancelled_ends_and_the_vm_runs_on(lab, do, crawling):
    crawling.cancel()
    assert isinstance(ended_with(lab, crawling), asyncio.CancelledError)
    wait_for(lambda: step(lab) and states(do, "b") == {}, "the copy is gone")
    do("a", "abort_migration", "vm", "b", stamp())
    assert states(do, "a") == {("vm", 1): RUNNING}


def test_a_vm_on_its_way_can_be_destroyed(lab, do, crawling):
    do("a", "destroy", "vm", own(1))
    assert isinstance(ended_with(lab, crawling), Unavailable | Refused)
    assert do("a", "list") == ()
    assert do("b", "list") == ()
    assert do("a", "ended") == ()


def test_a_migration_whose_target_dies_leaves_the_vm_running(lab, do, crawling):
    lab.power_off("b")
    assert isinstance(ended_with(lab, crawling), Unavailable | UnknownOutcome)
    do("a", "abort_migration", "vm", "b", stamp())
    assert states(do, "a") == {("vm", 1): RUNNING}


def test_an_outdated_job_does_not_cancel_a_migration(lab, do, crawling):
    with pytest.raises(Refused, match="outdated"):
        do("a", "abort_migration", "vm", "b", stamp(token=0, job="old"))
    driver = lab.drivers["a"].here
    assert driver.job_of(driver.look("vm"))
    do("a", "abort_migration", "vm", "b", stamp())
    ended_with(lab, crawling)
