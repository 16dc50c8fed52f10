"""Domain XML from the model, and what is read back of it.

Nothing a user wrote reaches XML but through ElementTree, and of it all only the record holds their words. Whatever is built is
parsed again and compared with what was meant, before libvirt sees it, and again as libvirt has understood it.
"""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Literal

import msgspec

from ave.errors import Refused
from ave.model.vm import VM
from drivers.libvirt.disks import Lun
from drivers.libvirt.record import TAG, Record, decoded, element_of, name_of, uuid_of

Kind = Literal["kvm", "qemu", "test"]

MACHINE = "pc"  # its PCI bus takes devices while a guest runs, which needs no ports that were thought of beforehand
ANY_CPU = {"kvm": "host-model", "qemu": "custom", "test": "custom"}
EMULATED_CPU = "qemu64"
BUS_LETTERS = "abcdefghijklmnopqrstuvwxyz"
CDROM = "hda"
AGENT = "org.qemu.guest_agent.0"
SERIAL_LENGTH = 20


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    device: str  # disk, cdrom
    serial: str
    kind: str  # of the image: nothing but raw, or a guest could write a header that names a file of the host
    source: str  # target and LUN; "": nothing in it
    portal: str = ""
    initiator: str = ""
    user: str = ""
    secret: str = ""


class Nic(msgspec.Struct, frozen=True):
    mac: str
    bridge: str


class Meant(msgspec.Struct, frozen=True, kw_only=True):
    """All of a domain's XML that a user or a right has a say in."""

    name: str
    uuid: str
    memory_mib: int
    vcpus: int
    disks: tuple[Disk, ...]
    nics: tuple[Nic, ...]
    record: Record | None


def domain(
    record: Record, luns: Mapping[str, Lun], bridges: Mapping[str, str], kind: Kind, cpus: tuple[int, ...] = ()
) -> str:
    """The XML of this VM, whose process is born on these CPUs, if any are named. Refused if one of its networks is not on
    this host."""
    vm = record.vm
    root = ET.Element("domain", type=kind)
    _text(root, "name", name_of(vm.id))
    _text(root, "uuid", uuid_of(vm.id))
    ET.SubElement(root, "metadata").append(element_of(record))
    for name in ("memory", "currentMemory"):
        _text(root, name, str(vm.memory_mib), unit="MiB")
    _text(root, "vcpu", str(vm.vcpus), placement="static")
    if cpus:
        ET.SubElement(ET.SubElement(root, "cputune"), "emulatorpin", cpuset=",".join(map(str, cpus)))
    if kind == "test":
        _text(ET.SubElement(root, "os"), "type", "hvm")
    else:
        _text(ET.SubElement(root, "os"), "type", "hvm", arch="x86_64", machine=MACHINE)
        root.append(_cpu(vm.cpu_model, kind))
    features = ET.SubElement(root, "features")
    for feature in ("acpi", "apic"):
        ET.SubElement(features, feature)
    ET.SubElement(root, "clock", offset="utc")
    for event, action in (("on_poweroff", "destroy"), ("on_reboot", "restart"), ("on_crash", "destroy")):
        _text(root, event, action)
    devices = ET.SubElement(root, "devices")
    ET.SubElement(devices, "controller", type="usb", model="none")
    ET.SubElement(devices, "controller", type="scsi", index="0", model="virtio-scsi")
    for number, volume in enumerate(vm.volumes):
        devices.append(disk(volume, luns[volume], letters(number), boot=number + 1))
    devices.append(cdrom(luns[vm.cdrom] if vm.cdrom else None))
    for nic in nics(vm, bridges):
        devices.append(interface(nic))
    _fittings(devices)
    text = ET.tostring(root, encoding="unicode")
    require(meant(record, luns, bridges), text)
    return text


def _cpu(model: str, kind: Kind) -> ET.Element:
    if model == "any" and kind == "kvm":
        return ET.Element("cpu", mode=ANY_CPU[kind])
    cpu = ET.Element("cpu", mode="custom", match="exact")
    emulated = model == "any"
    _text(cpu, "model", EMULATED_CPU if emulated else model, fallback="allow" if emulated else "forbid")
    return cpu


