"""What only the simulated store can suffer: hosts that are cut off or lose power, elections, answers that are lost."""

import pytest

from ave.errors import Unavailable, UnknownOutcome
from ave.ports.store import Change, Conflict, Insert
from drivers.sim import physics
from drivers.sim.network import Plane
from drivers.sim.replica_set import STEP_DOWN_SECONDS
from drivers.sim.runtime import SimRuntime, World
from tests.contracts.store_cluster import DEADLINE, ELECTED, HOSTS, MANAGEMENT, SOON, Cluster
from tests.contracts.store_machine import Item

STORM_SECONDS = 60


@pytest.fixture
def cluster():
    with World(seed=1) as world:
        yield Cluster(world)


@pytest.fixture
def do(cluster, finish):
    """``do(host, call)`` answers as the call does; ``within`` limits the time it may take."""

    def do(host, call, within=DEADLINE):
        return finish(cluster.world, cluster.runtimes[host].spawn(call, name="call"), within)

    return do


def insert(cluster, host, id="doc"):
    return cluster.stores[host].commit(Insert(Item(id)))


WRITES = {
    "commit": lambda store: store.commit(Change(Item, "ready", add={"number": 1})),
    "take": lambda store: store.take(Item, {"state": "ready"}, (), set={}, add={"number": 1}),
}
READS = {
    "get": lambda store: store.get(Item, "ready"),
    "find": lambda store: store.find(Item, {"state": "ready"}),
    "count": lambda store: store.count(Item),
    "now": lambda store: store.now(),
    "watch": lambda store: store.watch([Item]),
}
CALLS = WRITES | READS


@pytest.mark.parametrize("verb", CALLS)
def test_every_call_takes_time_and_a_write_no_less_than_its_journal(cluster, do, verb):
    do("a", insert(cluster, "a", "ready"))
    before = cluster.world.now
    do("d", CALLS[verb](cluster.stores["d"]))
    took = cluster.world.now - before
    assert physics.HOP_SECONDS + (physics.JOURNAL_SECONDS if verb in WRITES else 0) < took < 0.01
    cluster.replica_set.slow["a"] = 100.0
    do("d", CALLS[verb](cluster.stores["d"]))
    slow = cluster.world.now - before - took
    assert slow > 99 * physics.JOURNAL_SECONDS if verb in WRITES else slow < 0.01


# Cuts and elections


@pytest.mark.parametrize("verb", CALLS)
def test_a_host_that_does_not_reach_the_primary_is_told_so_within_the_deadline(cluster, do, verb):
    do("a", insert(cluster, "a", "ready"))
    cluster.network.cut(["d"], MANAGEMENT)
    with pytest.raises(Unavailable):
        do("d", CALLS[verb](cluster.stores["d"]), within=physics.SELECT_SECONDS + 1)
    do("b", CALLS[verb](cluster.stores["b"]), within=SOON)  # the others notice nothing
    cluster.network.heal(["d"], MANAGEMENT)
    do("d", CALLS[verb](cluster.stores["d"]), within=SOON)


def test_a_cut_of_the_storage_plane_is_not_the_stores_concern(cluster, do):
    cluster.network.cut(["a", "d"], (Plane.STORAGE,))
    do("d", insert(cluster, "d"), within=SOON)
    assert cluster.replica_set.term == 1


def test_a_minority_cannot_write_while_the_majority_elects_and_goes_on(cluster, do):
    do("d", insert(cluster, "d", "before"))
    cluster.network.cut(["a"], MANAGEMENT)
    cluster.world.advance(ELECTED)
    assert cluster.replica_set.primary in ("b", "c")
    do("d", insert(cluster, "d", "majority"), within=SOON)
    with pytest.raises(UnknownOutcome):
        do("a", insert(cluster, "a", "minority"))  # its old primary has not given up yet
    cluster.world.advance(cluster.world.now + STEP_DOWN_SECONDS)
    with pytest.raises(Unavailable):
        do("a", insert(cluster, "a", "minority"))
    assert list(cluster.docs) == ["before", "majority"]
    cluster.network.heal(["a"], MANAGEMENT)
    assert do("a", cluster.stores["a"].get(Item, "majority"), within=SOON)


def test_a_cut_between_others_does_not_depose_the_primary(cluster, do):
    cluster.network.cut(["b"], MANAGEMENT)
    cluster.network.cut(["d"], MANAGEMENT)
    do("c", insert(cluster, "c"), within=SOON)
    assert (cluster.replica_set.primary, cluster.replica_set.term) == ("a", 1)


