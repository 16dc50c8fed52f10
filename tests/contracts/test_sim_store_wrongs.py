"""What MongoDB does wrong: primaries that do not know that they are none, writes that are rolled back or come late, lists
that are old. Whatever it does, nobody sees what is not committed, and no client sees time go back."""

import pytest

from ave.errors import Unavailable, UnknownOutcome
from ave.ports.store import Change, Conflict, Insert, Replace
from drivers.sim import physics
from drivers.sim.replica_set import STEP_DOWN_SECONDS
from drivers.sim.runtime import World
from drivers.sim.store import EarlyStore
from tests.contracts.store_cluster import DEADLINE, ELECTED, HOSTS, MANAGEMENT, SOON, Cluster
from tests.contracts.store_machine import Item

WRONG_SIDE = ("a", "d")  # a is the first primary
BRIEF = 1.0  # too short for an election
STALE_FOR = STEP_DOWN_SECONDS - ELECTED  # at least so long there are two primaries


@pytest.fixture
def cluster():
    with World(seed=1) as world:
        yield Cluster(world)


@pytest.fixture
def do(cluster, finish):
    def do(host, call, within=DEADLINE):
        return finish(cluster.world, cluster.runtimes[host].spawn(call, name="call"), within)

    return do


def insert(cluster, host, id="doc"):
    return cluster.stores[host].commit(Insert(Item(id)))


def get(cluster, host, id="doc"):
    return cluster.stores[host].get(Item, id)


async def ids(cluster, host):
    return [doc.id for doc in await cluster.stores[host].find(Item)]


def isolate(cluster):
    cluster.network.cut(WRONG_SIDE, MANAGEMENT)


def rejoin(cluster):
    cluster.network.heal(WRONG_SIDE, MANAGEMENT)


# A primary that is alone


def test_two_primaries_one_serves_what_was_and_one_what_is(cluster, do):
    do("d", insert(cluster, "d", "before"))
    isolate(cluster)
    cluster.pass_time(ELECTED)
    do("e", insert(cluster, "e", "after"), within=SOON)
    assert do("d", ids(cluster, "d"), within=SOON) == ["before"]
    assert do("e", ids(cluster, "e"), within=SOON) == ["after", "before"]
    assert do("d", cluster.stores["d"].count(Item), within=SOON) == 1
    cluster.pass_time(STALE_FOR)
    with pytest.raises(Unavailable):  # it has stepped down
        do("d", ids(cluster, "d"))


@pytest.mark.parametrize("id", ["before", "never"])
def test_a_primary_that_is_alone_proves_nothing(cluster, do, id):
    do("d", insert(cluster, "d", "before"))
    isolate(cluster)
    with pytest.raises(Unavailable):
        do("d", get(cluster, "d", id), within=physics.ANSWER_SECONDS + SOON)


@pytest.mark.parametrize("verb", ["insert", "conflict", "take"])
def test_a_primary_that_is_alone_acknowledges_and_refuses_nothing_and_what_it_wrote_is_rolled_back(cluster, do, verb):
    do("d", insert(cluster, "d", "before"))
    isolate(cluster)
    call = {
        "insert": lambda: insert(cluster, "d", "lost"),
        "conflict": lambda: insert(cluster, "d", "before"),
        "take": lambda: cluster.stores["d"].take(Item, {"state": "ready"}, (), set={"state": "running"}),
    }[verb]
    with pytest.raises(UnknownOutcome):
        do("d", call(), within=physics.ANSWER_SECONDS + SOON)
    assert do("d", ids(cluster, "d"), within=SOON) == ["before"]  # not even there
    cluster.pass_time(ELECTED)
    rejoin(cluster)
    cluster.pass_time(100.0)
    assert do("d", ids(cluster, "d"), within=SOON) == ["before"]
    assert do("d", get(cluster, "d", "before"), within=SOON) == Item("before", version=1)


def test_a_cut_too_short_for_an_election_delays_writes_and_proofs(cluster, do):
    do("d", insert(cluster, "d", "before"))
    watch = do("d", cluster.stores["d"].watch([Item]))
    isolate(cluster)
    cluster.after(BRIEF, lambda: rejoin(cluster))
    assert do("d", insert(cluster, "d"), within=2 * BRIEF) == [Item("doc", version=1)]
    assert cluster.world.now > BRIEF
    assert cluster.replica_set.term == 1
    assert do("d", watch.next(), within=SOON).changes[0][1] == "doc"  # it has noticed nothing
    isolate(cluster)
    cluster.after(BRIEF, lambda: rejoin(cluster))
    assert do("d", get(cluster, "d"), within=2 * BRIEF) == Item("doc", version=1)
    isolate(cluster)
    cluster.after(BRIEF, lambda: rejoin(cluster))
    with pytest.raises(Conflict):
        do("d", insert(cluster, "d"), within=2 * BRIEF)


