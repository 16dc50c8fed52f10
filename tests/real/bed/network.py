"""Three bridges in a namespace of their own, and a link from each node to those it is plugged into."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tests.real.bed.command import run, tried, until
from tests.real.bed.names import PLANES, SWITCH, Names, Plane, bridge, port

# The node's end of each link. On a host the VM network has no address: guests are joined to it by a bridge.
LINKS: dict[Plane, str] = {"management": "mgmt0", "storage": "stor0", "vm": "vm0"}
VM_BRIDGE = "br-vm"
CARRIES_SECONDS = 10.0  # the kernel tells a bridge of a carrier at most once a second


class Fabric:
    def __init__(self, names: Names) -> None:
        self._names = names
        self._switch = names.namespace(SWITCH)

    def up(self) -> None:
        """The bridges, and a link by which this machine itself reaches the management network."""
        run("ip", "netns", "add", self._switch)
        lines = ["link set lo up"]
        for plane in PLANES:
            lines += [f"link add {bridge(plane)} type bridge", f"link set {bridge(plane)} up"]
        self._batch(self._switch, lines)
        link, end = self._names.runner_link, "runner"
        run("ip", "link", "add", link, "type", "veth", "peer", "name", end, "netns", self._switch)
        run("ip", "address", "add", f"{self._names.runner_address}/24", "dev", link)
        run("ip", "link", "set", link, "up")
        self._batch(self._switch, [f"link set {end} master {bridge('management')} up"])

    def plug(self, node: str, planes: tuple[Plane, ...]) -> None:
        """A new network namespace for that node, with a link into each of these networks."""
        inner = self._names.namespace(node)
        run("ip", "netns", "add", inner)
        inside, outside = ["link set lo up"], []
        for plane in planes:
            link, mac = LINKS[plane], self._names.mac(node, plane)
            inside.append(f"link add {link} address {mac} type veth peer name {port(node, plane)} netns {self._switch}")
            outside.append(f"link set {port(node, plane)} master {bridge(plane)} up")
            if plane == "vm":
                inside += [f"link add {VM_BRIDGE} type bridge", f"link set {link} master {VM_BRIDGE}"]
                inside.append(f"link set {VM_BRIDGE} up")
            else:
                inside.append(f"address add {self._names.address(node, plane)}/24 dev {link}")
            inside.append(f"link set {link} up")
        self._batch(inner, inside)
        self._batch(self._switch, outside)

    def unplug(self, node: str) -> None:
        """Its links and its namespace; nothing that it says from now on reaches anybody."""
        for plane in PLANES:
            tried("ip", "-n", self._switch, "link", "delete", port(node, plane))
        tried("ip", "netns", "delete", self._names.namespace(node))

    def turn(self, node: str, plane: Plane, *, up: bool) -> None:
        """As with a cable that is pulled: both ends see that the carrier is lost, and nothing else is said."""
        self._batch(self._switch, [f"link set {port(node, plane)} {'up' if up else 'down'}"])

    def wait_until_carrying(self, node: str, planes: Iterable[Plane]) -> None:
        """Until the switch forwards to that node: what is sent before is lost."""
        wanted = {port(node, plane) for plane in planes}
        until(lambda: wanted <= self._forwarding(), f"the switch forwards to {node}", CARRIES_SECONDS)

    def _forwarding(self) -> set[str]:
        told = json.loads(run("ip", "-n", self._switch, "-json", "-details", "link", "show", "type", "bridge_slave"))
        states = {each["ifname"]: each["linkinfo"]["info_slave_data"]["state"] for each in told if each}
        return {name for name, state in states.items() if state == "forwarding"}

    def _batch(self, namespace: str, lines: list[str]) -> None:
        run("ip", "-n", namespace, "-batch", "-", given="\n".join(lines) + "\n")
