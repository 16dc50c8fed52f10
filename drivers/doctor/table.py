"""Every check, in the order in which they are shown: what others rest on comes first."""

from __future__ import annotations

from drivers.doctor import box, clock, files, host, hypervisor, kvm, reach, store

CHECKS = (
    *files.ROWS,
    *host.ROWS,
    *clock.ROWS,
    *store.ROWS,
    *kvm.ROWS,
    *hypervisor.ROWS,
    *reach.ROWS,
    *box.ROWS,
)