def test_power_loss_of_the_primary_costs_an_election_and_nothing_acknowledged(cluster, do):
    for n in range(5):
        do("d", insert(cluster, "d", f"{n}"))
    cluster.runtimes["a"].kill()
    cluster.network.set_power("a", on=False)
    assert cluster.replica_set.primary is None
    cluster.world.advance(cluster.world.now + ELECTED)
    assert cluster.replica_set.primary in ("b", "c")
    assert [doc.id for doc in do("d", cluster.stores["d"].find(Item), within=SOON)] == ["0", "1", "2", "3", "4"]
    do("d", insert(cluster, "d", "after"), within=SOON)


def test_a_call_waits_for_an_election_that_is_short_enough(cluster, do):
    cluster.replica_set.step_down()
    cluster.world.advance(ELECTED - physics.SELECT_SECONDS + 0.5)
    do("d", insert(cluster, "d"))
    assert do("d", cluster.stores["d"].get(Item, "doc")) is not None


def test_without_a_majority_there_is_no_primary_until_it_is_back(cluster, do):
    for host in ("b", "a"):
        cluster.network.set_power(host, on=False)
    cluster.world.advance(100)
    assert cluster.replica_set.primary is None
    with pytest.raises(Unavailable):
        do("d", insert(cluster, "d"))
    cluster.network.set_power("b", on=True)
    cluster.world.advance(cluster.world.now + ELECTED)
    assert cluster.replica_set.primary in ("b", "c")
    do("d", insert(cluster, "d"), within=SOON)


# In flight


@pytest.mark.parametrize("verb", CALLS)
@pytest.mark.parametrize("fault", ["step down", "cut"])
def test_a_request_that_does_not_arrive_is_unknown_for_a_write_and_unavailable_for_a_read(cluster, do, verb, fault):
    do("a", insert(cluster, "a", "ready"))
    act = cluster.replica_set.step_down if fault == "step down" else lambda: cluster.network.cut(["d"], MANAGEMENT)
    cluster.in_flight(act)
    with pytest.raises(UnknownOutcome if verb in WRITES else Unavailable):
        do("d", CALLS[verb](cluster.stores["d"]))
    assert cluster.docs["ready"].version == 1
    assert not cluster.replica_set.streams.watches


@pytest.mark.parametrize("verb", WRITES)
@pytest.mark.parametrize("fault", ["step down", "cut"])
def test_an_effect_whose_answer_does_not_arrive_stays(cluster, do, verb, fault):
    do("a", insert(cluster, "a", "ready"))
    act = cluster.replica_set.step_down if fault == "step down" else lambda: cluster.network.cut(["d"], MANAGEMENT)
    cluster.at_the_next_commit(act)
    with pytest.raises(UnknownOutcome):
        do("d", WRITES[verb](cluster.stores["d"]))
    assert (cluster.docs["ready"].version, cluster.docs["ready"].number) == (2, 1)


@pytest.mark.parametrize("verb", WRITES)
def test_a_lost_answer_is_unknown_though_the_effect_took_place(cluster, do, verb):
    do("a", insert(cluster, "a", "ready"))
    cluster.replica_set.lost_answers = 1.0
    with pytest.raises(UnknownOutcome):
        do("d", WRITES[verb](cluster.stores["d"]))
    assert cluster.docs["ready"].number == 1
    assert do("d", cluster.stores["d"].get(Item, "ready"), within=SOON).number == 1  # reads are not concerned


def test_a_conflict_is_an_answer_too_and_may_be_lost(cluster, do):
    do("a", insert(cluster, "a"))
    with pytest.raises(Conflict):
        do("d", insert(cluster, "d"), within=SOON)
    cluster.replica_set.lost_answers = 1.0
    with pytest.raises(UnknownOutcome):
        do("d", insert(cluster, "d"))
    assert cluster.docs["doc"].version == 1


def test_a_process_that_dies_between_the_effect_and_its_answer_leaves_the_effect(cluster, do):
    cluster.at_the_next_commit(cluster.runtimes["d"].kill)
    task = cluster.runtimes["d"].spawn(insert(cluster, "d"), name="insert")
    cluster.world.advance(SOON)
    assert not task.done()
    assert do("b", cluster.stores["b"].get(Item, "doc"), within=SOON) == Item("doc", version=1)


def test_a_process_that_dies_before_its_request_arrives_leaves_nothing(cluster):
    cluster.in_flight(cluster.runtimes["d"].kill)
    cluster.runtimes["d"].spawn(insert(cluster, "d"), name="insert")
    cluster.world.advance(SOON)
    assert cluster.docs == {}


# Watches


