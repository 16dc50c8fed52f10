"""A real host by what its kernel and its files say: no libvirt is asked, and none needs to be there."""

import asyncio
import subprocess

import pytest

from ave.ports.machine import Facts, Health
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.libvirt.host import HostFiles, Reach, Settings
from drivers.libvirt.machine import LibvirtMachine
from drivers.libvirt.processes import process_of
from drivers.libvirt.record import name_of
from drivers.process import life

FACTS = Facts(
    host="a",
    boot="",
    cpus=0,
    memory_mib=4096,
    reserve_mib=0,
    zone="",
    primary=False,
    master=True,
    cpu_model="any",
    networks=("lan", "wan"),
)


@pytest.fixture
def settings(tmp_path):
    reach = Reach(uri="none:///")
    return Settings(
        facts=FACTS,
        reach=reach,
        peers=lambda host: reach,
        bridges={"lan": "br-lan", "wan": "br-wan"},
        state=tmp_path / "state",
        run=tmp_path / "run",
    )


@pytest.fixture
def ask(settings, tmp_path):
    """``ask(verb, …)`` answers as a new machine's call does, as after a restart of its process."""

    def ask(verb, *given):
        async def call():
            machine = LibvirtMachine(settings, AsyncioRuntime("a"), size, tmp_path / "net")
            answer = getattr(machine, verb)(*given)
            return await answer if asyncio.iscoroutine(answer) else answer

        async def size():
            return 16, 999

        return asyncio.run(call())

    return ask


@pytest.fixture
def guest(settings):
    """What looks like a domain's process, where libvirt would say that it is."""
    name = name_of("web-1")
    pids = HostFiles(settings).pids
    pids.mkdir(parents=True)
    command = ["sh", "-c", "echo up; read line", "-name", f"guest={name},debug"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # amid its exec a process has no command line yet
        (pids / f"{name}.pid").write_text(str(process.pid))
        yield process
        process.kill()


def bridge(folder, name, *, on=True, cables=(), taps=()):
    (folder / name / "brif").mkdir(parents=True)
    (folder / name / "flags").write_text("0x1003" if on else "0x1002")
    for cable, carries in cables:
        (folder / cable).mkdir()
        (folder / cable / "carrier").write_text(str(int(carries)))
    for tap in taps:
        (folder / tap).mkdir()
        (folder / tap / "tun_flags").write_text("0x1002")
        (folder / tap / "carrier").write_text("1")
    for port in (*(cable for cable, _ in cables), *taps):
        (folder / name / "brif" / port).mkdir()


def test_a_host_knows_its_boot_and_asks_for_what_its_configuration_leaves_out(ask):
    facts = ask("facts")
    assert (facts.cpus, facts.memory_mib) == (16, 4096)
    assert facts.boot.startswith("a/boot-")
    assert ask("facts") == facts, "another process of the same boot"


def test_a_host_that_has_lost_its_run_folder_has_booted(ask, settings):
    first = ask("facts").boot
    ask("hold_until", 1e9, 4)
    assert (ask("held_until"), ask("held_for")) == (1e9, 4)
    (HostFiles(settings).run / "boot").unlink()
    assert ask("facts").boot != first
    assert (ask("held_until"), ask("held_for")) == (0.0, 0), "a lease of an older boot lets nothing run"


def test_a_domains_process_is_frozen_once_and_told_by_its_name(ask, guest, settings):
    found = process_of(HostFiles(settings).pids, name_of("web-1"))
    assert found is not None
    assert found.pid == guest.pid
    assert ask("freeze") == 1
    assert life.is_standing(found)
    assert ask("freeze") == 0


def test_a_number_that_another_process_has_by_now_is_left_alone(ask, guest, settings):
    pids = HostFiles(settings).pids
    (pids / f"{name_of('web-1')}.pid").rename(pids / f"{name_of('web-2')}.pid")
    assert ask("freeze") == 0
    found = life.life_of(guest.pid)
    assert found is not None
    assert not life.is_standing(found)


def test_a_host_on_which_libvirt_never_ran_has_nothing_to_freeze(ask):
    assert ask("freeze") == 0


def test_networks_whose_bridge_is_whole_are_up(ask, tmp_path):
    bridge(tmp_path / "net", "br-lan", cables=[("eth0", False), ("eth1", True)])
    bridge(tmp_path / "net", "br-wan", taps=["vnet0"])
    assert ask("health") == Health()


@pytest.mark.parametrize(
    "how",
    [{"on": False}, {"cables": [("eth0", False)]}, {"cables": [("eth0", False)], "taps": ["vnet0"]}],
    ids=["off", "no carrier", "a VM is no cable"],
)
def test_a_network_whose_bridge_carries_nothing_is_down(ask, tmp_path, how):
    bridge(tmp_path / "net", "br-lan", **how)
    bridge(tmp_path / "net", "br-wan")
    assert ask("health") == Health(down=("lan",))
