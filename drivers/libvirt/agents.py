"""Guests of which something is heard: their agents are asked now and then, one by one, in threads.

An agent is expected to answer from the moment at which it was first seen connected; a guest without one is never silent.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

import libvirt
import libvirt_qemu

from ave.errors import Refused, Unavailable
from drivers.libvirt import counters, xml
from drivers.libvirt.domains import Domains, Here
from drivers.libvirt.link import is_alive

PING = '{"execute":"guest-ping"}'
ANSWER_SECONDS = 10.0  # for whatever it is asked
PING_SECONDS = 2  # for an agent to answer: a guest that is only slow says something by and by


class Agents:
    def __init__(self, domains: Domains) -> None:
        self._domains = domains
        self._heard: dict[tuple[str, int], float] = {}  # (VM, epoch): when, by the clock of this process

    def ask(self) -> None:
        """Every guest that runs; an answer that takes long is none. Unavailable if not all are known."""
        running = [here for here in self._domains.known() if here.active and not here.standing]
        found = {(here.vm, here.epoch) for here in running}
        self._heard = {who: when for who, when in self._heard.items() if who in found}
        for here in running:
            who = (here.vm, here.epoch)
            if not self.is_connected(here):
                self._heard.pop(who, None)  # it begins anew, or has none
            elif self.answers(here) or who not in self._heard:
                self._heard[who] = time.monotonic()

    def silent(self, seconds: float) -> dict[str, int]:
        """VMs, and of which epoch, that were heard once and not for so long."""
        now = time.monotonic()
        return {vm: epoch for (vm, epoch), when in self._heard.items() if now - when >= seconds}

    def silence(self, vm: str, epoch: int) -> float:
        """Seconds since it was last heard, as far as it was asked; 0 for one that never says anything."""
        when = self._heard.get((vm, epoch))
        return 0.0 if when is None else time.monotonic() - when

    def asked(self, vm: str, command: str, arguments: Mapping[str, object]) -> object:
        """Its answer. Neither that nor the question is in any error: passwords may be among them."""
        here = counters.present(self._domains, vm)
        if here.standing or not self.is_connected(here):
            raise Unavailable(f"the agent of {vm} is not connected, or its guest stands still")
        words = json.dumps({"execute": command, **({"arguments": arguments} if arguments else {})})
        try:
            answer = libvirt_qemu.qemuAgentCommand(here.domain, words, int(ANSWER_SECONDS), 0)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_INTERNAL_ERROR and is_alive(self._domains.link.connection()):
                raise Refused(f"the agent of {vm} refuses {command}") from None
            raise Unavailable(f"the agent of {vm} does not answer {command}") from None
        return json.loads(answer)["return"]

    def is_connected(self, here: Here) -> bool:
        root = self._domains.xml_of(here, 0)
        target = root.find(f"devices/channel/target[@name='{xml.AGENT}']")
        return target is not None and target.get("state") == "connected"

    def answers(self, here: Here) -> bool:
        try:
            libvirt_qemu.qemuAgentCommand(here.domain, PING, PING_SECONDS, 0)
        except libvirt.libvirtError:
            return False
        return True
