"""The services of a host, by which its configuration names them."""

from __future__ import annotations

from collections.abc import Mapping

# What may be run by itself, and what it needs beside it.
SERVICES: Mapping[str, tuple[str, ...]] = {
    "lease": (),  # the storage lease, and what must stand still when it ends
    "jobs": (),  # the Job Center: Worker everywhere, Job Recovery and timetable on master hosts
    "scheduler": ("lease", "jobs"),  # on master hosts: who is Active places VMs
    "monitor": ("lease", "jobs", "scheduler"),  # on master hosts: judges hosts and rescues their VMs
}