def test_a_write_that_was_given_up_may_be_committed_later(cluster, do):
    """No majority anywhere: nobody is elected, and the old primary is back just in time."""
    for host in ("b", "c"):
        cluster.network.cut([host], MANAGEMENT)
    cluster.network.cut(WRONG_SIDE, MANAGEMENT)
    with pytest.raises(UnknownOutcome):
        do("d", insert(cluster, "d"))
    assert cluster.docs == {}
    cluster.network.heal(HOSTS, MANAGEMENT)
    assert do("e", get(cluster, "e"), within=SOON) == Item("doc", version=1)


def test_a_watch_of_a_primary_that_is_alone_is_silent_and_then_breaks(cluster, do):
    inside, outside = (do(host, cluster.stores[host].watch([Item])) for host in "de")
    isolate(cluster)
    with pytest.raises(Unavailable):
        do("e", outside.next(), within=SOON)
    cluster.pass_time(ELECTED)
    late = do("d", cluster.stores["d"].watch([Item]), within=SOON)
    start = inside.revision
    do("e", insert(cluster, "e"), within=SOON)
    assert inside.revision == late.revision == start
    for watch in (inside, late):
        with pytest.raises(Unavailable):
            do("d", watch.next(), within=STEP_DOWN_SECONDS)
    rejoin(cluster)
    again = do("d", cluster.stores["d"].watch([Item], since=inside.revision))
    assert do("d", again.next(), within=SOON).changes[0][1] == "doc"


def test_who_has_seen_more_than_the_old_primary_knows_is_not_served_by_it(cluster, do):
    isolate(cluster)
    cluster.pass_time(ELECTED)
    do("e", insert(cluster, "e"), within=SOON)
    rejoin(cluster)
    cluster.network.cut(["a", "d", "e"], MANAGEMENT)  # e changes sides
    with pytest.raises(Unavailable):
        do("e", ids(cluster, "e"), within=physics.ANSWER_SECONDS + SOON)
    with pytest.raises(Unavailable):
        do("e", cluster.stores["e"].watch([Item], since=1), within=physics.ANSWER_SECONDS + SOON)


# Between the primary and its majority


def outcomes(seeds, act):
    """For each seed: was a write that was on its way when something happened rolled back, or does it survive?"""
    return [survived(Cluster(world), act) for seed in seeds for world in [World(seed)]]


def survived(cluster, act):
    with cluster.world as world:
        cluster.in_the_journal(lambda: act(cluster))
        task = cluster.runtimes["d"].spawn(caught(insert(cluster, "d")), name="insert")
        world.advance(1.0)
        assert cluster.replica_set.ledger.revision == 0, "nobody sees what no majority has"
        world.advance(ELECTED + DEADLINE)
        assert isinstance(task.value, UnknownOutcome)
        return cluster.replica_set.ledger.revision


async def caught(call):
    try:
        return await call
    except UnknownOutcome as unknown:
        return unknown


@pytest.mark.parametrize("loss", ["power", "step down", "isolation"])
def test_a_write_between_its_primary_and_the_majority_is_rolled_back_or_survives_and_nobody_is_told_which(loss):
    acts = {
        "power": lambda cluster: cluster.network.set_power("a", on=False),
        "step down": lambda cluster: cluster.replica_set.step_down(),
        "isolation": lambda cluster: cluster.network.cut(["a"], MANAGEMENT),
    }
    found = outcomes(range(30), acts[loss])
    assert set(found) == {0, 1}


def front_of_the_log(cluster):
    """How many of 15 writes, of which some are still on their way, survive."""

    def send(number):
        host = HOSTS[number % len(HOSTS)]
        cluster.runtimes[host].spawn(caught(insert(cluster, host, f"{number:02}")), name="insert")

    with cluster.world as world:
        for number in range(15):  # none overtakes another
            cluster.after(0.0005 * number, lambda number=number: send(number))
        cluster.after(0.0075, cluster.replica_set.step_down)
        world.advance(ELECTED)
        assert list(cluster.docs) == [f"{number:02}" for number in range(len(cluster.docs))]
        return len(cluster.docs)


