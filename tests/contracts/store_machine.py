"""Any sequence of calls does to a store what it does to a plain dict. Hypothesis makes up the sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ave.ports.store import (
    Above,
    Below,
    Change,
    Check,
    Conflict,
    Delete,
    In,
    Index,
    Insert,
    Kind,
    Replace,
    Where,
    Write,
)


class Size(msgspec.Struct, frozen=True):
    gib: int = 0
    disks: dict[str, int] = {}


class Item(msgspec.Struct, frozen=True):
    id: str
    version: int = 0
    lane: str = "x"
    state: str = "ready"
    rank: float = 0.0
    number: int = 0
    at: float = 0.0
    text: str | None = None  # in no index, so it may be None
    size: Size = Size()
    tries: dict[str, int] = {}


class Note(msgspec.Struct, frozen=True):
    id: str
    version: int = 0
    topic: str = ""


KINDS = (
    Kind(
        "item",
        Item,
        (
            Index(),
            Index(("lane", "state"), ("rank",)),
            Index(("state",)),
            Index(("state",), ("number",)),
            Index((), ("number", "rank")),
            Index(("number", "state"), ("rank",), ("ready", "running")),
            Index(("state", "number"), (), (1, 2)),
        ),
    ),
    Kind("note", Note, (Index(("topic",)),)),
)
NAMES = {kind.type: kind.name for kind in KINDS}
PLUS = 60.0  # what every stamp here adds to the store's time

# The model: (type, id) -> document


Model = dict[tuple[type, str], Any]


def holds(doc: Any, where: Where) -> bool:
    def one(value: Any, wanted: Any) -> bool:
        match wanted:
            case In(values):
                return value in values
            case Below(limit):
                return bool(value < limit)
            case Above(limit):
                return bool(value > limit)
        return bool(value == wanted)

    return all(one(getattr(doc, field), wanted) for field, wanted in where.items())


def place(doc: Any, order: Sequence[str]) -> tuple[Any, ...]:
    return (*[getattr(doc, field) for field in order], doc.id)


def found(model: Model, type: type, where: Where, order: Sequence[str] = (), limit: int = 0, after: Any = None) -> list:
    docs = [doc for (kind, _), doc in model.items() if kind is type and holds(doc, where)]
    docs = sorted((doc for doc in docs if after is None or place(doc, order) > after), key=lambda d: place(d, order))
    return docs[:limit] if limit else docs


def with_path(thing: Any, path: str, value: Any) -> Any:
    """The struct or dict with the value there; ``value`` may be a function of the old one."""
    name, _, rest = path.partition(".")
    old = thing.get(name) if isinstance(thing, dict) else getattr(thing, name)
    new = with_path(old, rest, value) if rest else value(old) if callable(value) else value
    return {**thing, name: new} if isinstance(thing, dict) else msgspec.structs.replace(thing, **{name: new})


def changed(doc: Any, change: Change, stamped: float) -> Any:
    for path, value in change.set.items():
        doc = with_path(doc, path, value)
    for path, plus in change.add.items():
        doc = with_path(doc, path, lambda old, plus=plus: old + plus)
    for path in change.stamp:
        doc = with_path(doc, path, stamped)
    return msgspec.structs.replace(doc, version=doc.version + 1)


def outcome(write: Write, old: Any, stamped: float) -> Any:
    """What the write leaves of the document, or Conflict."""
    type, id = target(write)
    match write:
        case Insert(doc, stamp):
            fine, new = old is None, msgspec.structs.replace(doc, version=1, **dict.fromkeys(stamp, stamped))
        case Replace(doc, stamp):
            fine = old is not None and old.version == doc.version
            new = msgspec.structs.replace(doc, version=doc.version + 1, **dict.fromkeys(stamp, stamped))
        case Delete(doc):
            fine, new = old is not None and old.version == doc.version, None
        case Change(_, _, where):
            fine = old is not None and holds(old, where)
            new = changed(old, write, stamped) if fine else None
        case Check(_, _, where):
            fine = old is None if where is None else old is not None and holds(old, where)
            new = old
    if not fine:
        raise Conflict(NAMES[type], id, old)
    return new


def target(write: Write) -> tuple[type, str]:
    return (write.type, write.id) if isinstance(write, Change | Check) else (type(write.doc), write.doc.id)


def committed(model: Model, writes: Sequence[Write], stamped: float) -> tuple[Model, list[Any], dict]:
    """The model afterwards, the answers, and what a watch is told."""
    after, answers, told = dict(model), [], {}
    for write in writes:
        key = target(write)
        new = outcome(write, after.get(key), stamped)
        answers.append(None if isinstance(write, Check) else new)
        if isinstance(write, Check):
            continue
        told[NAMES[key[0]], key[1]] = new
        if new is None:
            del after[key]
        else:
            after[key] = new
    return after, answers, told


# What is drawn. Few values, so that they meet.

ids = st.sampled_from(["a", "b", "ä", "日本", "$z.0"])
lanes = st.sampled_from(["x", "ÿ"])
states = st.sampled_from(["ready", "running", "done"])
numbers = st.integers(-2, 3) | st.sampled_from([2**53, -(2**53)])
ranks = st.sampled_from([0.0, 0.1, -1.5, 1e300, 5e-324])
sizes = st.builds(Size, gib=numbers, disks=st.dictionaries(st.sampled_from(["vda", "ü"]), numbers, max_size=2))
items = st.builds(
    Item,
    id=ids,
    version=st.integers(0, 2),
    lane=lanes,
    state=states,
    rank=ranks,
    number=numbers,
    text=st.none() | st.sampled_from(["", "$set", "ü\n"]),
    size=sizes,
    tries=st.just({"boot": 1, "stop": 0}),
)
notes = st.builds(Note, id=ids, topic=lanes)
stamps: st.SearchStrategy[dict] = st.sampled_from([{}, {}, {"at": PLUS}])


def maybe(**fields: st.SearchStrategy) -> st.SearchStrategy[dict]:
    return st.fixed_dictionaries({}, optional=fields)


wheres: st.SearchStrategy[dict] = st.just({}) | maybe(
    state=states | st.builds(In, st.tuples(states, states)),
    lane=lanes,
    number=numbers | st.builds(Below, numbers) | st.builds(Above, numbers),
    version=st.integers(1, 3),
)
# A path is either set or added to, never both.
sets = maybe(**{"state": states, "rank": ranks, "text": st.none() | states, "size.gib": numbers, "tries.boot": numbers})
adds = maybe(**{"number": st.integers(-2, 2), "at": st.just(0.5), "tries.stop": st.just(1), "tries.boot": st.just(2)})
changes = st.builds(
    lambda id, where, set, add, stamp: Change(
        Item, id, where, set, {p: by for p, by in add.items() if p not in (*set, *stamp)}, stamp
    ),
    *(ids, wheres, sets, adds, stamps),
)
writes = st.lists(
    st.builds(Insert, items, stamps)
    | st.builds(Insert, notes)
    | st.builds(Replace, items, stamps)
    | st.builds(Delete, items | notes)
    | changes
    | st.builds(Check, st.just(Item), ids, st.none() | wheres),
    min_size=1,
    max_size=4,
)
QUERIES: tuple[tuple[type, Mapping[str, Any], tuple[str, ...]], ...] = (
    (Item, {}, ()),
    (Item, {"id": In(("b", "日本", "a"))}, ()),
    (Item, {"lane": "x", "state": "ready"}, ("rank",)),
    (Item, {"lane": In(("ÿ", "x", "ÿ")), "state": In(("ready", "done"))}, ("rank",)),
    (Item, {"lane": "x", "state": "ready", "rank": Above(-1.5)}, ("rank",)),
    (Item, {"state": "running"}, ()),
    (Item, {"state": In(("done", "ready")), "number": Below(2)}, ("number",)),
    (Item, {"number": Above(-1)}, ("number", "rank")),
    (Item, {}, ("number", "rank")),
    (Item, {"number": 1, "state": "ready"}, ("rank",)),
    (Item, {"number": In((0, 1, 2)), "state": In(("running", "ready")), "rank": Below(1.0)}, ("rank",)),
    (Item, {"state": In(("done", "ready")), "number": 2}, ()),
    (Item, {"number": In((2, 1))}, ()),
    (Item, {"number": 1}, ()),
    (Note, {"topic": In(("x", "ÿ"))}, ()),
)


class Taken(dict[Any, Any]):
    """What was taken together: it may come as one commit, or as several."""

    def after(self, came: dict) -> list[dict]:
        left = {key: doc for key, doc in self.items() if key not in came}
        return [{key: self[key] for key in came}, *([Taken(left)] if left else [])]


class StoreMachine(RuleBasedStateMachine):
    """Calls a store and the model alike. ``open_store`` is one of the drivers in conftest."""

    open_store: Any

    @initialize(docs=st.lists(items, max_size=5, unique_by=lambda doc: doc.id))
    def open(self, docs: list[Item]) -> None:
        self.stack = ExitStack()
        self.process, self.store = self.stack.enter_context(self.open_store(KINDS))
        self.model: Model = {}
        self.told: list[dict] = []  # what a watch is told, commit by commit
        self.revisions: list[int] = []  # of those that were read
        self.watch = self.do(self.store.watch([Item, Note]))
        self.start = self.watch.revision
        if docs:
            self.commit([Insert(doc) for doc in docs], fitted=True)

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            self.watch.close()
            self.stack.close()

    def do(self, call: Any) -> Any:
        return self.process.run(call)

    @rule(writes=writes, fitted=st.sampled_from([True, True, True, False]))
    def commit(self, writes: list[Write], fitted: bool) -> None:
        writes = self.fitted(writes) if fitted else writes
        before = self.do(self.store.now())
        conflict = None
        try:
            answers = self.do(self.store.commit(*writes))
        except Conflict as error:
            conflict = error
        if conflict is not None:
            with pytest.raises(Conflict) as expected:
                committed(self.model, writes, 0.0)
            assert (conflict.kind, conflict.id) == expected.value.args[:2]
            assert not_at(conflict.found) == not_at(expected.value.found)
            return
        stamped = [answer.at for write, answer in zip(writes, answers, strict=True) if getattr(write, "stamp", {})]
        assert all(before + PLUS <= at <= self.do(self.store.now()) + PLUS for at in stamped)
        self.model, news, told = committed(self.model, writes, stamped[0] if stamped else 0.0)
        assert answers == news
        if told:
            self.told.append(told)

    def fitted(self, writes: list[Write]) -> list[Write]:
        """Insert what is absent, and name the version that each Replace and Delete will meet."""
        versions = {key: doc.version for key, doc in self.model.items()}
        made: list[Write] = []
        for write in writes:
            key = target(write)
            version = versions.get(key, 0)
            if isinstance(write, Insert | Replace | Delete):
                doc = msgspec.structs.replace(write.doc, version=version)
                if isinstance(write, Delete):
                    write = Delete(doc) if version else Insert(doc)
                else:
                    write = Replace(doc, write.stamp) if version else Insert(doc, write.stamp)
            if not isinstance(write, Check):
                versions[key] = 0 if isinstance(write, Delete) else version + 1
            made.append(write)
        return made

    @rule(query=st.sampled_from(QUERIES), limit=st.integers(1, 3), set=sets, stamp=stamps)
    def take(self, query: Any, limit: int, set: dict, stamp: dict) -> None:
        type, where, order = query
        if type is not Item:
            return
        change = Change(Item, "", {}, set, {"number": 1}, stamp)
        before = self.do(self.store.now())
        taken = self.do(self.store.take(Item, where, order, set=set, add={"number": 1}, stamp=stamp, limit=limit))
        for doc in taken if stamp else ():
            assert before + PLUS <= doc.at <= self.do(self.store.now()) + PLUS
        docs = found(self.model, Item, where, order, limit)
        at = {doc.id: doc.at for doc in taken}
        assert taken == [changed(doc, change, at.get(doc.id, 0.0)) for doc in docs]
        self.model |= {(Item, doc.id): doc for doc in taken}
        if taken:
            self.told.append(Taken({("item", doc.id): doc for doc in taken}))

    @rule(query=st.sampled_from(QUERIES), size=st.integers(1, 3))
    def page(self, query: Any, size: int) -> None:
        type, where, order = query
        if "id" in where:
            return
        docs: list[Any] = []
        while True:
            after = place(docs[-1], order) if docs else None
            page = self.do(self.store.find(type, where, order, size, after))
            assert page == found(self.model, type, where, order, size, after)
            if not page:
                break
            docs += page
        assert docs == found(self.model, type, where, order)

    @precondition(lambda self: len(self.revisions) < len(self.told))
    @rule()
    def read_the_watch(self) -> None:
        while (n := len(self.revisions)) < len(self.told):
            commit = self.do(self.watch.next())
            came = {(kind, id): doc for kind, id, doc in commit.changes}
            told = self.told[n]
            if isinstance(told, Taken):  # from now on it always comes as it came
                self.told[n : n + 1] = told.after(came)
            assert came == self.told[n]
            assert commit.revision > (self.revisions or [self.start])[-1]
            self.revisions.append(commit.revision)
            assert self.watch.revision >= commit.revision

    @rule(share=st.floats(0, 1))
    def resume_the_watch(self, share: float) -> None:
        """Go back to some revision, and read everything since then again."""
        self.watch.close()
        self.revisions = self.revisions[: int(share * len(self.revisions))]
        self.watch = self.do(self.store.watch([Item, Note], since=(self.revisions or [self.start])[-1]))

    @invariant()
    def every_read_agrees_with_the_model(self) -> None:
        if hasattr(self, "store"):
            self.do(self.reads_agree())

    async def reads_agree(self) -> None:
        for id in ("a", "b", "ä", "日本", "$z.0"):
            assert await self.store.get(Item, id) == self.model.get((Item, id))
            assert await self.store.get(Note, id) == self.model.get((Note, id))
        for type, where, order in QUERIES:
            expected = found(self.model, type, where, order)
            assert await self.store.find(type, where, order) == expected
            assert await self.store.count(type, where) == len(expected)


def not_at(doc: Any) -> Any:
    """Without the time that only the store knows."""
    return msgspec.structs.replace(doc, at=0.0) if isinstance(doc, Item) else doc
