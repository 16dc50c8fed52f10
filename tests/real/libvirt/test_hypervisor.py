"""The hypervisor's contract, on libvirt with emulated guests: every test of it, and what differs by its own nature."""

import os
import re
from pathlib import Path

import msgspec
import pytest

from ave.errors import Refused, Unavailable
from ave.ports.hypervisor import End, Ended
from drivers.libvirt import migration
from tests.contracts.labs import PAUSED, RUNNING, wait_for
from tests.contracts.test_hypervisor import *  # noqa: F403
from tests.contracts.test_hypervisor import own, pinned, stamp


@pytest.fixture  # type: ignore[no-redef]
def lab(libvirt_lab):
    return libvirt_lab


# What differs: the memory of a VM is on one host only, and the migration's source knows which.


def test_a_migration_that_nobody_carries_on_is_aborted_by_the_host_itself(do, domains, up):  # type: ignore[no-redef]
    """It knows the target, and has the memory back from there."""
    do("a", "migrate", up, "b", stamp())
    do("a", "abort_migration", "vm", "a", own(1))
    assert domains() == {("a", 1): RUNNING}


def test_without_its_target_a_migration_can_be_aborted_and_not_finished(lab, do, domains, up):  # type: ignore[no-redef]
    """As far as it can be: the memory was there. So the VM has crashed, which is told once the target is back without it."""
    do("a", "migrate", up, "b", stamp())
    lab.power_off("b")
    for verb, given in (("finish_migration", stamp(2)), ("abort_migration", stamp())):
        with pytest.raises(Unavailable):
            do("a", verb, "vm", "b", given)
        assert domains() == {("a", 1): PAUSED}
    lab.power_on("b")
    with pytest.raises(Refused, match="the memory of vm was lost on b: it can only be started anew"):
        do("a", "abort_migration", "vm", "b", stamp())
    assert domains() == {}
    assert do("a", "ended") == (Ended(vm="vm", epoch=1, end=End.CRASHED),)
    do("a", "start", up, stamp())
    assert domains() == {("a", 1): RUNNING}


def test_a_memory_whose_target_is_silent_for_long_is_given_up(lab, do, domains, up, monkeypatch):
    do("a", "migrate", up, "b", stamp())
    lab.power_off("b")
    monkeypatch.setattr(migration, "GIVE_UP_SECONDS", 0.0)
    with pytest.raises(Refused, match="the memory of vm was lost on b"):
        do("a", "abort_migration", "vm", "b", stamp())
    assert domains() == {}


# A drive's tray, which libvirt takes for open when a guest has shut it at the wrong moment: one boot in two


@pytest.mark.parametrize("boot", range(4))
def test_a_guest_that_shuts_its_tray_while_it_boots_keeps_no_medium_out(lab, do, up, boot):
    lab.place("cd", "a", 1)
    for cdrom in ("cd", "", "cd"):
        do("a", "plug", msgspec.structs.replace(up, cdrom=cdrom), stamp())


# CPUs for a VM alone, as the kernel sees it


def allowed(lab, host, vm):
    """CPUs on which QEMU may run its threads: (those of vCPUs, all others)."""
    vcpus: set[str] = set()
    others: set[str] = set()
    for task in Path(f"/proc/{lab.process(host, vm).pid}/task").iterdir():
        status = (task / "status").read_text()
        name = (task / "comm").read_text()
        (vcpus if name.startswith("CPU ") else others).update(re.findall(r"Cpus_allowed_list:\s*(\S+)", status))
    return vcpus, others


def test_a_pinned_vm_is_bound_to_its_cpu_and_everything_else_kept_off_it(lab, do, exclusive, up):
    last = str(max(os.sched_getaffinity(0)))
    do("a", "start", pinned("alone"), stamp())
    everybody = str(min(os.sched_getaffinity(0)))
    assert len(os.sched_getaffinity(0)) == 2, "as many CPUs as this test counts on"
    assert allowed(lab, "a", "alone") == ({last}, {everybody})
    assert allowed(lab, "a", "vm") == ({everybody}, {everybody})
    do("a", "migrate", pinned("alone"), "b", stamp())
    do("a", "finish_migration", "alone", "b", stamp(2))
    assert allowed(lab, "b", "alone")[0] == {last}


def test_which_cpus_a_vm_has_is_known_after_node_and_libvirtd_were_killed(lab, do, exclusive):
    do("a", "start", pinned("alone"), stamp())
    had = do("a", "list")
    lab.boxes["a"].kill_libvirtd()
    lab.boxes["a"].start_libvirtd()
    lab.renew("a")
    wait_for(lambda: do("a", "list") == had, "it is known again")
    with pytest.raises(Unavailable, match="one-more wants 1 CPUs"):
        do("a", "start", pinned("one-more"), stamp())
