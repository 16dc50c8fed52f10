"""The tables of states, ``move`` as the only writer of one, and a scan that proves there is no other in ``ave/``."""

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import msgspec
import pytest

import ave.model
from ave.kinds import KINDS
from ave.model.states import STORY_MOVES, IllegalMove, Table, born, may_move, move
from ave.model.vm import VM, VMState
from ave.model.work import LEAD, Work, WorkState

AVE = Path(ave.model.__file__).parents[1]


def _tables() -> dict[str, Table]:
    """Every table of every module of the model, so that a new one cannot be forgotten here."""
    names = [f"ave.model.{module.name}" for module in pkgutil.iter_modules(ave.model.__path__)]
    found = [thing for name in names for thing in vars(importlib.import_module(name)).values()]
    return {thing.noun: thing for thing in found if isinstance(thing, Table)}


TABLES = _tables()
STATEFUL = [kind.type for kind in KINDS if "state" in kind.type.__struct_fields__]
MOVES = [(table, state, to) for table in TABLES.values() for state in table.moves for to in table.moves[state]]


class Light(StrEnum):
    RED = "red"
    GREEN = "green"
    BROKEN = "broken"


LIGHT = Table(
    noun="light",
    start=(Light.RED,),
    phrases={Light.RED: "stop", Light.GREEN: "go", Light.BROKEN: "look out"},
    moves={Light.RED: (Light.GREEN,), Light.GREEN: (Light.RED, Light.BROKEN), Light.BROKEN: ()},
)


class Lamp(msgspec.Struct, frozen=True):
    id: str = "corner"
    state: Light = Light.RED
    story: tuple[str, ...] = ()
    seconds: int = 0

    @property
    def table(self) -> Table:
        return LIGHT


# Every table


def test_every_stateful_kind_of_the_store_has_a_table():
    assert {"host", "zone", "VM", "volume", "network", "placement group", "Job", "task", "resource group"} == set(
        TABLES
    )
    assert [kind.__name__ for kind in STATEFUL if not hasattr(kind, "table")] == []


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_state_of_a_table_has_one_phrase_and_a_row_of_moves(table):
    assert set(table.phrases) == set(table.moves)
    assert all(phrase and phrase == phrase.strip() and "\n" not in phrase for phrase in table.phrases.values())
    assert len(set(table.phrases.values())) == len(table.phrases), "two states that sound the same"


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_target_of_a_move_is_another_state_of_the_table(table):
    for state, targets in table.moves.items():
        assert set(targets) <= set(table.moves)
        assert len(set(targets)) == len(targets)
        assert state not in targets, "to stay is no move"


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_state_can_be_reached_from_a_start_state(table):
    assert table.start
    reached = dict.fromkeys(table.start)
    for _ in table.moves:
        reached |= dict.fromkeys(to for state in list(reached) for to in table.moves[state])
    assert set(reached) == set(table.moves)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_state_of_an_enumeration_is_in_a_table(table):
    enumeration: type[StrEnum] = type(table.start[0])
    rows = {state for each in TABLES.values() for state in each.moves if isinstance(state, enumeration)}
    assert rows == set(enumeration)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_state_is_final_exactly_if_nothing_follows_it(table):
    assert [state for state in table.moves if table.final(state)] == [s for s, to in table.moves.items() if not to]


@pytest.mark.parametrize("type", STATEFUL, ids=[each.__name__ for each in STATEFUL])
def test_a_document_is_made_in_a_state_in_which_it_may_come_into_being(type):
    fields = {field.name: field for field in msgspec.structs.fields(type)}
    needed = {name: field.type() for name, field in fields.items() if field.required and field.type in (str, int)}
    made = msgspec.convert({"id": "new", **needed} | ({"rule": "must-zone"} if "rule" in fields else {}), type)
    assert made.state in made.table.start
    assert made.story == ()


def test_what_a_worker_claims_unread_is_legal_for_jobs_and_for_tasks():
    job, task = (Work(id="w", job="w", function=function, lane="one") for function in (LEAD, "vm.start"))
    for work in (job, task):
        assert move(work, WorkState.RUNNING, "claimed").state is WorkState.RUNNING


# Moves


