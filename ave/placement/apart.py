"""Can these all be apart? Names that need a host each, and the hosts on which each may be: a matching, or a bounded search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import networkx

SEARCH_STEPS: Final = 5_000  # then nothing is claimed …
SEARCHED_NAMES: Final = 200  # … nor is it of more names than these: as deep is the recursion

Hosts = frozenset[str]


def unmatched(hosts: Mapping[str, Hosts]) -> dict[str, None]:
    """Of names that must all be on different hosts, some that have fewer hosts than they are; none: all find one."""
    import networkx

    tight = _tight(hosts)
    # Nodes are numbers: the library walks through sets of them, and of strings each process has an order of its own.
    place = {host: len(tight) + number for number, host in enumerate(sorted(frozenset[str]().union(*hosts.values())))}
    graph: networkx.Graph[int] = networkx.Graph()
    graph.add_nodes_from(range(len(tight)))
    graph.add_edges_from((number, place[host]) for number, name in enumerate(tight) for host in sorted(hosts[name]))
    matching = networkx.bipartite.hopcroft_karp_matching(graph, range(len(tight)))
    alone = next((number for number in range(len(tight)) if number not in matching), None)
    if alone is None:
        return {}
    stuck, waiting = {alone: None}, [alone]
    while waiting:  # whoever sits where one of them might go cannot give way either
        for host in sorted(hosts[tight[waiting.pop()]]):
            other = matching[place[host]]
            if other not in stuck:
                stuck[other] = None
                waiting.append(other)
    names = {tight[number]: None for number in stuck}
    return {name: None for name in hosts if name in names}


def _tight(hosts: Mapping[str, Hosts]) -> list[str]:
    """Without those that find a host whatever the others do: who has as many to choose from as there are others left."""
    left = sorted(hosts, key=lambda name: (len(hosts[name]), name))
    while left and len(hosts[left[-1]]) >= len(left):
        left.pop()
    return left


def core(cliques: Mapping[str, Sequence[str]], hosts: Mapping[str, Hosts]) -> tuple[str, ...]:
    """Of sets of names that must be apart, by id: a smallest part that cannot all be so; none: they can, or it is not known."""
    if _possible(cliques, hosts):
        return ()
    least = dict(cliques)
    for id in cliques:
        fewer = {other: names for other, names in least.items() if other != id}
        if not _possible(fewer, hosts):
            least = fewer
    return tuple(least)


def _possible(cliques: Mapping[str, Sequence[str]], hosts: Mapping[str, Hosts]) -> bool:
    apart: dict[str, dict[str, None]] = {}
    for names in cliques.values():
        for name in names:
            apart.setdefault(name, {}).update((other, None) for other in names if other != name)
    return _Search(_hard(apart, hosts), {name: dict.fromkeys(sorted(hosts[name])) for name in apart}).possible()


def _hard(apart: Mapping[str, Mapping[str, None]], hosts: Mapping[str, Hosts]) -> dict[str, dict[str, None]]:
    """Without those that find a host whatever their neighbours do, one after the other."""
    left = {name: dict(others) for name, others in apart.items()}
    easy = [name for name, others in left.items() if len(hosts[name]) > len(others)]
    while easy:
        name = easy.pop()
        for other in left.pop(name):
            del left[other][name]
            if len(hosts[other]) == len(left[other]) + 1:
                easy.append(other)
    return left


class _Search:
    """Give each name a host that no neighbour has: whoever has the fewest left to choose from first."""

    def __init__(self, apart: Mapping[str, Mapping[str, None]], hosts: Mapping[str, dict[str, None]]) -> None:
        self._apart = apart
        self._left = {name: dict(hosts[name]) for name in apart}
        self._waiting = dict.fromkeys(apart)
        self._steps = 0

    def possible(self) -> bool:
        """Also if it is not known."""
        self._steps += 1
        if not self._waiting or self._steps > SEARCH_STEPS or len(self._apart) > SEARCHED_NAMES:
            return True
        name = min(self._waiting, key=lambda name: (len(self._left[name]), name))
        del self._waiting[name]
        for host in self._left[name]:
            hit = [other for other in self._apart[name] if other in self._waiting and host in self._left[other]]
            for other in hit:
                del self._left[other][host]
            if self.possible():
                return True
            for other in hit:
                self._left[other][host] = None
        self._waiting[name] = None
        return False
