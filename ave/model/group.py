"""A placement group: a rule about where its VMs may be."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from ave.model.access import DEFAULT_TENANT
from ave.model.states import Table


class GroupState(StrEnum):
    DISABLED = "disabled"
    ENABLED = "enabled"


G = GroupState
GROUP = Table(
    noun="placement group",
    start=(G.DISABLED, G.ENABLED),
    phrases={G.DISABLED: "defined, but binds nobody", G.ENABLED: "binds every placement of its VMs"},
    moves={G.DISABLED: (G.ENABLED,), G.ENABLED: (G.DISABLED,)},
)


class Rule(StrEnum):
    MUST_HOSTS = "must-hosts"
    MUST_NOT_HOSTS = "must-not-hosts"
    PREFER_HOSTS = "prefer-hosts"
    PREFER_NOT_HOSTS = "prefer-not-hosts"
    MUST_SAME_HOST = "must-same-host"
    MUST_DIFFERENT_HOSTS = "must-different-hosts"
    PREFER_SAME_HOST = "prefer-same-host"
    PREFER_DIFFERENT_HOSTS = "prefer-different-hosts"
    MUST_ZONE = "must-zone"
    PREFER_ZONE = "prefer-zone"

    @property
    def must(self) -> bool:
        """A rule that is never broken; the others only rank."""
        return self.startswith("must-")

    @property
    def aspect(self) -> Aspect:
        return Aspect(self.partition("-")[2])


class Aspect(StrEnum):
    """What a rule is about, whether it binds or only ranks."""

    HOSTS = "hosts"
    NOT_HOSTS = "not-hosts"
    SAME_HOST = "same-host"
    DIFFERENT_HOSTS = "different-hosts"
    ZONE = "zone"

    @property
    def names_hosts(self) -> bool:
        return self in (Aspect.HOSTS, Aspect.NOT_HOSTS)

    @property
    def phrase(self) -> str:
        return _PHRASES[self]


_PHRASES = {
    Aspect.HOSTS: "on {places}",
    Aspect.NOT_HOSTS: "not on {places}",
    Aspect.SAME_HOST: "together on one host",
    Aspect.DIFFERENT_HOSTS: "each on a host of its own",
    Aspect.ZONE: "in zone {places}",
}


class Group(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    version: int = 0
    state: GroupState = GroupState.DISABLED
    story: tuple[str, ...] = ()
    rule: Rule
    vms: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()  # hosts or a zone, never both
    zone: str = ""
    tenant: str = DEFAULT_TENANT
    said_by: str = ""  # the Job that last said what it is; membership also comes and goes with VMs

    @property
    def table(self) -> Table:
        return GROUP

    @property
    def enabled(self) -> bool:
        return self.state is GroupState.ENABLED

    @property
    def phrase(self) -> str:
        """The rule in words: "must be on host-1 or host-2"."""
        word = "must be" if self.rule.must else "should be"
        return f"{word} {self.rule.aspect.phrase.format(places=self.zone or ' or '.join(self.hosts))}"


def tied(groups: Iterable[Group], among: Iterable[str]) -> list[tuple[str, ...]]:
    """These VMs in parties that must be on one host, each in the order given, by the rules that are enabled."""
    import networkx  # takes as long as a whole command, most of which meet no group

    names = list(dict.fromkeys(among))
    bound: networkx.Graph[str] = networkx.Graph()
    bound.add_nodes_from(names)
    for group in groups:
        if group.enabled and group.rule is Rule.MUST_SAME_HOST:
            networkx.add_path(bound, [vm for vm in group.vms if vm in bound])
    party_of = {vm: number for number, party in enumerate(networkx.connected_components(bound)) for vm in party}
    parties: dict[int, list[str]] = {}
    for vm in names:
        parties.setdefault(party_of[vm], []).append(vm)
    return [tuple(party) for party in parties.values()]
