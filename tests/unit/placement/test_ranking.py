"""A batch is spread by rankings that are kept from one VM to the next: the answers are those of single decisions."""

from random import Random

import pytest
from msgspec.structs import replace

from ave.errors import NoFit
from ave.model.host import Host, HostState
from ave.model.vm import VM, VMState
from ave.placement import ranking
from ave.placement.batch import place_batch, reserving
from ave.placement.place import place
from ave.placement.purpose import Purpose
from tests.unit.placement.clusters import columns, host, view, vm

SIZES = ((1, 2), (2, 4), (2, 4), (4, 8), (3, 7), (8, 30))
WISHES = (((), "any"), (("front",), "any"), (("front", "back"), "new"))


def one_by_one(seen, batch):
    """Choices and refusals, each VM reckoning with those before."""
    placed, refused, before = {}, {}, {}
    for each in batch:
        try:
            placed[each.id] = place(seen, each, Purpose.START)
        except NoFit as refusal:
            refused[each.id] = refusal
        else:
            before[each.id] = seen.put_vm(reserving(each, placed[each.id], Purpose.START))
    for name, stake in before.items():
        seen.settle(name, stake)
    return placed, refused


def some_batch(seed):
    """A cluster with many ties, and VMs for it: new ones, and stopped ones that weigh on the hosts where they were."""
    random = Random(f"ranking/{seed}")
    hosts = [_host(random, f"h{n:02}") for n in range(random.choice((1, 5, 30, 150)))]
    vms = []
    for n in range(random.choice((0, len(hosts), 3 * len(hosts)))):
        state = random.choice((VMState.RUNNING, VMState.STOPPED))
        vms.append(_vm(random, f"old-{n}", state=state, host=random.choice(hosts).id))
    batch = [each for each in vms if each.state is VMState.STOPPED and random.random() < 0.5]
    batch += [_vm(random, f"new-{n}") for n in range(random.choice((3, 40, 200)))]
    random.shuffle(batch)
    return hosts, vms, batch


def _host(random, name) -> Host:
    state = HostState.ONLINE if random.random() < 0.9 else random.choice(tuple(HostState))
    networks, model = random.choice(((), ("front",), ("front", "back"))), random.choice(("any", "new", "old"))
    return host(name, random.choice((32, 64)), random.choice((8, 16)), state, networks=networks, cpu_model=model)


def _vm(random, name, **facts) -> VM:
    (vcpus, memory_gib), (networks, model) = random.choice(SIZES), random.choice(WISHES)
    return vm(name, memory_gib, vcpus, networks=networks, cpu_model=model, **facts)


@pytest.mark.parametrize(("many", "kinds"), [(32, 32), (3, 2), (10**9, 10**9)])
def test_spreading_a_batch_gives_the_answers_of_single_decisions(monkeypatch, many, kinds):
    monkeypatch.setattr(ranking, "_MANY", many)
    monkeypatch.setattr(ranking, "_KINDS", kinds)
    spread = 0
    for seed in range(25):
        hosts, vms, batch = some_batch(seed)
        seen = view(hosts, vms)
        before = columns(seen)
        told: dict[str, object] = {}
        place_batch(seen, batch, Purpose.START, witness=_teller(told))
        placed, refused = one_by_one(seen, batch)
        assert {name: answer for name, answer in told.items() if name in placed} == placed
        assert {name: _said(told[name]) for name in refused} == {name: _said(no) for name, no in refused.items()}
        assert columns(seen) == before
        spread += len(placed)
    assert spread > 1000


def _teller(told):
    def tell(unit, terms, compact, answer):
        if not compact:
            told[unit.name] = answer

    return tell


def _said(refusal):
    return type(refusal), refusal.args, refusal.rejected


def test_a_vm_that_would_come_down_to_the_lowest_score_is_seen():
    # A stopped VM does not weigh on its own host while it is decided: it goes there, though others were lower before it.
    hosts = [host("a"), host("b"), host("c")]
    there = vm("there", 8, 4, state=VMState.STOPPED, host="c")
    seen = view(hosts, [there, vm("x", 4, 2, VMState.RUNNING, host="a"), vm("y", 4, 2, VMState.RUNNING, host="b")])
    batch = [vm("n1", 8, 4), there, replace(there, id="n2", host="", state=VMState.CREATING)]
    placed = place_batch(seen, batch, Purpose.START).placed
    assert [placed[each.id].host for each in batch] == ["a", "c", "b"]


def test_nothing_is_written_down_once_a_batch_is_placed():
    seen = view([host("a")])
    place_batch(seen, [vm("v"), vm("giant", 1024)], Purpose.START)
    assert seen.changed is None