def _fittings(devices: ET.Element) -> None:
    """What every VM has: a way in for its agent, a console, a screen that no network reaches, a balloon, chance."""
    channel = ET.SubElement(devices, "channel", type="unix")
    ET.SubElement(channel, "target", type="virtio", name=AGENT)
    ET.SubElement(ET.SubElement(devices, "console", type="pty"), "target", type="serial", port="0")
    ET.SubElement(ET.SubElement(devices, "graphics", type="vnc"), "listen", type="socket")
    ET.SubElement(ET.SubElement(devices, "video"), "model", type="vga")
    ET.SubElement(devices, "memballoon", model="virtio")
    _text(ET.SubElement(devices, "rng", model="virtio"), "backend", "/dev/urandom", model="random")


def disk(volume: str, lun: Lun, dev: str, boot: int = 0) -> ET.Element:
    element = ET.Element("disk", type="network", device="disk")
    ET.SubElement(element, "driver", name="qemu", type="raw", cache="none", discard="unmap")
    element.append(_source(lun))
    ET.SubElement(element, "target", dev=dev, bus="scsi")
    _text(element, "serial", serial(volume))
    if boot:
        ET.SubElement(element, "boot", order=str(boot))
    return element


def cdrom(lun: Lun | None) -> ET.Element:
    """The drive, with this in it. It is never without a drive: one cannot be added while a guest runs."""
    element = ET.Element("disk", type="network" if lun else "file", device="cdrom")
    ET.SubElement(element, "driver", name="qemu", type="raw")
    if lun:
        element.append(_source(lun))
    ET.SubElement(element, "target", dev=CDROM, bus="ide")
    ET.SubElement(element, "readonly")
    ET.SubElement(element, "boot", order="9000")  # after every disk
    return element


def _source(lun: Lun) -> ET.Element:
    source = ET.Element("source", protocol="iscsi", name=f"{lun.target}/{lun.lun}")
    ET.SubElement(source, "host", name=lun.portal, port=str(lun.port))
    if lun.user:
        auth = ET.SubElement(source, "auth", username=lun.user)
        ET.SubElement(auth, "secret", type="iscsi", usage=lun.secret)
    ET.SubElement(ET.SubElement(source, "initiator"), "iqn", name=lun.initiator)
    return source


def interface(nic: Nic) -> ET.Element:
    element = ET.Element("interface", type="bridge")
    ET.SubElement(element, "mac", address=nic.mac)
    ET.SubElement(element, "source", bridge=nic.bridge)
    ET.SubElement(element, "model", type="virtio")
    return element


def nics(vm: VM, bridges: Mapping[str, str]) -> tuple[Nic, ...]:
    """Refused if one of its networks is not on this host."""
    seen: dict[str, int] = {}
    found = []
    for network in vm.networks:
        if network not in bridges:
            raise Refused(
                f"{vm.id}: network {network} is not on this host: name its bridge in the host's configuration"
            )
        seen[network] = seen.get(network, 0) + 1
        found.append(Nic(mac(vm.id, network, seen[network]), bridges[network]))
    return tuple(found)


def mac(vm: str, network: str, nth: int) -> str:
    """The same on every host, and of no manufacturer."""
    digest = hashlib.sha256("\0".join((vm, network, str(nth))).encode("utf-8", "surrogatepass")).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))


def serial(volume: str) -> str:
    """By which a guest, and whoever reads the XML, knows this disk again."""
    return hashlib.sha256(volume.encode("utf-8", "surrogatepass")).hexdigest()[:SERIAL_LENGTH]


def letters(number: int) -> str:
    """sda, …, sdz, sdaa, …"""
    name = ""
    number += 1
    while number:
        number, letter = divmod(number - 1, len(BUS_LETTERS))
        name = BUS_LETTERS[letter] + name
    return f"sd{name}"


def readdress(root: ET.Element, record: Record, luns: Mapping[str, Lun]) -> None:
    """Make this XML of a domain that of another incarnation, which reaches the same volumes in its own ways."""
    metadata = root.find("metadata")
    assert metadata is not None, "every domain of ours has a record"
    for old in metadata.findall(TAG):
        metadata.remove(old)
    metadata.append(element_of(record))
    if (pins := root.find("cputune")) is not None:
        root.remove(pins)  # it is pinned where it runs
    volumes = {serial(volume): volume for volume in record.vm.volumes}
    for element in root.iterfind("devices/disk"):
        volume = record.vm.cdrom if element.get("device") == "cdrom" else volumes[element.findtext("serial", "")]
        old_source = element.find("source")
        if not volume or old_source is None:
            continue
        kept = [child for child in old_source if child.tag not in ("host", "initiator", "auth")]
        for auth in element.findall("auth"):
            element.remove(auth)
        at = list(element).index(old_source)
        element.remove(old_source)
        source = _source(luns[volume])
        source.extend(kept)
        element.insert(at, source)


