"""The Splitters of the network verbs: which state and which request lead to what, and that nothing else is touched."""

import itertools

import pytest

from ave.errors import Refused
from ave.jobs.verb import Found
from ave.model.cluster import lock_name
from ave.model.network import INTERNAL, VLAN_MAX, Network, NetworkState
from ave.network.delete import DELETE
from ave.network.describe import CREATE, EDIT
from ave.operations import DescribedNetwork, DescribeNetworks, NameNetworks
from ave.ports.store import Insert, Replace

ABSENT = None
HELD = "held"
WHAT_THERE_MAY_BE = [ABSENT, HELD, *(Network(id="n", vlan=7, version=3, state=state) for state in NetworkState)]
IDS = ["absent", "held", *NetworkState]
WANTED = DescribeNetworks(networks=(DescribedNetwork(id="n", vlan=12, trunk=(20, 21)),))


def found(there):
    return Found({} if there == HELD else {(Network, "n"): there})


@pytest.mark.parametrize("there", WHAT_THERE_MAY_BE, ids=IDS)
def test_a_network_is_declared_exactly_if_there_is_none(there):
    split = CREATE.split(WANTED, found(there))
    assert split.steps == {}
    if there is ABSENT:
        assert split.writes == (Insert(Network(id="n", vlan=12, trunk=(20, 21))),)
        assert split.results["n"].ok
    else:
        assert split.writes == ()
        assert not any(result.ok for result in split.results.values())
        assert bool(split.results) is (there != HELD)


@pytest.mark.parametrize("there", WHAT_THERE_MAY_BE, ids=IDS)
def test_a_network_is_edited_exactly_if_it_is_active(there):
    split = EDIT.split(WANTED, found(there))
    assert split.steps == {}
    if there not in (ABSENT, HELD) and there.state is NetworkState.ACTIVE:
        assert split.writes == (Replace(Network(id="n", version=3, vlan=12, trunk=(20, 21))),)
        assert split.results["n"].ok
    else:
        assert split.writes == ()
        assert not any(result.ok for result in split.results.values())


@pytest.mark.parametrize("there", WHAT_THERE_MAY_BE, ids=IDS)
def test_a_network_is_deleted_in_any_state_and_nothing_is_written_before_its_task(there):
    split = DELETE.split(NameNetworks(networks=("n",)), found(there))
    assert split.writes == ()
    if there in (ABSENT, HELD):
        assert split.steps == {}
        assert bool(split.results) is (there is ABSENT)
    else:
        (step,) = split.steps.values()
        assert (step.function, step.resource, step.undo) == ("network.delete", "n", "network.keep")


def test_the_hosts_own_networks_are_declared_together_or_not_at_all():
    """Whatever else is asked for: after every request there are both of them or neither."""
    asked = [*INTERNAL, "web"]
    for count in range(1, len(asked) + 1):
        for names in itertools.permutations(asked, count):
            request = DescribeNetworks(networks=tuple(DescribedNetwork(id=name) for name in names))
            split = CREATE.split(request, Found({(Network, name): None for name in names}))
            made = {write.doc.id for write in split.writes if isinstance(write, Insert)}
            assert len(made & set(INTERNAL)) in (0, 2)
            assert ("web" in made) is ("web" in names)
            for name in set(names) - made:
                assert "declare it together with" in split.results[name].why


def test_of_the_hosts_own_networks_none_is_declared_if_the_other_is_held():
    request = DescribeNetworks(networks=tuple(DescribedNetwork(id=name) for name in INTERNAL))
    for free in INTERNAL:
        assert CREATE.split(request, Found({(Network, free): None})).writes == ()


@pytest.mark.parametrize("name", INTERNAL)
def test_the_hosts_own_networks_are_edited_but_never_deleted(name):
    there = Found({(Network, name): Network(id=name)})
    split = DELETE.split(NameNetworks(networks=(name,)), there)
    assert split.steps == {}
    assert "the hosts' own" in split.results[name].why
    assert EDIT.split(DescribeNetworks(networks=(DescribedNetwork(id=name, vlan=9),)), there).results[name].ok


@pytest.mark.parametrize("verb", [CREATE, EDIT], ids=lambda verb: verb.operation)
@pytest.mark.parametrize(
    ("vlan", "trunk", "legal"),
    [
        (0, (), True),
        (VLAN_MAX, (), True),
        (-1, (), False),
        (VLAN_MAX + 1, (), False),
        (1, (0, VLAN_MAX), True),
        (1, (2, -1), False),
        (1, (VLAN_MAX + 1,), False),
        (1, (5, 6, 5), False),
    ],
)
def test_vlans_are_in_bounds_and_named_once(verb, vlan, trunk, legal):
    request = DescribeNetworks(networks=(DescribedNetwork(id="n", vlan=vlan, trunk=trunk),))
    if legal:
        verb.split(request, found(ABSENT))
    else:
        with pytest.raises(Refused, match="network n: "):
            verb.split(request, found(ABSENT))


@pytest.mark.parametrize("name", ["", "a/b", "x" * 129, "a\nb"])
def test_a_name_must_be_one_that_can_be_locked_and_printed(name):
    with pytest.raises(Refused, match="network name"):
        CREATE.split(DescribeNetworks(networks=(DescribedNetwork(id=name),)), Found({(Network, name): None}))


def test_every_named_network_is_locked():
    for verb, request in ((CREATE, WANTED), (EDIT, WANTED), (DELETE, NameNetworks(networks=("n",)))):
        assert [lock_name(*resource) for resource in verb.resources(request)] == ["network/n"]
