"""What a cluster of few hosts cannot promise, in words for its operator."""

from __future__ import annotations

from collections.abc import Iterable

from ave.model.host import Host

MAJORITY = 3  # masters of which one may be lost


def not_promised(hosts: Iterable[Host]) -> list[str]:
    known = list(hosts)
    masters = sum(host.master for host in known)
    lacking = []
    if len(known) < 2:
        lacking.append("no VM is started elsewhere: there is no other host, so VMs run again when this one does")
    if masters < MAJORITY:
        few = "one master host" if masters == 1 else f"{masters} master hosts"
        lacking.append(
            f"no VM is rescued when a master host is lost: of {few} none may be missing, or nobody may revoke a lease; "
            f"{MAJORITY} can lose one"
        )
    return lacking
