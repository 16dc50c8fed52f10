"""A host that comes back again and again: it is given no VMs until it has stood for half an hour.

No time is stored, none is compared between hosts. The host counts its returns in its own document, each in the commit by
which it joins; the leader sets the count back once it has seen the host stand long enough by its own clock. A return cannot
escape it, since each is a new epoch; a leader that is new begins to count anew, which only prolongs a quarantine.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ave.model.host import Host, HostState
from ave.model.states import move

RETURNS_MAX = 2  # the return from which a host is not trusted: its third loss, and a third restart, find no VM there
STEADY_SECONDS = 300.0  # so long it must stand for a return not to count with the next one …
QUARANTINE_SECONDS = 1800.0  # … and so long to be trusted again


def returned(host: Host) -> Host:
    """A host that has cleared itself: may it have VMs?"""
    if host.returns < RETURNS_MAX:
        return move(host, HostState.ONLINE, f"cleared to run VMs, epoch {host.epoch}")
    why = f"came back {host.returns} times without standing for {STEADY_SECONDS:g} s"
    return move(host, HostState.QUARANTINED, f"{why}, epoch {host.epoch}")


class Standing:
    """Since when, by this watcher's clock, each host that has returned has not done so again."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[int, float]] = {}  # host -> its epoch, and when that was first seen

    def look(self, hosts: Mapping[str, Host], now: float) -> list[Host]:
        """The hosts that are to be trusted again, as they shall be, in the order of their names."""
        trusted = []
        back = [name for name, host in hosts.items() if host.returns]
        self._since = {name: self._since[name] for name in back if name in self._since}
        for name in sorted(back):
            host = hosts[name]
            epoch, since = self._since.get(name, (0, 0.0))
            if epoch != host.epoch:
                self._since[name] = host.epoch, now
            elif now - since >= STEADY_SECONDS and host.state is HostState.ONLINE:
                trusted.append(msgspec.structs.replace(host, returns=0))
            elif now - since >= QUARANTINE_SECONDS and host.state is HostState.QUARANTINED:
                trusted.append(move(host, HostState.ONLINE, f"has stood for {QUARANTINE_SECONDS:g} s", returns=0))
        return trusted