@pytest.mark.parametrize(
    ("table", "state", "to"), MOVES, ids=[f"{table.noun}: {state} to {to}" for table, state, to in MOVES]
)
def test_a_listed_move_may_be_made_unread(table, state, to):
    assert may_move(table, state, to) == {"state": to}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_move_that_is_not_listed_may_not_be_made_unread(table):
    for state in table.moves:
        for to in table.moves:
            if to not in table.moves[state]:
                with pytest.raises(IllegalMove, match=f"{table.noun} any cannot go {state} -> {to}"):
                    may_move(table, state, to)


def test_a_move_changes_the_state_the_story_and_what_else_is_named():
    moved = move(Lamp(), Light.GREEN, "it is time", seconds=30)
    assert moved == Lamp(state=Light.GREEN, story=("red -> green: it is time",), seconds=30)


def test_an_illegal_move_names_the_object_both_states_and_its_story_and_changes_nothing():
    lamp = move(move(Lamp(), Light.GREEN, "it is time"), Light.BROKEN, "a lorry")
    before = msgspec.structs.replace(lamp)
    with pytest.raises(IllegalMove) as caught:
        move(lamp, Light.RED, "try", seconds=5)
    assert str(caught.value) == (
        "light corner cannot go broken -> red (its story: red -> green: it is time; green -> broken: a lorry)"
    )
    assert lamp == before


def test_the_error_of_a_thing_that_never_moved_says_so():
    with pytest.raises(IllegalMove, match=r"light corner cannot go red -> broken \(its story: it never moved\)"):
        move(Lamp(), Light.BROKEN, "try")


def test_an_illegal_move_is_rebuilt_from_its_arguments():
    error = IllegalMove("light", "corner", "red", "broken", ("once",))
    assert str(IllegalMove(*error.args)) == str(error)


def test_a_story_keeps_only_the_last_moves():
    lamp = Lamp()
    for number in range(3 * STORY_MOVES):
        lamp = move(lamp, Light.RED if lamp.state is Light.GREEN else Light.GREEN, f"turn {number}")
        assert len(lamp.story) == min(number + 1, STORY_MOVES)
    assert [line.partition(": ")[2] for line in lamp.story] == [
        f"turn {number}" for number in range(2 * STORY_MOVES, 3 * STORY_MOVES)
    ]


def test_what_is_born_is_in_a_start_state_and_has_no_story():
    job = Work(id="j", job="j", function=LEAD, lane="one")
    assert born(job, WorkState.QUEUED) == Work(id="j", job="j", function=LEAD, lane="one", state=WorkState.QUEUED)
    with pytest.raises(IllegalMove, match="Job j cannot go nothing -> running"):
        born(job, WorkState.RUNNING)


def test_a_task_cannot_be_born_in_a_state_that_only_jobs_know():
    with pytest.raises(IllegalMove, match="task t cannot go nothing -> queued"):
        born(Work(id="t", job="j", function="vm.start", lane="one"), WorkState.QUEUED)


def test_a_deleted_vm_goes_nowhere():
    vm = VM(id="v", vcpus=1, memory_mib=1)
    gone = move(vm, VMState.DELETING, "test")
    for state in VMState:
        with pytest.raises(IllegalMove):
            move(gone, state, "back")


# Nobody else writes a state

LOGS = ("log", "tell")  # calls whose ``state=`` is a word to print
MAKERS = ("replace", *(type.__name__ for type in STATEFUL))  # calls that make a document


