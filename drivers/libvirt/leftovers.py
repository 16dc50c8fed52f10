"""What QEMU has and libvirt does not know of. It is set right by QEMU's own commands, and libvirt's attempt made again.

A libvirtd that died while it plugged something in left a part of it. libvirt numbers devices by those that it knows, so the
next attempt is told that its name is taken: by something that is nobody's, as no domain of libvirt has it.

A guest that boots shuts its tray between libvirt's two steps. libvirt takes it for open from then on, and opens it no more.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress

import libvirt
import libvirt_qemu

# what QEMU says -> its command that takes this out, and how that calls the name
SAID = (
    (re.compile(r"Duplicate (?:device )?ID '(hostnet\d+)'"), "netdev_del", "id"),
    (re.compile(r"Duplicate device ID '([^']+)'"), "device_del", "id"),
    (re.compile(r"Duplicate nodes with node-name='(libvirt-[^']+)'"), "blockdev-del", "node-name"),
    (re.compile(r"duplicate property '(libvirt-[^']+)'"), "object-del", "id"),
    (re.compile(r"Tray of device '([^']+)' is not open"), "blockdev-open-tray", "id"),
)
SHUT = "Tray of the device is not open"  # which one is not said


def set_right(domain: libvirt.virDomain, said: str) -> bool:
    """Was there such a thing? Then the attempt may be made again."""
    if SHUT in said:
        return any(_does(domain, "blockdev-open-tray", {"id": tray}) for tray in _shut_trays(domain))
    for pattern, command, key in SAID:
        if found := pattern.search(said):
            return _does(domain, command, {key: found[1]})
    return False


def _shut_trays(domain: libvirt.virDomain) -> list[str]:
    """Of the drives that have no medium."""
    with suppress(libvirt.libvirtError):
        told = json.loads(libvirt_qemu.qemuMonitorCommand(domain, json.dumps({"execute": "query-block"}), 0))
        empty = [each for each in told["return"] if each["removable"] and "inserted" not in each]
        return [each["qdev"] for each in empty if each.get("qdev") and not each.get("tray_open", True)]
    return []


def _does(domain: libvirt.virDomain, command: str, arguments: dict[str, str]) -> bool:
    words = json.dumps({"execute": command, "arguments": arguments})
    with suppress(libvirt.libvirtError):
        return "error" not in json.loads(libvirt_qemu.qemuMonitorCommand(domain, words, 0))
    return False
