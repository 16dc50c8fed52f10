"""Can this host run guests by itself, or must it emulate them? Found out by booting one, since a device that is there may
not work, and a kernel that begins to boot may not get far.

The kernel that runs here is booted without a root file system. It comes as far as to look for one, panics, and reboots: that
is the sign. The answer is kept, for this kernel, until somebody removes the file.
"""

from __future__ import annotations

import os
import time
import xml.etree.ElementTree as ET
from contextlib import suppress
from pathlib import Path

import libvirt

from ave.errors import Refused, Unavailable
from drivers import disk
from drivers.libvirt.host import Settings
from drivers.libvirt.link import Link
from drivers.libvirt.xml import MACHINE, Kind

BOOT_SECONDS = 20.0  # far more than a guest needs that is not emulated
MEMORY_MIB = 256
LOOK_AGAIN_SECONDS = 0.1
COMMAND_LINE = "panic=-1 quiet no_timer_check console=ttyS0"  # -1: at once


def kind_of(settings: Settings, link: Link) -> Kind:
    if settings.kind != "probe":
        return settings.kind
    release = os.uname().release
    kept = settings.state / f"domain-type-{disk.file_name(release)}"
    with suppress(FileNotFoundError):
        return "kvm" if kept.read_text() == "kvm" else "qemu"
    kernel = Path(settings.probe_kernel or f"/boot/vmlinuz-{release}")
    kind: Kind = "kvm" if Path("/dev/kvm").exists() and kernel.exists() and boots(link, kernel, "kvm") else "qemu"
    settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    disk.replace(kept, kind.encode())
    return kind


def boots(link: Link, kernel: Path, kind: Kind, seconds: float = BOOT_SECONDS) -> bool:
    """Does a guest of this type come to its end?"""
    try:
        with link.doing(f"probe {kind}") as connection:
            domain = connection.createXML(_xml(kernel, kind), 0)
            try:
                return _ends(domain, seconds)
            finally:
                with suppress(libvirt.libvirtError):
                    domain.destroy()
    except (Refused, Unavailable):
        return False


def _ends(domain: libvirt.virDomain, seconds: float) -> bool:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            if domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
                return False  # as the host leaves one whose instructions it does not know
        except libvirt.libvirtError as error:
            return bool(error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN)
        time.sleep(LOOK_AGAIN_SECONDS)
    return False


def _xml(kernel: Path, kind: Kind) -> str:
    root = ET.Element("domain", type=kind)
    ET.SubElement(root, "name").text = f"probe-{os.getpid()}"
    ET.SubElement(root, "memory", unit="MiB").text = str(MEMORY_MIB)
    ET.SubElement(root, "vcpu").text = "1"
    system = ET.SubElement(root, "os")
    ET.SubElement(system, "type", arch="x86_64", machine=MACHINE).text = "hvm"
    ET.SubElement(system, "kernel").text = str(kernel)
    ET.SubElement(system, "cmdline").text = COMMAND_LINE
    ET.SubElement(ET.SubElement(root, "features"), "acpi")
    if kind == "kvm":
        ET.SubElement(root, "cpu", mode="host-model")
    ET.SubElement(root, "on_reboot").text = "destroy"
    devices = ET.SubElement(root, "devices")
    ET.SubElement(devices, "controller", type="usb", model="none")
    ET.SubElement(devices, "memballoon", model="none")
    return ET.tostring(root, encoding="unicode")
