"""Nicer words for a command line. A noun or a verb without a line here has its own name."""

from __future__ import annotations

from collections.abc import Mapping

NOUN_ALIASES: Mapping[str, tuple[str, ...]] = {"network": ("net",)}
VERBS: Mapping[str, tuple[str, ...]] = {
    "list": ("ls", "list"),
    "job.log": ("logs", "log"),
    "vm.shutdown": ("shutdown", "stop"),
    "vm.poweroff": ("poweroff", "destroy"),
    "host.enter-maintenance": ("drain", "enter-maintenance"),
    "host.exit-maintenance": ("undrain", "exit-maintenance"),
}
# Commands without a noun, for fingers that know virsh.
VIRSH: Mapping[str, str] = {
    "list": "vm.list",
    "shutdown": "vm.shutdown",
    "destroy": "vm.poweroff",
    "dominfo": "vm.show",
}