def test_what_survives_is_the_front_of_the_log():
    lengths = [front_of_the_log(Cluster(World(seed))) for seed in range(30)]
    assert min(lengths) >= 10  # only those of the last 2.5 ms were still on their way
    assert len(set(lengths)) > 2


# Write concern 1


@pytest.fixture
def hasty():
    with World(seed=1) as world:
        yield Cluster(world, client=EarlyStore)


@pytest.mark.parametrize("loss", ["power", "isolation"])
def test_what_is_acknowledged_before_a_majority_has_it_can_be_rolled_back(loss, finish):
    lost = 0
    for seed in range(10):
        with World(seed) as world:
            cluster = Cluster(world, client=EarlyStore)
            task = cluster.runtimes["d"].spawn(insert(cluster, "d"), name="insert")
            assert finish(world, task) == [Item("doc", version=1)]
            assert world.now < physics.JOURNAL_SECONDS
            assert not cluster.docs
            if loss == "power":
                cluster.network.set_power("a", on=False)
            else:
                isolate(cluster)
            cluster.pass_time(ELECTED)
            rejoin(cluster)
            lost += not cluster.docs
    assert lost > 0


def test_a_primary_that_is_alone_still_answers_those_who_do_not_ask_for_a_majority(hasty, finish):
    def do(host, call):
        return finish(hasty.world, hasty.runtimes[host].spawn(call, name="call"), DEADLINE)

    isolate(hasty)
    (doc,) = do("d", insert(hasty, "d"))
    assert do("d", hasty.stores["d"].commit(Replace(doc))) == [Item("doc", version=2)]
    with pytest.raises(Conflict):
        do("d", insert(hasty, "d"))
    hasty.pass_time(ELECTED)
    rejoin(hasty)
    hasty.pass_time(ELECTED)
    assert hasty.docs == {}


def test_without_a_loss_it_is_committed_in_order(hasty, finish):
    def do(host, call):
        return finish(hasty.world, hasty.runtimes[host].spawn(call, name="call"), DEADLINE)

    do("d", insert(hasty, "d"))
    (doc,) = do("e", hasty.stores["e"].commit(Change(Item, "doc", add={"number": 1})))
    taken = do("e", hasty.stores["e"].take(Item, {"state": "ready"}, (), set={"state": "running"}))  # by majority
    assert taken == [Item("doc", version=3, state="running", number=1)]
    assert hasty.docs["doc"] == taken[0]
    assert doc.version == 2
    hasty.pass_time(SOON)
    assert hasty.replica_set.usual


# Secondaries that lag


def test_lists_are_old_and_proofs_are_not(cluster, do):
    do("d", insert(cluster, "d", "old"))
    cluster.replica_set.set_lag(60.0)
    do("e", insert(cluster, "e", "new"))
    assert do("d", ids(cluster, "d"), within=SOON) == ["old"]
    assert do("e", ids(cluster, "e"), within=SOON) == ["new", "old"]  # one's own writes are never missing
    assert do("d", get(cluster, "d", "new"), within=SOON)
    assert do("d", ids(cluster, "d"), within=SOON) == ["new", "old"]  # nor what was seen otherwise
    assert do("b", ids(cluster, "b"), within=SOON) == ["old"]
    cluster.pass_time(60.0)
    assert do("b", ids(cluster, "b"), within=SOON) == ["new", "old"]
    do("e", insert(cluster, "e", "newer"))
    cluster.replica_set.set_lag(0.0)
    assert do("b", ids(cluster, "b"), within=SOON) == ["new", "newer", "old"]
    assert cluster.replica_set.usual


def test_a_client_sees_no_more_than_it_must(cluster, do):
    cluster.replica_set.set_lag(60.0)
    do("d", insert(cluster, "d", "1"))
    do("e", insert(cluster, "e", "2"))
    do("e", insert(cluster, "e", "3"))
    assert do("d", ids(cluster, "d"), within=SOON) == ["1"]
    cluster.pass_time(30.0)
    do("d", insert(cluster, "d", "4"))
    assert do("d", ids(cluster, "d"), within=SOON) == ["1", "2", "3", "4"]
    cluster.pass_time(31.0)
    assert do("b", ids(cluster, "b"), within=SOON) == ["1", "2", "3"]
    assert do("d", ids(cluster, "d"), within=SOON) == ["1", "2", "3", "4"]