# Reading it back


def meant(record: Record, luns: Mapping[str, Lun], bridges: Mapping[str, str]) -> Meant:
    vm = record.vm
    disks = [_meant_disk("disk", serial(volume), luns[volume]) for volume in vm.volumes]
    disks.append(_meant_disk("cdrom", "", luns[vm.cdrom] if vm.cdrom else None))
    return Meant(
        name=name_of(vm.id),
        uuid=uuid_of(vm.id),
        memory_mib=vm.memory_mib,
        vcpus=vm.vcpus,
        disks=tuple(sorted(disks, key=_by_serial)),
        nics=tuple(sorted(nics(vm, bridges), key=_by_mac)),
        record=record,
    )


def _meant_disk(device: str, number: str, lun: Lun | None) -> Disk:
    if lun is None:
        return Disk(device=device, serial=number, kind="raw", source="")
    return Disk(
        device=device,
        serial=number,
        kind="raw",
        source=f"{lun.target}/{lun.lun}",
        portal=f"{lun.portal}:{lun.port}",
        initiator=lun.initiator,
        user=lun.user,
        secret=lun.secret if lun.user else "",
    )


def read(xml: str) -> Meant:
    root = ET.fromstring(xml)
    memory = root.find("memory")
    return Meant(
        name=root.findtext("name", ""),
        uuid=root.findtext("uuid", ""),
        memory_mib=_mib(memory),
        vcpus=int(root.findtext("vcpu", "0")),
        disks=tuple(sorted((read_disk(element) for element in root.iterfind("devices/disk")), key=_by_serial)),
        nics=tuple(sorted((_read_nic(element) for element in root.iterfind("devices/interface")), key=_by_mac)),
        record=read_record(root),
    )


def read_record(root: ET.Element) -> Record | None:
    return decoded(root.findtext(f"metadata/{TAG}"))


def read_disk(element: ET.Element) -> Disk:
    source, auth = element.find("source"), element.find(".//auth")
    secret = auth.find("secret") if auth is not None else None
    return Disk(
        device=element.get("device", "disk"),
        serial=element.findtext("serial", ""),
        kind=_attribute(element, "driver", "type"),
        source=source.get("name", "") if source is not None else "",
        portal=":".join(filter(None, (_attribute(element, "source/host", key) for key in ("name", "port")))),
        initiator=_attribute(element, "source/initiator/iqn", "name"),
        user=auth.get("username", "") if auth is not None else "",
        secret=secret.get("usage", "") if secret is not None else "",
    )


def _read_nic(element: ET.Element) -> Nic:
    return Nic(mac_of(element), _attribute(element, "source", "bridge"))


def mac_of(element: ET.Element) -> str:
    return _attribute(element, "mac", "address")


def dev_of(element: ET.Element) -> str:
    return _attribute(element, "target", "dev")


def require(wanted: Meant, xml: str) -> None:
    """Refused, with the first difference, unless this XML says what was meant."""
    found = read(xml)
    for field in Meant.__struct_fields__:
        meant_, is_ = getattr(wanted, field), getattr(found, field)
        if meant_ != is_:
            name = wanted.record.vm.id if wanted.record else wanted.name
            raise Refused(f"{name}: its domain's {field} would be {is_!r}, and not {meant_!r}: it is not started so")


def _mib(memory: ET.Element | None) -> int:
    if memory is None:
        return 0
    bytes_of = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}[memory.get("unit", "KiB")]
    return int(memory.text or 0) * bytes_of // 2**20


def _attribute(element: ET.Element, path: str, name: str) -> str:
    found = element.find(path)
    return found.get(name, "") if found is not None else ""


def _text(parent: ET.Element, tag: str, text: str, **attributes: str) -> ET.Element:
    element = ET.SubElement(parent, tag, attributes)
    element.text = text
    return element


def _by_serial(disk: Disk) -> tuple[str, str]:
    return disk.device, disk.serial


def _by_mac(nic: Nic) -> tuple[str, str]:
    return nic.mac, nic.bridge
