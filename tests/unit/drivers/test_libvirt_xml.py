"""What a VM becomes as XML: nothing but what was meant, whatever its user wrote. Needs no libvirt."""

import xml.etree.ElementTree as ET

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ave.errors import Refused
from ave.model.vm import VM
from ave.ports.hypervisor import Stamp
from drivers.libvirt import xml
from drivers.libvirt.disks import Lun
from drivers.libvirt.record import Record, decoded_element, encoded, name_of, uuid_of
from drivers.phases import Phase

LUN = Lun(portal="10.0.0.9", target="iqn.2026-01.io.ave:volume.x", initiator="iqn.2026-01.io.ave:host.a.1")
VM_ = VM(id="web-1", vcpus=2, memory_mib=512, volumes=("one", "two"), cdrom="cd", networks=("lan", "lan"))
TEXT = st.text(max_size=30)  # without surrogates, which no name that was stored has


def record(vm=VM_, **changes):
    return Record(vm=vm, epoch=1, phase=Phase.SETTLED, **changes)


def built(record, lun=LUN):
    return xml.domain(record, dict.fromkeys(record.vm.media, lun), {"lan": "br-lan"}, "qemu")


def test_every_disk_is_raw_by_name_uncached_and_gives_back_what_is_discarded():
    root = ET.fromstring(built(record()))
    drivers = [driver.attrib for driver in root.iterfind("devices/disk[@device='disk']/driver")]
    assert drivers == [{"name": "qemu", "type": "raw", "cache": "none", "discard": "unmap"}] * 2
    assert {driver.get("type") for driver in root.iterfind("devices/disk/driver")} == {"raw"}
    assert [target.get("dev") for target in root.iterfind("devices/disk/target")] == ["sda", "sdb", "hda"]


def test_a_disk_names_its_owner_and_where_the_password_is_and_never_the_password():
    lun = msgspec.structs.replace(LUN, user="host.a", secret="ave.iscsi.a")
    disk, *_ = xml.read(built(record(), lun)).disks[1:]
    assert disk == xml.Disk(
        device="disk",
        serial=disk.serial,
        kind="raw",
        source="iqn.2026-01.io.ave:volume.x/1",
        portal="10.0.0.9:3260",
        initiator="iqn.2026-01.io.ave:host.a.1",
        user="host.a",
        secret="ave.iscsi.a",
    )
    assert '<secret type="iscsi" usage="ave.iscsi.a" />' in built(record(), lun)


@given(name=TEXT, label=TEXT, volume=TEXT)
def test_nothing_a_user_wrote_becomes_anything_but_the_record(name, label, volume):
    vm = VM(id=name, name=name, labels={label: name}, vcpus=1, memory_mib=64, volumes=(volume,))
    text = built(record(vm))
    assert xml.read(text).record == record(vm)
    plain = ET.fromstring(built(record(VM(id="x", vcpus=1, memory_mib=64, volumes=("y",)))))
    assert [element.tag for element in ET.fromstring(text).iter()] == [element.tag for element in plain.iter()]
    assert text.isascii()


@given(name=TEXT, other=TEXT)
def test_two_vms_have_two_names_that_a_file_may_have(name, other):
    assert name_of(name).replace("-", "").isalnum()
    assert len(name_of(name)) < 60
    assert (name_of(name) == name_of(other)) == (name == other) == (uuid_of(name) == uuid_of(other))


@given(job=TEXT)
def test_a_record_survives_its_way_through_metadata(job):
    stamp = Stamp(job=job, task="task", attempt=2, lock="vm/web-1", token=3, epoch=1)
    kept = record(rights=(stamp,), boot="boot", target="b")
    assert decoded_element(encoded(kept)) == kept


def test_what_is_not_as_it_was_meant_is_not_started():
    text = built(record())
    for wrong in (
        text.replace('"raw"', '"qcow2"'),
        text.replace("host.a.1", "host.b.1"),
        text.replace("br-lan", "br-mgmt"),
    ):
        with pytest.raises(Refused, match=r"web-1: its domain's (disks|nics) would be"):
            xml.require(xml.read(text), wrong)


def test_a_network_without_a_bridge_here_is_refused_by_name():
    with pytest.raises(Refused, match="web-1: network wan is not on this host"):
        built(record(msgspec.structs.replace(VM_, networks=("wan",))))


def test_the_nics_of_all_vms_have_addresses_of_their_own():
    macs = {xml.mac(f"vm-{number}", "lan", nth) for number in range(2000) for nth in (1, 2)}
    assert len(macs) == 4000
    assert {mac[:2] for mac in macs} == {"02"}


def test_the_nics_of_one_vm_on_one_network_have_addresses_of_their_own_which_never_change():
    twice = msgspec.structs.replace(VM_, networks=("lan", "lan", "lan"))
    found = [nic.mac for nic in xml.nics(twice, {"lan": "br-lan"})]
    assert len(set(found)) == 3
    assert found[:2] == [
        nic.mac for nic in xml.nics(msgspec.structs.replace(twice, networks=("lan", "lan")), {"lan": "x"})
    ]


def test_another_incarnation_reaches_the_same_volumes_in_its_own_ways_and_nothing_else_changes():
    root, there = ET.fromstring(built(record())), msgspec.structs.replace(LUN, initiator="iqn.2026-01.io.ave:host.b.2")
    incoming = msgspec.structs.replace(record(), epoch=2, phase=Phase.INCOMING)
    xml.readdress(root, incoming, dict.fromkeys(VM_.media, there))
    assert ET.tostring(root, encoding="unicode") == built(incoming, there)


@pytest.mark.parametrize(("number", "name"), [(0, "sda"), (25, "sdz"), (26, "sdaa"), (27, "sdab"), (701, "sdzz")])
def test_disks_are_lettered_as_a_guest_counts_them(number, name):
    assert xml.letters(number) == name
