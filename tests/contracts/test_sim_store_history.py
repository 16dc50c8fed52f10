"""The store, checked by its history, as Elle does: clients append to lists while everything goes wrong, and read them.

A list only grows, so each read tells which appends came before it. Nothing is known of how the store works inside.
"""

from bisect import bisect_left
from itertools import accumulate

import msgspec
import pytest

from ave.errors import Unavailable, UnknownOutcome
from ave.ports.store import Conflict, Index, Insert, Kind, Replace
from drivers.sim.network import Plane
from drivers.sim.runtime import SimRuntime, World
from drivers.sim.store import EarlyStore, SimStore
from tests.contracts.store_cluster import DEADLINE, ELECTED, HOSTS, Cluster

SECONDS = 90
LISTS = ("x", "y", "z")
SEEDS = range(12)


class Log(msgspec.Struct, frozen=True):
    id: str
    version: int = 0
    entries: tuple[str, ...] = ()


KINDS = (Kind("log", Log, (Index(),)),)


class Append(msgspec.Struct):
    """One attempt to append ``entry`` to ``lists``, all in one commit."""

    entry: str
    lists: tuple[str, ...]
    began: float
    ended: float = float("inf")
    outcome: str = "unknown"  # or "done", "refused"
    versions: tuple[int, ...] = ()


class Read(msgspec.Struct):
    how: str  # "get", "find" or "told": by the answer to a commit, or by a watch
    client: str
    list: str
    began: float
    ended: float
    entries: tuple[str, ...]


class Known:
    """How long a list was known to be, by reads that had ended at some time."""

    def __init__(self, reads: list[Read]) -> None:
        in_order = sorted(reads, key=lambda read: read.ended)
        self._ended = [read.ended for read in in_order]
        self._longest = [0, *accumulate((len(read.entries) for read in in_order), max)]

    def before(self, time: float) -> int:
        return self._longest[bisect_left(self._ended, time)]


class History:
    def __init__(self, seed: int, client: type[SimStore] = SimStore) -> None:
        self.appends: list[Append] = []
        self.reads: list[Read] = []
        self.watched: dict[str, list[tuple[str, ...]]] = {name: [()] for name in LISTS}
        with World(seed) as self.world:
            self.cluster = Cluster(self.world, KINDS, client)
            self.cluster.replica_set.ledger.commit([Insert(Log(name)) for name in LISTS], 0.0)
            self.cluster.replica_set.lost_answers = 0.05
            for host in HOSTS:
                for number in range(2):  # two tasks of one client
                    self.cluster.runtimes[host].spawn(self.client(host, number), name="client")
            self.cluster.runtimes["e"].spawn(self.watcher("e"), name="watcher")
            operator = SimRuntime(self.world, "faults")
            operator.spawn(self.faults(operator), name="faults")
            self.world.advance(SECONDS + 2 * DEADLINE + ELECTED + 30)
            self.final = {name: doc.entries for name, doc in self.cluster.docs.items()}

    async def client(self, host: str, number: int) -> None:
        runtime, store, random = (
            self.cluster.runtimes[host],
            self.cluster.stores[host],
            SimRuntime(self.world, f"{host}/{number}").random,
        )
        count = 0
        while self.world.now < SECONDS:
            await runtime.sleep(random.random() / 2)
            began, name = self.world.now, LISTS[int(random.random() * len(LISTS))]
            try:
                if random.random() < 0.3:
                    docs = await store.find(Log)
                    self.read("find", host, began, docs)
                else:
                    doc = await store.get(Log, name)
                    assert doc is not None, "no list is ever deleted"
                    docs = [doc]
                    self.read("get", host, began, docs)
            except Unavailable:
                continue
            count += 1
            append = Append(f"{host}{number}.{count}", tuple(doc.id for doc in docs), self.world.now)
            self.appends.append(append)
            writes = [Replace(msgspec.structs.replace(doc, entries=(*doc.entries, append.entry))) for doc in docs]
            try:
                answers = await store.commit(*writes)
            except (Conflict, Unavailable):
                append.outcome = "refused"
            except UnknownOutcome:
                continue
            else:
                append.outcome, append.versions = "done", tuple(doc.version for doc in answers)
                self.read("told", host, self.world.now, answers)
            append.ended = self.world.now

    def read(self, how, client, began, docs) -> None:
        self.reads += [Read(how, client, doc.id, began, self.world.now, doc.entries) for doc in docs]

    async def watcher(self, host: str) -> None:
        store, revision = self.cluster.stores[host], 1
        while True:
            try:
                watch = await store.watch([Log], since=revision)
                while True:
                    for _, name, doc in (await watch.next()).changes:
                        self.watched[name].append(doc.entries)
                        self.read("told", host, self.world.now, [doc])
                    revision = watch.revision
            except Unavailable:
                continue

    async def faults(self, runtime: SimRuntime) -> None:
        replica_set, network, random = self.cluster.replica_set, self.cluster.network, runtime.random.random
        while self.world.now < SECONDS:
            await runtime.sleep(4 * random())
            host, kind = HOSTS[int(random() * len(HOSTS))], int(random() * 7)
            if kind == 0:
                replica_set.step_down()
            elif kind == 1:
                network.cut([host], (Plane.MANAGEMENT,))
            elif kind == 2:
                network.set_power(host, on=False)
            elif kind == 3:
                replica_set.set_lag(20 * random())
            elif kind == 4:
                replica_set.set_delay(random() if random() < 0.5 else 7 * random())
            elif kind == 5:
                replica_set.set_full(True)
            if random() < 0.6:
                replica_set.isolate_primary(random())
            await runtime.sleep(2 * random() if random() < 0.5 else 14 * random())
            network.heal(HOSTS, (Plane.MANAGEMENT,))
            network.set_power(host, on=True)
            if random() < 0.5:
                replica_set.set_lag(0.0)
            replica_set.set_delay(0.0)
            replica_set.set_full(False)
        replica_set.set_lag(0.0)

    # What is wrong with it

    def anomalies(self) -> list[str]:
        return [
            *self.lost_and_doubled(),
            *self.never_was(),
            *self.out_of_real_time(),
            *self.back_in_time(),
            *self.missed_by_the_watch(),
        ]

    def lost_and_doubled(self):
        for append in self.appends:
            counts = [self.final[name].count(append.entry) for name in append.lists]
            allowed = {"done": ([1] * len(counts),), "refused": ([0] * len(counts),)}.get(
                append.outcome, ([0] * len(counts), [1] * len(counts))
            )
            if counts not in allowed:
                yield f"{append.entry} is {append.outcome} and is there {counts} times"
            for name, version in zip(append.lists, append.versions, strict=False):
                if self.final[name][version - 2 : version - 1] != (append.entry,):
                    yield f"{append.entry} made version {version} of {name}, and is not its entry"
        known = {append.entry for append in self.appends}
        for name, entries in self.final.items():
            if not set(entries) <= known:
                yield f"{name} holds what nobody appended"

    def never_was(self):
        for read in self.reads:
            if read.entries != self.final[read.list][: len(read.entries)]:
                yield f"{read.how} by {read.client} of {read.list} at {read.ended}: what it saw was rolled back"

    def out_of_real_time(self):
        """What is known to be there when a get begins is in it; what begins after a read ended is not."""
        began = {append.entry: append.began for append in self.appends}
        for name in LISTS:
            reads = [read for read in self.reads if read.list == name]
            known = Known(reads)
            for read in reads:
                if read.how == "get" and len(read.entries) < known.before(read.began):
                    yield f"get by {read.client} of {name} at {read.began} misses what was known before it"
                if any(began[entry] > read.ended for entry in read.entries):
                    yield f"{read.how} by {read.client} of {name} at {read.ended} comes from the future"

    def back_in_time(self):
        """No client finds less than it had seen when it began to look."""
        for name in LISTS:
            for client in HOSTS:
                reads = [read for read in self.reads if (read.list, read.client) == (name, client)]
                seen = Known(reads)
                for read in reads:
                    if read.how == "find" and len(read.entries) < seen.before(read.began):
                        yield f"find by {client} of {name} at {read.began} has less than it had seen"

    def missed_by_the_watch(self):
        for name, versions in self.watched.items():
            if versions != [self.final[name][:length] for length in range(len(self.final[name]) + 1)]:
                yield f"the watch was not told everything of {name}, once and in order"