@pytest.mark.parametrize("told", ["by a change", "by its revision", "by its opening"])
def test_who_was_told_by_a_watch_finds_what_it_was_told(cluster, do, told):
    cluster.replica_set.set_lag(60.0)
    watch = do("d", cluster.stores["d"].watch([Item]))
    do("e", insert(cluster, "e"))
    assert do("d", ids(cluster, "d"), within=SOON) == []
    if told == "by a change":
        do("d", watch.next(), within=SOON)
    elif told == "by its revision":
        do("d", cluster.stores["d"].watch([Item], where={"lane": "nobody's"})).revision  # noqa: B018
    else:
        do("d", cluster.stores["d"].watch([Item]))
    assert do("d", ids(cluster, "d"), within=SOON) == ["doc"]


def test_deletions_and_changes_come_late_too(cluster, do):
    (doc,) = do("d", insert(cluster, "d"))
    cluster.replica_set.set_lag(10.0)
    do("e", cluster.stores["e"].commit(Change(Item, "doc", set={"state": "done"})))
    find = cluster.stores["d"].find
    assert do("d", find(Item, {"state": "ready"})) == [doc]
    assert do("d", find(Item, {"state": "done"})) == []
    cluster.pass_time(10.0)
    assert do("d", find(Item, {"state": "ready"})) == []
    assert [doc.version for doc in do("d", find(Item, {"state": "done"}))] == [2]


# Slow, and full


def test_each_call_takes_so_much_longer(cluster, do):
    cluster.replica_set.set_delay(2.0)
    for call in (insert(cluster, "d"), get(cluster, "d"), ids(cluster, "d"), cluster.stores["d"].now()):
        before = cluster.world.now
        do("d", call)
        assert 2.0 < cluster.world.now - before < 2.0 + SOON


def test_a_call_slower_than_its_client_is_patient_is_given_up_and_its_write_is_done_late(cluster, do):
    cluster.replica_set.set_delay(12.0)
    for call, error in ((get(cluster, "d"), Unavailable), (ids(cluster, "d"), Unavailable)):
        with pytest.raises(error):
            do("d", call, within=physics.ANSWER_SECONDS + SOON)
    with pytest.raises(UnknownOutcome):
        do("d", insert(cluster, "d"), within=physics.ANSWER_SECONDS + SOON)
    cluster.replica_set.set_delay(0.0)
    assert do("d", get(cluster, "d"), within=SOON) is None  # absence settles nothing
    cluster.pass_time(7.1)
    assert do("d", get(cluster, "d"), within=SOON) == Item("doc", version=1)


def test_a_late_write_is_lost_with_its_primary(cluster, do):
    cluster.replica_set.slow["a"] = 10_000.0  # 20 s for a journal
    with pytest.raises(UnknownOutcome):
        do("d", insert(cluster, "d"), within=physics.ANSWER_SECONDS + SOON)
    cluster.replica_set.step_down()
    cluster.pass_time(30.0)
    assert do("d", get(cluster, "d"), within=SOON) is None


def test_a_full_disk_refuses_writes_and_can_be_read(cluster, do):
    do("d", insert(cluster, "d", "before"))
    cluster.replica_set.set_full(True)
    for call in (insert(cluster, "d"), cluster.stores["d"].take(Item, {"state": "ready"}, (), set={"state": "x"})):
        with pytest.raises(Unavailable):
            do("d", call, within=SOON)
    assert do("d", ids(cluster, "d"), within=SOON) == ["before"]
    assert do("d", get(cluster, "d", "before"), within=SOON) == Item("before", version=1)
    cluster.replica_set.lost_answers = 1.0
    with pytest.raises(UnknownOutcome):  # nobody said that it was refused
        do("d", insert(cluster, "d"))
    cluster.replica_set.set_full(False)
    cluster.replica_set.lost_answers = 0.0
    assert list(cluster.docs) == ["before"]
    do("d", insert(cluster, "d"), within=SOON)


# The fault


def test_the_primarys_side_is_less_than_half_of_the_members_and_what_the_fault_asks_for(cluster):
    def side():
        return [host for host in HOSTS if cluster.network.reaches(host, "a", MANAGEMENT[0])]

    for share, with_it in ((0.0, 0), (0.5, 1), (1.0, 2)):
        cut = cluster.replica_set.isolate_primary(share)
        assert len(side()) == 1 + with_it
        assert not {"b", "c"} & set(side())
        cluster.network.mend(cut)
        assert side() == list(HOSTS)
    assert cluster.replica_set.primary == "a"
