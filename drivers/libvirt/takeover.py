"""A copy that has never run does not own its disks as QEMU sees it, and older QEMUs (7.2 is one) die by a failed assertion
when such a one is to be migrated on. This makes it own them, without letting it run.

QEMU takes a disk over for whoever would have it exported, before it finds that no server is there to export it: so nothing is
exported, and nothing else is changed. Where QEMU needs none of this, it does no harm.
"""

from __future__ import annotations

import json
from typing import Any

import libvirt_qemu

from drivers.libvirt.domains import Domains, Here

EXPORT = "ave-takes-over"


def take_over(domains: Domains, here: Here) -> None:
    """Of a copy that stands still: its disks are its own when this returns."""
    for drive in _ask(domains, here, "query-block").get("return", []):
        node = drive.get("inserted", {}).get("node-name")
        if node:
            _ask(domains, here, "block-export-add", {"type": "nbd", "id": EXPORT, "node-name": node})


def _ask(domains: Domains, here: Here, command: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
    text = json.dumps({"execute": command, **({"arguments": arguments} if arguments else {})})
    with domains.link.doing(f"take over the disks of {here.vm}"):
        answer: dict[str, Any] = json.loads(libvirt_qemu.qemuMonitorCommand(here.domain, text, 0))
    return answer
