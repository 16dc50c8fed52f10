"""The domain of a guest, for tests of the bed itself: AVE's own driver writes its own."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from tests.real.bed.guest_image import MEMORY_MIB, GuestImage
from tests.real.bed.network import VM_BRIDGE
from tests.real.bed.storage import PORT

AGENT = "org.qemu.guest_agent.0"


def lun(address: str, target: str, initiator: str, *, number: int = 1) -> str:
    """A disk that QEMU reaches by iSCSI itself, as this initiator."""
    return f"""
    <disk type='network' device='disk'>
      <driver name='qemu' type='raw' cache='none' discard='unmap'/>
      <source protocol='iscsi' name={quoteattr(f"{target}/{number}")}>
        <host name={quoteattr(address)} port='{PORT}'/>
        <initiator><iqn name={quoteattr(initiator)}/></initiator>
      </source>
      <target dev='vda' bus='virtio'/>
    </disk>"""


def domain(name: str, image: GuestImage, *disks: str, mac: str = "", direct: bool = True) -> str:
    """An emulated guest with an agent, a serial console that is logged, and a link into the VM network if it has a MAC.

    ``direct``: QEMU itself loads the kernel; or else the first disk begins with the image's.
    """
    loaded = f"""
    <kernel>{escape(str(image.kernel))}</kernel>
    <initrd>{escape(str(image.initrd))}</initrd>
    <cmdline>{escape(image.command_line)}</cmdline>"""
    link = f"""
    <interface type='bridge'>
      <mac address={quoteattr(mac)}/><source bridge='{VM_BRIDGE}'/><model type='virtio'/>
    </interface>"""
    return f"""
<domain type='qemu'>
  <name>{escape(name)}</name>
  <memory unit='MiB'>{MEMORY_MIB}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>{loaded if direct else ""}
  </os>
  <features><acpi/><apic/><tcg><tb-cache unit='MiB'>64</tb-cache></tcg></features>
  <cpu mode='custom' match='exact'><model>qemu64</model></cpu>
  <on_reboot>restart</on_reboot>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>{"".join(disks)}{link if mac else ""}
    <controller type='usb' model='none'/>
    <serial type='pty'><log file={quoteattr(f"/var/log/libvirt/qemu/{name}-serial.log")} append='on'/></serial>
    <channel type='unix'><target type='virtio' name='{AGENT}'/></channel>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
  </devices>
</domain>"""
