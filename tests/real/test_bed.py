"""The bed itself: it comes up, its hosts are apart from each other, they crash and come back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import libvirt
import pytest

from tests.real.bed import Bed, BedError, Host
from tests.real.bed.command import run, tried, until
from tests.real.bed.domain import domain, lun
from tests.real.bed.guest_image import GuestImage
from tests.real.bed.names import Plane
from tests.real.bed.network import VM_BRIDGE
from tests.real.guests import libvirt_of, shell, wait_for_agent

Note = Callable[[str, object], None]
TARGET, INITIATOR = "iqn.2026-11.test:volume-1", "iqn.2026-11.test:h1:epoch-1"
MAC, GUEST, GATEWAY = "52:54:00:ae:00:01", "172.20.0.51", "172.20.0.1"  # on the VM network
SIZE = 2**30  # bytes


@pytest.fixture(scope="module")
def target(bed: Bed, image: GuestImage) -> str:
    """A target from whose LUN the guest boots, and to which only INITIATOR is let."""
    file = bed.storage.pool / "volume-1.raw"
    shutil.copy(image.disk, file)
    os.truncate(file, SIZE)
    bed.storage.tgtadm("target", "new", tid=1, targetname=TARGET)
    bed.storage.tgtadm("logicalunit", "new", tid=1, lun=1, backing_store=str(file), bstype="rdwr")
    bed.storage.tgtadm("target", "bind", tid=1, initiator_name=INITIATOR)
    return TARGET


def reaches(host: Host, address: str) -> bool:
    with host.run(["busybox", "ping", "-c", "1", "-W", "1", address], stdout=subprocess.DEVNULL) as process:
        code = process.wait(10)
    assert code in (0, 1), "busybox says 1 when no answer came"
    return code == 0


def reaches_again(host: Host, address: str) -> None:
    """Soon: who has just asked in vain for a MAC address drops the first packets that it gets, for up to 3 s."""
    until(lambda: reaches(host, address), f"{host.name} reaches {address}", 10)


def test_every_libvirtd_is_its_own(bed: Bed) -> None:
    said = []
    for host in bed.hosts:
        for uri in (host.libvirt_uri, host.local_uri):
            connection = libvirt.open(uri)
            assert connection.getHostname() == host.name
            said.append(connection.getCapabilities().partition("<uuid>")[2].partition("</uuid>")[0])
            connection.close()
    assert said == [host.uuid for host in bed.hosts for _ in range(2)]
    assert len(set(said)) == 3


def test_a_host_sees_itself_alone(bed: Bed) -> None:
    first, second = bed.host(1), bed.host(2)
    assert first.ask(["hostname"]).strip() == "h1"
    assert len(first.pids("libvirtd")) == len(second.pids("libvirtd")) == 1
    programs = first.ask(["sh", "-c", "for p in /proc/[0-9]*; do readlink $p/exe; done"]).split()
    assert programs.count("/usr/sbin/libvirtd") == 1
    assert first.ask(["cat", "/proc/sys/kernel/random/boot_id"]) != second.ask(
        ["cat", "/proc/sys/kernel/random/boot_id"]
    )
    first.ask(["touch", "/run/here"])
    with pytest.raises(BedError, match="ended with"):
        second.ask(["ls", "/run/here"])


def test_a_guest_boots_from_a_lun_and_its_agent_answers(
    bed: Bed, image: GuestImage, target: str, record_property: Note
) -> None:
    with libvirt_of(bed.host(1)) as connection:
        defined = connection.defineXML(
            domain("guest-1", image, lun(bed.storage.address, target, INITIATOR), mac=MAC, direct=False)
        )
        began = monotonic()
        defined.create()
        wait_for_agent(defined)
        record_property("note", f"libvirt start to agent: {monotonic() - began:.1f} s")
        assert shell(defined, "cat /mnt/boots").strip() == "1"
        shell(defined, "echo written by a guest > /mnt/here; sync")
        assert INITIATOR in bed.storage.tgtadm("target", "show")
        assert len(bed.host(1).pids("qemu-system-x86_64")) == 1
        assert not bed.host(2).pids("qemu-system-x86_64")


def test_an_initiator_that_is_not_bound_is_refused(bed: Bed, image: GuestImage, target: str) -> None:
    other = lun(bed.storage.address, target, "iqn.2026-11.test:h2:epoch-1")
    with libvirt_of(bed.host(2)) as connection, pytest.raises(libvirt.libvirtError, match="Target not found"):
        connection.createXML(domain("guest-1", image, other, direct=False))


def test_libvirtd_is_killed_and_finds_its_guest_again(bed: Bed) -> None:
    host = bed.host(1)
    (qemu,) = host.pids("qemu-system-x86_64")
    for pid in host.pids("libvirtd"):
        tried("kill", "-9", str(pid))
    until(lambda: not host.pids("libvirtd"), "libvirtd ends", 5)
    host.start_libvirtd()
    assert host.pids("qemu-system-x86_64") == [qemu]
    with libvirt_of(host) as connection:
        found = connection.lookupByName("guest-1")
        assert found.isActive()
        wait_for_agent(found)


def test_a_guest_reaches_what_is_on_the_vm_network_of_another_host(bed: Bed) -> None:
    bed.host(3).ask(["ip", "address", "add", f"{GATEWAY}/24", "dev", VM_BRIDGE])
    with libvirt_of(bed.host(1)) as connection:
        guest = connection.lookupByName("guest-1")
        shell(guest, f"ip address add {GUEST}/24 dev eth0")
        assert "1 packets received" in shell(guest, f"ping -c 1 -W 5 {GATEWAY}")


def test_a_guest_migrates_live_from_host_to_host(bed: Bed, record_property: Note) -> None:
    how = (
        libvirt.VIR_MIGRATE_LIVE
        | libvirt.VIR_MIGRATE_PEER2PEER
        | libvirt.VIR_MIGRATE_PERSIST_DEST
        | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
    )
    with libvirt_of(bed.host(1)) as source, libvirt_of(bed.host(2)) as destination:
        began = monotonic()
        source.lookupByName("guest-1").migrateToURI3(bed.host(2).libvirt_uri, {}, how)
        record_property("note", f"live migration by libvirt alone: {monotonic() - began:.1f} s")
        assert source.listAllDomains() == []
        moved = destination.lookupByName("guest-1")
        wait_for_agent(moved)
        assert shell(moved, "cat /mnt/here").strip() == "written by a guest"
    until(lambda: reaches(bed.host(3), GUEST), "the VM network has learnt where the guest is", 10)


def test_a_host_crashes_with_all_it_ran_and_comes_back(
    bed: Bed, image: GuestImage, target: str, record_property: Note
) -> None:
    host = bed.host(2)
    before = host.ask(["cat", "/proc/sys/kernel/random/boot_id"])
    with host.run(["sleep", "600"]) as process:
        until(lambda: bool(host.pids("sleep")), "it runs", 5)
        host.crash()
        assert process.wait(5) == 128 + 9
    assert not host.pid
    assert not host.pids("qemu-system-x86_64")
    assert not reaches(bed.host(1), host.address)
    began = monotonic()
    host.start()
    record_property("note", f"a host that crashed has its libvirtd back after {monotonic() - began:.1f} s")
    assert host.ask(["cat", "/proc/sys/kernel/random/boot_id"]) != before
    reaches_again(bed.host(1), host.address)
    with libvirt_of(host) as connection:
        defined = connection.lookupByName("guest-1")
        assert not defined.isActive()
        defined.create()
        wait_for_agent(defined)
        assert shell(defined, "cat /mnt/here /mnt/boots").split("\n")[:2] == ["written by a guest", "2"]
        defined.destroy()


@pytest.mark.parametrize("plane", ["management", "storage"])
def test_a_cut_parts_one_host_on_one_network(bed: Bed, plane: Plane) -> None:
    def on(host: Host) -> str:
        return host.address if plane == "management" else host.storage_address

    first, second, third = bed.hosts
    first.cut(plane)
    assert not reaches(second, on(first))
    assert reaches(second, on(third))
    assert reaches(second, first.storage_address if plane == "management" else first.address)
    first.heal(plane)
    reaches_again(second, on(first))


def test_a_cut_vm_network_has_no_carrier(bed: Bed) -> None:
    host = bed.host(3)
    host.cut("vm")
    until(lambda: host.ask(["cat", "/sys/class/net/vm0/carrier"]).strip() == "0", "the carrier is lost", 5)
    host.heal("vm")
    until(lambda: host.ask(["cat", "/sys/class/net/vm0/carrier"]).strip() == "1", "the carrier is back", 5)


def test_a_cut_lasts_over_a_crash(bed: Bed) -> None:
    host = bed.host(3)
    host.cut("storage")
    host.crash()
    host.start()
    assert not reaches(host, bed.storage.address)
    host.heal("storage")
    reaches_again(host, bed.storage.address)


def test_a_program_on_a_host_ends_with_whoever_holds_it_and_its_exit_code_is_told(bed: Bed) -> None:
    host = bed.host(2)
    with host.run(["sleep", "601"]) as process:
        until(lambda: len(host.pids("sleep")) == 1, "it runs", 5)
        (inner,) = host.pids("sleep")
        groups = Path(f"/proc/{inner}/cgroup").read_text()
        assert "-h2" in groups
        process.kill()
    until(lambda: not host.pids("sleep"), "it ends", 5)
    with host.run(["sleep", "602"]) as process:
        until(lambda: len(host.pids("sleep")) == 1, "it runs", 5)
        process.terminate()
        assert process.wait(5) == 128 + 15
    with host.run(
        ["sh", "-c", "echo $WORD; exit 7"], env={"WORD": "said"}, stdout=subprocess.PIPE, text=True
    ) as process:
        said, _ = process.communicate(timeout=5)
    assert (said, process.returncode) == ("said\n", 7)


def test_what_a_host_writes_to_folders_of_its_own_stays_there_and_outlives_a_crash() -> None:
    with Bed(hosts=2, own=("/opt", "/var/lib")) as bed:
        one, other = bed.hosts
        one.ask(["sh", "-ec", "echo mine > /opt/ave-bed-own; mkdir /var/lib/ave-bed-own"])
        one.crash()
        one.start()
        assert one.ask(["cat", "/opt/ave-bed-own"]) == "mine\n"
        assert one.ask(["ls", "-d", "/var/lib/ave-bed-own"])
        assert one.ask(["ls", "/var/lib/dpkg/status"]), "the rest is the machine's"
        assert one.ask(["virsh", "list", "--name"]).strip() == "", "what libvirt keeps below them is its own as before"
        with pytest.raises(BedError, match="No such file"):
            other.ask(["cat", "/opt/ave-bed-own"])
    assert not Path("/opt/ave-bed-own").exists()
    assert not Path("/var/lib/ave-bed-own").exists()


_RUNNER = """\
import os, signal, sys, time
from tests.real.bed import Bed
with Bed(hosts=1) as bed:
    program = {on}.run(["sleep", "60"])
    os.kill(program.pid, signal.SIGSTOP)
    print("stands still", flush=True)
    sys.stdin.readline()  # ends with our shell
    time.sleep(1)
    print("still here", flush=True)
    os.kill(program.pid, signal.SIGKILL)
