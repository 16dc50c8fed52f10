"""Which must rules are broken by where VMs are now: by VMs that were there before the rule, or that it caught on their way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ave.model.group import Aspect, Group
from ave.placement.contradictions import listed
from ave.placement.view import View


class Violation(NamedTuple):
    group: str
    vms: tuple[str, ...]  # that are where they must not be, or apart, or together
    hosts: tuple[str, ...]  # where they are
    why: str


def violations(view: View) -> list[Violation]:
    """Of every enabled must rule, by group. A VM on its way counts at both ends; one that runs nowhere breaks nothing."""
    musts = sorted(
        (group for group in view.bonds.groups if group.enabled and group.rule.must), key=lambda group: group.id
    )
    return [violation for group in musts for violation in broken_by(group, view)]


def broken_by(group: Group, view: View) -> Iterator[Violation]:
    """How this group's rule is broken, whether it is enabled or not."""
    there: dict[str, list[str]] = {}  # host -> the VMs of the group that are there
    for vm in group.vms:
        for host in view.seats(vm).hosts:
            there.setdefault(host, []).append(vm)
    match group.rule.aspect:
        case Aspect.SAME_HOST:
            wrong = [tuple(there)] if len(there) > 1 else []
        case Aspect.DIFFERENT_HOSTS:
            wrong = [(host,) for host, vms in there.items() if len(vms) > 1]
        case _:
            bad = tuple(host for host in there if not _allows(group, host, view))
            wrong = [bad] if bad else []
    for hosts in wrong:
        vms = tuple(dict.fromkeys(vm for host in hosts for vm in there[host]))
        are = "is" if len(vms) == 1 else "are"
        why = f"{listed(vms)} {group.phrase}, and {are} on {listed(hosts)}"
        yield Violation(group.id, vms, hosts, why)


def _allows(group: Group, host: str, view: View) -> bool:
    match group.rule.aspect:
        case Aspect.HOSTS:
            return host in group.hosts
        case Aspect.NOT_HOSTS:
            return host not in group.hosts
        case Aspect.ZONE:
            return host in view.rows and int(view.zone[view.rows[host]]) == view.zone_code(group.zone)
    return True