@pytest.mark.parametrize("seed", SEEDS)
def test_no_history_has_an_anomaly(seed):
    history = History(seed)
    assert history.anomalies() == []
    outcomes = [append.outcome for append in history.appends]
    assert outcomes.count("done") > 100
    assert min(outcomes.count("unknown"), outcomes.count("refused")) > 10
    assert history.cluster.replica_set.term > 3


def test_unknown_writes_are_done_and_not_done_and_lists_are_old():
    """Were it otherwise the store would be too good to test anything with."""
    histories = [History(seed) for seed in SEEDS]
    done = [
        append.entry in history.final[append.lists[0]]
        for history in histories
        for append in history.appends
        if append.outcome == "unknown"
    ]
    assert min(done.count(True), done.count(False)) > 20
    old = 0
    for history in histories:
        gets = [read for read in history.reads if read.how == "get"]
        for read in history.reads:
            older = (g for g in gets if g.list == read.list and g.ended < read.began)
            old += read.how == "find" and any(len(g.entries) > len(read.entries) for g in older)
    assert old > 20


# Each of these is a store that really exists somewhere, and must not pass for one of ours.


class LocalStore(SimStore):
    """Reads a document as it reads lists: from whatever takes itself for the primary, or is behind it."""

    async def _confirmed(self, reign):
        return await self._known(reign, lag=True)


class ForgetfulStore(SimStore):
    """Has no session: each list comes from another secondary."""

    def saw(self, revision):
        pass


class DirtyStore(SimStore):
    """Takes an unknown outcome for done."""

    async def _silence(self, *, write, since=None):
        error = await super()._silence(write=write, since=since)
        return Unavailable("surely not") if write else error


@pytest.mark.parametrize(
    ("client", "said"),
    [
        (EarlyStore, "is done and is there [0"),
        (LocalStore, "get by"),
        (ForgetfulStore, "less than it had seen"),
        (DirtyStore, "is refused and is there [1]"),
    ],
)
def test_a_store_that_is_wrong_in_another_way_is_found_out(client, said):
    assert any(said in anomaly for seed in SEEDS for anomaly in History(seed, client).anomalies())