"""


@pytest.mark.parametrize("on", ["bed.host(1)", "bed.storage"])
def test_whoever_made_the_bed_outlives_its_shell_though_a_program_stands_still(on: str) -> None:
    """A process group of which somebody stands still gets SIGHUP from the kernel when nobody is left who could wake it."""
    (line, end), (more, last) = os.pipe(), os.pipe()
    shell = f'set -m; "$@" <&{line} & read word <&{more}'
    argv = ["bash", "-c", shell, "bash", sys.executable, "-c", _RUNNER.format(on=on)]
    with subprocess.Popen(
        argv, pass_fds=(line, more), stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stands still\n"
        os.write(last, b"\n")
        process.wait(10)
        os.write(end, b"\n")
        assert process.stdout.readline() == "still here\n"
        assert not process.stdout.read()
    for each in (line, end, more, last):
        os.close(each)


def test_tgtd_is_killed_and_the_pool_stays(bed: Bed) -> None:
    (bed.storage.pool / "kept").write_text("still here")
    bed.storage.kill()
    assert not bed.storage.pid
    with pytest.raises(BedError, match="tgt daemon"):
        bed.storage.tgtadm("system", "show")
    bed.storage.start()
    assert bed.storage.tgtadm("target", "show") == ""
    assert (bed.storage.pool / "kept").read_text() == "still here"


def test_the_blocks_of_a_file_in_the_pool_can_be_shared(bed: Bed) -> None:
    run("cp", "--reflink=always", str(bed.storage.pool / "kept"), str(bed.storage.pool / "shared"))
    assert (bed.storage.pool / "shared").read_text() == "still here"


def test_what_a_bed_cannot_do_is_said(bed: Bed, tmp_path: Path) -> None:
    with pytest.raises(BedError, match="is there already"):
        Bed(tmp_path).up()
    with pytest.raises(BedError, match="longer than 60"):
        Bed(tmp_path / ("x" * 60)).up()
    with pytest.raises(BedError, match="1 to 9 hosts"):
        Bed(hosts=10)
    with pytest.raises(BedError, match="runs already"):
        bed.host(1).start()
    with pytest.raises(BedError, match="ended with 3: no"):
        bed.host(1).ask(["sh", "-c", "echo no >&2; exit 3"])
