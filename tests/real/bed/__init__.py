"""A real cluster on one machine: hosts with a libvirtd each, a storage box, networks that can be cut. See docs/real-bed.md.

with Bed() as bed:
    bed.host(1).ask(["virsh", "list"])
"""

from tests.real.bed.bed import Bed
from tests.real.bed.command import BedError
from tests.real.bed.host import Host
from tests.real.bed.storage import Storage

__all__ = ["Bed", "BedError", "Host", "Storage"]