def unlawful(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Where a state is written by anything but ``move``, ``born`` and ``may_move``."""
    known: set[str] = set()  # names and functions of this module whose fields are spelled out, without a state
    for _ in range(2):  # one may be made of another
        known |= {name for node in ast.walk(tree) for name in _spelled_out(node, known)}
    for node in ast.walk(tree):
        match node:
            case ast.Call():
                yield from _unlawful_call(node, known)
            case ast.Assign(targets=targets) if any(
                isinstance(t, ast.Attribute) and t.attr == "state" for t in targets
            ):
                yield node.lineno, "a state is assigned"


def _unlawful_call(call: ast.Call, known: set[str]) -> Iterator[tuple[int, str]]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if name in ("__setattr__", "force_setattr"):
        yield call.lineno, f"{name} goes round the tables"
    if "state" in given and name not in LOGS:
        yield call.lineno, f"{name}(state=…) writes a state"
    spread = [keyword.value for keyword in call.keywords if keyword.arg is None]
    if name in MAKERS and not all(_sets_no_state(fields, known) for fields in spread):
        yield call.lineno, f"{name}(**…) may write a state"
    sets = given.get("set") or (call.args[3] if name == "Change" and len(call.args) > 3 else None)
    if sets is not None and not _sets_no_state(sets, known):
        yield call.lineno, f"{name} may set a state"


def _sets_no_state(fields: ast.expr, known: set[str]) -> bool:
    """Are they spelled out, and without a state but from ``may_move``?"""
    match fields:
        case ast.Call(func=ast.Name(id=name)):
            return name == "may_move" or name in known
        case ast.Name(id=name):
            return name in known
        case ast.Dict(keys=keys, values=values):
            return all(
                _sets_no_state(value, known)
                if key is None
                else isinstance(key, ast.Constant) and str(key.value).split(".")[-1] != "state"
                for key, value in zip(keys, values, strict=True)
            )
    return False


def _spelled_out(node: ast.AST, known: set[str]) -> Iterator[str]:
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if _sets_no_state(value, known):
            yield name
        case ast.FunctionDef(name=name):
            returns = [inner.value for inner in ast.walk(node) if isinstance(inner, ast.Return)]
            if returns and all(value is not None and _sets_no_state(value, known) for value in returns):
                yield name


#: Reads documents from a file, in whatever state, or shows them: nothing of it is ever stored.
ON_PAPER = (AVE / "placement" / "snapshot.py", AVE / "api" / "shown.py")


def test_nothing_in_the_control_plane_writes_a_state_but_move_and_born():
    found = []
    for path in sorted(AVE.rglob("*.py")):
        if path not in (AVE / "model" / "states.py", *ON_PAPER):
            found += [f"{path.relative_to(AVE)}:{line}: {what}" for line, what in unlawful(ast.parse(path.read_text()))]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("vm = VM(id='a', state=VMState.RUNNING)", "VM(state=…) writes a state"),
        ("msgspec.structs.replace(vm, state=V.RUNNING)", "replace(state=…) writes a state"),
        ("replace(vm, **changes)", "replace(**…) may write a state"),
        ("VM(id='a', **fields(x))", "VM(**…) may write a state"),
        ("def f(x):\n    return {'state': x}\nreplace(vm, **f(1))", "replace(**…) may write a state"),
        ("store.commit(Change(VM, id, {}, {'state': 'running'}))", "Change may set a state"),
        ("store.commit(Change(VM, id, {}, {'on': True, 'plan.state': 'x'}))", "Change may set a state"),
        ("store.commit(Change(VM, id, {}, changes))", "Change may set a state"),
        ("store.commit(Change(VM, id, set={key: 'running'}))", "Change may set a state"),
        ("store.take(Work, where, order, set={'state': 'running'})", "take may set a state"),
        ("store.take(Work, where, order, set={**other, 'handler': 'x'})", "take may set a state"),
        ("object.__setattr__(vm, 'state', 'running')", "__setattr__ goes round the tables"),
        ("vm.state = 'running'", "a state is assigned"),
    ],
)
def test_the_scan_finds_a_state_that_is_written_past_the_tables(source, complaint):
    assert [what for _, what in unlawful(ast.parse(source))] == [complaint]


@pytest.mark.parametrize(
    "source",
    [
        "store.find(Work, {'state': 'running'}, limit=1)",
        "store.commit(Change(VM, id, {'state': 'running'}, {'on': False}))",
        "_CLAIM = may_move(TASK, a, b)\nstore.take(Work, {'state': a}, order, set={**_CLAIM, 'handler': 'x'})",
        "store.take(Work, where, order, set=may_move(TASK, a, b))",
        "runtime.log('judged', state='online')",
        "moved = move(host, verdict.state, why, reserved='')",
        "replace(vm, host=host, epoch=2)",
        "def f(x):\n    return {'host': x}\nreplace(vm, **f(1))",
    ],
)
def test_the_scan_lets_pass_what_reads_a_state_or_moves_by_the_table(source):
    assert list(unlawful(ast.parse(source))) == []
