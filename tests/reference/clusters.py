"""Random clusters from a seed, small and odd: full hosts, ties, groups, zones, pins and limits. Cheaper than hypothesis'."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from ave.model.group import Aspect, Group, GroupState, Rule
from ave.model.host import Host, HostState, Zone
from ave.model.vm import PRIORITIES, VM, VMState
from ave.placement.explanation import Choice
from ave.placement.purpose import Purpose
from ave.placement.view import View
from tests.reference import placement as reference

NETWORKS = ("back", "front", "san")
MODELS = ("any", "any", "new", "old")
ZONES = ("east", "west")
HOSTS = tuple(f"h{n}" for n in range(7))
RULES, STATES, VM_STATES = tuple(Rule), tuple(HostState), tuple(VMState)


class Made(NamedTuple):
    hosts: tuple[Host, ...]
    vms: tuple[VM, ...]  # on hosts, on their way, or nowhere
    new: tuple[VM, ...]  # to be placed
    groups: tuple[Group, ...]
    primary: tuple[str, ...]

    def by_the_plain_rules(self, vm: VM, purpose: Purpose) -> Choice:
        return reference.place(self.hosts, self.vms, vm, purpose, groups=self.groups, primary=self.primary)

    def view(self) -> View:
        seen = View()
        for zone in self.primary:
            seen.put_zone(Zone(id=zone, primary=True))
        for group in self.groups:
            seen.bonds.put(group)
        for host in self.hosts:
            seen.put_host(host)
        for vm in self.vms:
            seen.put_vm(vm)
        return seen


def some_cluster(seed: object, most_new: int = 4) -> Made:
    random = Random(f"cluster/{seed}")
    hosts = tuple(_host(random, name) for name in random.sample(HOSTS, random.randrange(7)))
    vms = tuple(_vm(random, f"v{n}", HOSTS) for n in range(random.randrange(13)))
    new = tuple(_vm(random, f"new{n}", HOSTS) for n in range(1 + random.randrange(most_new)))
    # Now and then one that is there already is placed anew.
    new = (*new, *random.sample(vms, min(len(vms), random.randrange(3))))
    groups = tuple(
        _group(random, f"g{n}", list(dict.fromkeys(vm.id for vm in (*vms, *new)))) for n in range(random.randrange(5))
    )
    return Made(hosts, vms, new, groups, random.choice(((), ("east",), ("east", "west"))))


def _host(random: Random, name: str) -> Host:
    return Host(
        id=name,
        state=HostState.ONLINE if random.random() < 0.8 else random.choice(STATES),
        cpus=random.choice((8, 16, random.randrange(1, 200))),
        memory_mib=random.choice((32, 64, random.randrange(8, 100), 2**26 - random.randrange(4))),
        reserve_mib=random.randrange(9),
        cpu_model=random.choice(MODELS),
        networks=random.choice((NETWORKS, tuple(random.sample(NETWORKS, random.randrange(4))))),
        zone=random.choice(ZONES),
        exclusive_cpus=random.choice((0, 4, 8, 40)),
        nics_max=random.choice((0, 0, 0, 1, 3)),
        volumes_max=random.choice((0, 0, 0, 1, 3)),
    )


def _vm(random: Random, name: str, hosts: tuple[str, ...]) -> VM:
    return VM(
        id=name,
        state=random.choice(VM_STATES),
        vcpus=random.choice((1, 2, 4, 8, 16)),
        memory_mib=random.choice((1, 2, 4, 8, 16, random.randrange(1, 40))),
        cpu_model=random.choice(MODELS),
        networks=random.choice(((), (), tuple(random.sample(NETWORKS, random.randrange(4))))),
        priority=random.choice(PRIORITIES),
        pinned=random.random() < 0.3,
        unpinned=random.random() < 0.5,
        volumes=random.choice(((), (), ("a",), ("a", "b"))),
        host=random.choice(("", random.choice(hosts))),
        reserved=random.choice(("", "", random.choice(hosts))),
    )


def _group(random: Random, name: str, vms: list[str]) -> Group:
    rule = random.choice(RULES)
    places = rule.aspect in (Aspect.HOSTS, Aspect.NOT_HOSTS)
    return Group(
        id=name,
        state=GroupState.ENABLED if random.random() < 0.8 else GroupState.DISABLED,
        rule=rule,
        vms=tuple(random.sample(vms, min(len(vms), random.randrange(9)))),
        hosts=tuple(random.sample(HOSTS, 1 + random.randrange(5))) if places else (),
        zone=random.choice(ZONES) if rule.aspect is Aspect.ZONE else "",
    )
