"""The libvirt driver on libvirt's own driver for tests: no daemon, no guest, but the same library. It knows no pid files, no
agents and no migration; those are tried on real hosts, with `make test-real`.

Without the library, which needs a compiler and libvirt's headers, what does not touch it is tested by tests/unit.
"""

import asyncio
from contextlib import closing

import libvirt
import pytest

from ave.errors import Refused, Unavailable
from ave.model.vm import VM
from ave.ports.hypervisor import Domain, DomainState, End, Ended, Stamp
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.libvirt import xml
from drivers.libvirt.disks import Lun
from drivers.libvirt.domains import Domains
from drivers.libvirt.host import Reach, Settings
from drivers.libvirt.hypervisor import LibvirtHypervisor
from drivers.libvirt.link import Link, session
from drivers.libvirt.record import NAMESPACE, Record
from drivers.phases import Phase
from tests.contracts.labs import facts

ODD = "a\"b'<c>&]]>\x01\n/../é\U0001f600"
SMALL = VM(id=ODD, vcpus=1, memory_mib=64, volumes=("disk", ODD), cdrom="cd")


def stamp(token=1, epoch=1):
    return Stamp(job=f"job-{token}", task="task", token=token, epoch=epoch)


class Shelf:
    """Every volume is host a's, at epoch 1."""

    async def owner(self, volume):
        return "a", 1

    async def where(self, volume, host, epoch):
        return Lun(portal="storage", target="iqn.x:disk", initiator=f"iqn.x:{host}.{epoch}", user="u", secret="usage")


@pytest.fixture
def driver(tmp_path):
    """Yields the driver, and what lets it do something."""
    settings = Settings(
        facts=facts("a", exclusive_cpus=0),
        reach=Reach(uri="test:///default"),
        peers=lambda host: Reach(uri="test:///default"),
        kind="test",
        state=tmp_path / "state",
        run=tmp_path / "run",
    )
    with asyncio.Runner() as runner:

        async def begin():
            return LibvirtHypervisor(settings, Shelf(), AsyncioRuntime("a"))

        driver = runner.run(begin())
        driver.files.make()
        driver.files.signs.hold_until(float("inf"), 0)
        with closing(driver), session():
            yield driver, lambda verb, *given: runner.run(getattr(driver, verb)(*given))


@pytest.fixture
def do(driver):
    return driver[1]


@pytest.fixture
def up(driver):
    """The VM runs. This driver of libvirt cannot start what stands still, so it is started by hand."""
    here = driver[0].here
    luns = {volume: asyncio.run(Shelf().where(volume, "a", 1)) for volume in SMALL.media}
    record = Record(vm=SMALL, epoch=1, phase=Phase.SETTLED, boot=driver[0].files.boot())
    found = here.define(xml.meant(record, luns, {}), xml.domain(record, luns, {}, "test"))
    found.domain.create()


def test_a_vm_of_any_name_is_known_paused_suspended_resumed_and_destroyed(do, up):
    assert do("list") == (Domain(vm=ODD, state=DomainState.RUNNING, epoch=1, memory_mib=64),)
    do("pause", ODD)
    assert do("list")[0].state is DomainState.PAUSED
    do("resume", ODD, stamp())
    do("suspend", ODD, stamp())
    assert do("list")[0].state is DomainState.SUSPENDED
    do("destroy", ODD, stamp())
    assert do("list") == ()
    assert do("ended") == ()


def test_what_is_used_and_seen_can_be_asked(do, up):
    (usage,) = do("usage")
    assert (usage.vm, usage.epoch) == (ODD, 1)
    with pytest.raises(Refused, match="nobody has no process on a"):
        do("console", "nobody")
    with pytest.raises(Unavailable, match="agent"):
        do("ask", ODD, "guest-ping", {})
    do("destroy", ODD, stamp())


def test_what_ended_by_itself_is_told_until_it_is_destroyed(driver, do, up):
    found = driver[0].here.look(ODD)
    found.domain.shutdown()
    for _ in range(2):
        assert do("ended") == (Ended(vm=ODD, epoch=1, end=End.SHUTDOWN),)
    do("hear")
    do("destroy", ODD, stamp())
    assert do("ended") == ()


def test_an_older_right_is_refused_when_the_domain_is_there_and_when_it_is_gone(do, up):
    do("suspend", ODD, stamp(token=5))
    for verb in ("resume", "destroy"):
        with pytest.raises(Refused, match=f"{verb} by job-4 is outdated; job-5 came after it"):
            do(verb, ODD, stamp(token=4))
    do("destroy", ODD, stamp(token=5))
    with pytest.raises(Refused, match="start by job-4 is outdated; job-5 came after it"):
        do("start", SMALL, stamp(token=4))


def test_a_start_that_libvirt_refuses_keeps_its_words_and_leaves_nothing(do):
    with pytest.raises(Refused, match="libvirt: unsupported flags"):
        do("start", SMALL, stamp())
    assert do("list") == ()
    assert do("ended") == ()


def test_a_domain_whose_record_is_damaged_makes_the_list_unavailable(driver, do, up):
    found = driver[0].here.look(ODD)
    for text in ("<domain>{}</domain>", None):
        found.domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, text, "ave", NAMESPACE, 3)
        with pytest.raises(Unavailable, match=r"has no record that AVE can read.*virsh destroy ave-a-b-c-"):
            do("list")
    found.domain.destroy()
    found.domain.undefine()


def test_no_connection_is_no_empty_list(tmp_path):
    link = Link("test:///nothing/there", "a")
    with session(), pytest.raises(Unavailable, match="libvirt on a"):
        Domains(link, None).list()