def test_a_watch_that_an_election_broke_resumes_without_loss(cluster, do):
    store = cluster.stores["d"]
    watch = do("d", store.watch([Item]))
    do("d", insert(cluster, "d", "read"))
    do("d", watch.next(), within=SOON)
    do("d", insert(cluster, "d", "arrived"))
    cluster.replica_set.step_down()
    cluster.world.advance(cluster.world.now + ELECTED)
    do("b", insert(cluster, "b", "missed"))
    assert do("d", watch.next(), within=SOON).changes[0][1] == "arrived"
    with pytest.raises(Unavailable):
        do("d", watch.next(), within=SOON)
    again = do("d", store.watch([Item], since=watch.revision))
    assert do("d", again.next(), within=SOON).changes[0][1] == "missed"


@pytest.mark.parametrize("fault", ["step down", "cut"])
def test_a_reader_that_waits_is_told_at_once_that_its_watch_broke(cluster, do, fault):
    watch = do("d", cluster.stores["d"].watch([Item]))
    other = do("b", cluster.stores["b"].watch([Item]))
    act = cluster.replica_set.step_down if fault == "step down" else lambda: cluster.network.cut(["d"], MANAGEMENT)
    cluster.in_flight(act)
    with pytest.raises(Unavailable):
        do("d", watch.next(), within=SOON)
    assert (other in cluster.replica_set.streams.watches) == (fault == "cut")


def test_a_watch_whose_opening_was_given_up_does_not_go_on_in_the_store(cluster, do):
    async def give_up_after(hops):
        async with cluster.runtimes["d"].timeout(hops * physics.HOP_SECONDS):
            (await cluster.stores["d"].watch([Item])).close()

    for tenth in range(10):  # the request takes at least half a hop, and so does the answer
        with pytest.raises(TimeoutError):
            do("d", give_up_after(tenth / 10))
        assert not cluster.replica_set.streams.watches


def test_the_watch_of_a_process_that_died_is_forgotten(cluster, do):
    do("d", cluster.stores["d"].watch([Item]))
    cluster.runtimes["d"].kill()
    do("b", insert(cluster, "b"))
    assert not cluster.replica_set.streams.watches


# Everything at once


class Storm:
    """Clients count in the store, one watches it, and everything goes wrong around them."""

    def __init__(self, cluster):
        self.cluster, self.world = cluster, cluster.world
        self.acknowledged: list[str] = []
        self.unknown: list[str] = []
        self.refused: list[str] = []
        self.seen: list[str] = []

    async def client(self, host):
        runtime, store = self.cluster.runtimes[host], self.cluster.stores[host]
        while self.world.now < STORM_SECONDS:
            id = f"{host} at {self.world.now}"
            try:
                await store.commit(Change(Item, "counter", add={"number": 1}), Insert(Item(id)))
                self.acknowledged.append(id)
            except UnknownOutcome:
                self.unknown.append(id)
            except Unavailable:
                self.refused.append(id)
            await runtime.sleep(runtime.random.random() / 2)

    async def watcher(self, host):
        store, revision = self.cluster.stores[host], 0
        while True:
            try:
                watch = await store.watch([Item], since=revision)
                while True:
                    self.seen += [id for _, id, _ in (await watch.next()).changes if id != "counter"]
                    revision = watch.revision
            except Unavailable:
                continue  # the watch broke, or could not be opened yet

    async def faults(self, runtime):
        network, random = self.cluster.network, runtime.random.random
        while self.world.now < STORM_SECONDS:
            await runtime.sleep(6 * random())
            host, kind = HOSTS[int(random() * len(HOSTS))], int(random() * 4)
            if kind == 0:
                self.cluster.replica_set.step_down()
            elif kind == 1:
                network.cut([host], MANAGEMENT)
            elif kind == 2:
                network.set_power(host, on=False)
            await runtime.sleep(8 * random())
            network.heal(HOSTS, MANAGEMENT)
            network.set_power(host, on=True)


@pytest.mark.parametrize("seed", range(25))
def test_what_was_acknowledged_stays_what_was_refused_never_was_and_nothing_happens_twice(seed, finish):
    with World(seed) as world:
        cluster = Cluster(world)
        storm, operator = Storm(cluster), SimRuntime(world, "faults")
        finish(world, cluster.runtimes["a"].spawn(insert(cluster, "a", "counter"), name="counter"))
        cluster.replica_set.lost_answers = 0.1
        for host in HOSTS:
            cluster.runtimes[host].spawn(storm.client(host), name="client")
        cluster.runtimes["d"].spawn(storm.watcher("d"), name="watcher")
        operator.spawn(storm.faults(operator), name="faults")
        world.advance(STORM_SECONDS + 2 * DEADLINE + ELECTED)
    ids = [id for id in cluster.docs if id != "counter"]
    assert len(storm.acknowledged) > len(storm.unknown) > 0  # it did get through, and not always
    assert cluster.docs["counter"].number == len(ids)  # one commit wrote both
    assert set(storm.acknowledged) <= set(ids) <= {*storm.acknowledged, *storm.unknown}
    assert storm.seen == ids
