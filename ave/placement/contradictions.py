"""Must rules that can never be kept together, found before any VM suffers. Room is not asked about: it comes and goes.

VMs that must share a host are one tie, and a tie can only be where the rules about hosts and zones of all its VMs let it. What
is left to ask is whether the ties that must be apart can be: group by group that is a matching, across groups a search.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from ave.model.group import Aspect, Group
from ave.model.host import Host
from ave.placement.apart import core, unmatched

if TYPE_CHECKING:
    import networkx

NAMED: Final = 10  # of VMs or hosts in a sentence

Hosts = frozenset[str]


class Tie(NamedTuple):
    """VMs that must share a host."""

    vms: tuple[str, ...]
    hosts: Hosts  # where all of them may be
    limits: tuple[str, ...]  # the groups that tie them together or keep them from other hosts

    @property
    def name(self) -> str:
        return " + ".join(self.vms)


def contradictions(groups: Iterable[Group], hosts: Iterable[Host]) -> list[str]:
    """What the enabled ones among these rules make impossible, in words, by group and VM; nothing: all can be kept at once.

    A host counts in whatever state it is: it may come back. That rules which overlap cannot be kept is said if it is found out
    within a bounded search; what takes longer is let pass, and shows when a VM is placed.
    """
    musts = sorted((group for group in groups if group.enabled and group.rule.must), key=lambda group: group.id)
    rules = _Rules(musts, {host.id: host.zone for host in hosts})
    found: list[str] = []
    ties: dict[str, Tie] = {}  # by VM
    hopeless: dict[str, None] = {}  # VMs of which enough is said
    for mates, through in _components(musts):
        tie, whys = _tie(mates, through, rules)
        ties |= dict.fromkeys(mates, tie)
        found += whys
        hopeless |= dict.fromkeys(mates if whys else ())
    apart = [group for group in musts if group.rule.aspect is Aspect.DIFFERENT_HOSTS]
    for group in apart:
        open_ties = _ties_of(group, ties, hopeless)
        if stuck := unmatched({tie.name: tie.hosts for tie in open_ties}):
            found.append(_too_few(group, [tie for tie in open_ties if tie.name in stuck]))
            hopeless |= dict.fromkeys(vm for tie in open_ties for vm in tie.vms)
    return found + _overlapping(apart, ties, hopeless)


def _components(musts: Sequence[Group]) -> Iterator[tuple[tuple[str, ...], networkx.Graph[str]]]:
    """The VMs of these groups, those together that must share a host, with what ties them: an edge knows its group."""
    import networkx  # not with the module: whoever only words a refusal needs none of it

    bound: networkx.Graph[str] = networkx.Graph()
    for group in musts:
        bound.add_nodes_from(group.vms)
        if group.rule.aspect is Aspect.SAME_HOST:
            for one, other in pairwise(group.vms):
                if not bound.has_edge(one, other):
                    bound.add_edge(one, other, group=group.id)
    for vms in sorted(tuple(sorted(component)) for component in networkx.connected_components(bound)):
        yield vms, bound


class _Rules:
    """The must rules by VM, and where each lets its VMs be."""

    def __init__(self, musts: Sequence[Group], zone_of: Mapping[str, str]) -> None:
        self.everywhere: Hosts = frozenset(zone_of)
        self.allowed = {group.id: _allowed(group, zone_of) for group in musts}
        self._of: dict[str, dict[str, Group]] = {}
        for group in musts:
            for vm in group.vms:
                self._of.setdefault(vm, {})[group.id] = group

    def about(self, vms: Iterable[str]) -> list[Group]:
        known = {id: group for vm in vms for id, group in self._of[vm].items()}
        return [known[id] for id in sorted(known)]


def _tie(vms: tuple[str, ...], through: networkx.Graph[str], rules: _Rules) -> tuple[Tie, list[str]]:
    members, about, left = dict.fromkeys(vms), rules.about(vms), rules.everywhere
    for group in about:
        if (allowed := rules.allowed[group.id]) is not None:
            left = left & allowed
    limits = tuple(group.id for group in about if group.rule.aspect is not Aspect.DIFFERENT_HOSTS)
    tie = Tie(vms, left, limits)
    whys = [why for group in about if (why := _torn(group, members, through))]
    zones = {group.zone: group for group in about if group.rule.aspect is Aspect.ZONE}
    if len(zones) > 1:
        one, other = [zones[name] for name in sorted(zones)][:2]
        first, second = _part(one, members), _part(other, members)
        return tie, [*whys, f"{first} {one.phrase} ({one.id}), and {second} {other.phrase} ({other.id})" + _tied(tie)]
    if not left and rules.everywhere:
        said = "; ".join(f"{group.id}: {_part(group, members)} {group.phrase}" for group in about if group.id in limits)
        whys.append(f"no host is left for {listed(vms)} ({said})")
    return tie, whys


def _allowed(group: Group, zone_of: Mapping[str, str]) -> Hosts | None:
    """The hosts on which its VMs may be; None: on any, as far as this one goes."""
    match group.rule.aspect:
        case Aspect.HOSTS:
            return frozenset(host for host in group.hosts if host in zone_of)
        case Aspect.NOT_HOSTS:
            return frozenset(host for host in zone_of if host not in group.hosts)
        case Aspect.ZONE:
            return frozenset(host for host, zone in zone_of.items() if zone == group.zone)
    return None


def _torn(group: Group, members: Mapping[str, None], through: networkx.Graph[str]) -> str:
    """Does this group keep two VMs of one tie apart?"""
    both = [vm for vm in group.vms if vm in members]
    if group.rule.aspect is not Aspect.DIFFERENT_HOSTS or len(both) < 2:
        return ""
    import networkx

    path = networkx.shortest_path(through, both[0], both[1])
    ties = dict.fromkeys(through.edges[edge]["group"] for edge in pairwise(path))
    return f"{both[0]} and {both[1]} must be on one host ({', '.join(ties)}), and must not ({group.id})"


def _ties_of(group: Group, ties: Mapping[str, Tie], hopeless: Mapping[str, None]) -> list[Tie]:
    return list({ties[vm].name: ties[vm] for vm in group.vms if vm not in hopeless}.values())


def _too_few(group: Group, stuck: Sequence[Tie]) -> str:
    hosts = sorted(host for host in frozenset[str]().union(*(tie.hosts for tie in stuck)))
    limits = dict.fromkeys(name for tie in stuck for name in tie.limits)
    by = f", by {listed(limits)}" if limits else ""
    names = [tie.name for tie in stuck]
    there = (
        f"there is only {listed(hosts)}" if len(hosts) == 1 else f"there are only {len(hosts)} hosts, {listed(hosts)}"
    )
    return f"{listed(names)} must be each on a host of its own ({group.id}), and for these {len(names)} {there}{by}"


def _overlapping(apart: Sequence[Group], ties: Mapping[str, Tie], hopeless: Mapping[str, None]) -> list[str]:
    """Groups that could each be kept, but not all at once."""
    of = {group.id: _ties_of(group, ties, hopeless) for group in apart}
    hosts = {tie.name: tie.hosts for each in of.values() for tie in each}
    cliques = {id: tuple(tie.name for tie in each) for id, each in of.items() if len(each) > 1}
    found: list[str] = []
    for together in _connected(cliques):
        if len(together) > 1 and (least := core({id: cliques[id] for id in together}, hosts)):
            names = dict.fromkeys(name for id in least for name in cliques[id])
            limits = dict.fromkeys(limit for id in least for tie in of[id] for limit in tie.limits)
            beside = f", while {listed(limits)} are kept" if limits else ""
            found.append(f"{', '.join(least)} cannot all be kept{beside}: there are too few hosts for {listed(names)}")
    return found


def _connected(cliques: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """Groups that have ties in common, directly or through others."""
    import networkx

    shared: networkx.Graph[tuple[str, str]] = networkx.Graph()
    for id, names in cliques.items():
        shared.add_edges_from((("group", id), ("tie", name)) for name in names)
    for component in networkx.connected_components(shared):
        yield tuple(sorted(id for kind, id in component if kind == "group"))


def _part(group: Group, members: Mapping[str, None]) -> str:
    return listed([vm for vm in group.vms if vm in members])


def _tied(tie: Tie) -> str:
    return f", and {listed(tie.vms)} must be on one host" if len(tie.vms) > 1 else ""


def listed(names: Iterable[str]) -> str:
    all = list(names)
    more = f" and {len(all) - NAMED} more" if len(all) > NAMED else ""
    return ", ".join(all[:NAMED]) + more
