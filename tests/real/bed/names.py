"""What a bed's parts are called. All follows from its number, so that whoever knows the number can remove the bed.

A number belongs to one bed at a time (see registry.py): two beds on one machine never share a name or an address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

Plane = Literal["management", "storage", "vm"]
PLANES: tuple[Plane, ...] = get_args(Plane)

BEDS = 60  # at once, on one machine
HOSTS = 9  # of one bed, at most
NETWORK = "10.201"  # nobody else on the machine may use it
STORAGE_BOX = "store"
SWITCH = "net"

_NAMED = re.compile(r"avebed(\d+)(-.*)?")
_STORAGE_BOX_NUMBER, _RUNNER_NUMBER, _FIRST_HOST = 20, 254, 10


@dataclass(frozen=True)
class Names:
    bed: int

    @property
    def prefix(self) -> str:
        """Of every network namespace and cgroup; the one link outside the bed is called just this."""
        return f"avebed{self.bed}"

    @property
    def runner_link(self) -> str:
        """By which the machine itself reaches the management network."""
        return self.prefix

    def namespace(self, node: str) -> str:
        return f"{self.prefix}-{node}"

    def address(self, node: str, plane: Plane) -> str:
        """Without the prefix length, which is 24."""
        return f"{NETWORK}.{4 * self.bed + PLANES.index(plane)}.{_number(node)}"

    @property
    def runner_address(self) -> str:
        return f"{NETWORK}.{4 * self.bed}.{_RUNNER_NUMBER}"

    def mac(self, node: str, plane: Plane) -> str:
        """The same after a restart, so that nobody's ARP cache is wrong."""
        return f"02:ae:{self.bed:02x}:{PLANES.index(plane):02x}:00:{_number(node):02x}"


def port(node: str, plane: Plane) -> str:
    """The switch's end of a node's link."""
    return f"{node}-{plane[:4]}"


def bridge(plane: Plane) -> str:
    return f"br-{plane[:4]}"


def bed_of(name: str) -> int | None:
    """The number of the bed whose namespace, link or cgroup has this name; None if it is nobody's."""
    found = _NAMED.fullmatch(name)
    return int(found[1]) if found else None


def _number(node: str) -> int:
    return _STORAGE_BOX_NUMBER if node == STORAGE_BOX else _FIRST_HOST + int(node.removeprefix("h"))


assert 4 * BEDS <= 256
assert _FIRST_HOST + HOSTS < _STORAGE_BOX_NUMBER
