"""Devices of a domain that runs: what it has too many is taken out, what it lacks is put in. Every function here blocks.

What it has is read off the domain itself, and never off its record: whoever died half-way is followed by one who looks.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping

import libvirt

from ave.errors import Refused, Unavailable
from ave.model.vm import VM
from drivers.libvirt import leftovers, xml
from drivers.libvirt.disks import Lun
from drivers.libvirt.domains import Domains, Here
from drivers.phases import Phase

LEFTOVERS_MAX = 8  # of one device that was half plugged in
GIB = 2**30
BOTH = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG


def plug(domains: Domains, here: Here, vm: VM, luns: Mapping[str, Lun], bridges: Mapping[str, str]) -> None:
    """``luns`` of every volume that it gains. Unavailable if its guest does not let go of a device: it may yet."""
    nics = {nic.mac: nic for nic in xml.nics(vm, bridges)}  # Refused before anything is changed
    root = domains.xml_of(here, libvirt.VIR_DOMAIN_XML_SECURE)
    serials = {xml.serial(volume): volume for volume in vm.volumes}
    disks = {e.findtext("serial", ""): e for e in root.iterfind("devices/disk[@device='disk']")}
    macs = {xml.mac_of(e): e for e in root.iterfind("devices/interface")}
    for surplus in [*_without(disks, serials), *_without(macs, nics)]:
        _change(domains, here, here.domain.detachDeviceFlags, surplus)
    taken = {xml.dev_of(e) for number, e in disks.items() if number in serials}
    for number, volume in serials.items():
        if number not in disks:
            dev = next(name for name in map(xml.letters, range(len(taken) + 1)) if name not in taken)
            taken.add(dev)
            _change(domains, here, here.domain.attachDeviceFlags, xml.disk(volume, luns[volume], dev))
    for address, nic in nics.items():
        if address not in macs:
            _change(domains, here, here.domain.attachDeviceFlags, xml.interface(nic))
    _change_medium(domains, here, root, vm, luns)
    _require_gone(domains, here, serials, nics)
    domains.write(here, vm=vm)


def _without(there: Mapping[str, ET.Element], wanted: Mapping[str, object]) -> list[ET.Element]:
    return [element for key, element in there.items() if key not in wanted]


def _change_medium(domains: Domains, here: Here, root: ET.Element, vm: VM, luns: Mapping[str, Lun]) -> None:
    if vm.cdrom == here.record.vm.cdrom and vm.cdrom not in luns:
        return  # as it was; and who is to gain it says where it is
    drive = root.find("devices/disk[@device='cdrom']")
    wanted = xml.cdrom(luns[vm.cdrom] if vm.cdrom else None)
    if drive is None or xml.read_disk(drive).source == xml.read_disk(wanted).source:
        return
    _change(domains, here, here.domain.updateDeviceFlags, wanted)


def _require_gone(domains: Domains, here: Here, serials: Mapping[str, object], nics: Mapping[str, object]) -> None:
    """A guest is asked to let go of a device, and may take its time."""
    root = domains.xml_of(here, 0)
    left = [e.findtext("serial", "") for e in root.iterfind("devices/disk[@device='disk']")]
    left = [number for number in left if number not in serials]
    left += [address for e in root.iterfind("devices/interface") if (address := xml.mac_of(e)) not in nics]
    if left:
        raise Unavailable(f"{here.vm}: its guest has not let go of {', '.join(left)} yet")


def _change(domains: Domains, here: Here, how: Callable[[str, int], object], device: ET.Element) -> None:
    text = ET.tostring(device, encoding="unicode")
    for tries_left in reversed(range(LEFTOVERS_MAX)):
        with domains.link.doing(f"plug {here.vm}"):
            try:
                how(text, BOTH)
            except libvirt.libvirtError as error:
                if error.get_error_code() == libvirt.VIR_ERR_DEVICE_MISSING:
                    return  # gone from the one, not yet from the other: see what is left
                if tries_left and leftovers.set_right(here.domain, error.get_error_message() or ""):
                    continue
                raise
            return


def require_settled(here: Here | None) -> None:
    if here is not None and here.is_here and here.phase not in (Phase.SETTLED, Phase.SUSPENDED):
        raise Unavailable(f"{here.vm} is on its way: its disks are resized when it has arrived")


def resize(domains: Domains, here: Here, volume: str, size_gib: int) -> None:
    """QEMU looks at the LUN anew when it is told a size, and tells the guest. Never to less than it shows already."""
    number = xml.serial(volume)
    dev = next((xml.dev_of(e) for e in _disks(domains, here) if e.findtext("serial", "") == number), None)
    if dev is None or volume not in here.record.vm.volumes:
        raise Refused(f"{here.vm} has no disk {volume}")
    require_settled(here)
    with domains.link.doing(f"resize disk {volume} of {here.vm}"):
        if here.domain.blockInfo(dev)[0] < size_gib * GIB:
            here.domain.blockResize(dev, size_gib * GIB, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)


def _disks(domains: Domains, here: Here) -> list[ET.Element]:
    return domains.xml_of(here, 0).findall("devices/disk[@device='disk']")
