"""What a libvirtd that died while it plugged something in has left in QEMU, and the next one does not know of.

libvirt numbers devices by those that it knows. So the next attempt is told that its name is taken: by something that is
nobody's, as no domain of libvirt has it. It is taken out by QEMU's own commands, and the attempt made again.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress

import libvirt
import libvirt_qemu

# what QEMU says -> its command that takes this out, and how that calls the name
TAKEN = (
    (re.compile(r"Duplicate (?:device )?ID '(hostnet\d+)'"), "netdev_del", "id"),
    (re.compile(r"Duplicate device ID '([^']+)'"), "device_del", "id"),
    (re.compile(r"Duplicate nodes with node-name='(libvirt-[^']+)'"), "blockdev-del", "node-name"),
    (re.compile(r"duplicate property '(libvirt-[^']+)'"), "object-del", "id"),
)


def taken_out(domain: libvirt.virDomain, said: str) -> bool:
    """Was there such a thing? Then the attempt may be made again."""
    for pattern, command, key in TAKEN:
        if found := pattern.search(said):
            words = json.dumps({"execute": command, "arguments": {key: found[1]}})
            with suppress(libvirt.libvirtError):
                return "error" not in json.loads(libvirt_qemu.qemuMonitorCommand(domain, words, 0))
    return False
