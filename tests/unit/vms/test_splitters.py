"""What every verb does with a VM in every state: the table of legal moves, and beside it nothing but refusals by name."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from ave.errors import Refused
from ave.jobs import dag
from ave.jobs.verb import Found, Split, Verb
from ave.model.network import Network, NetworkState
from ave.model.vm import VM, VMState
from ave.model.volume import Volume, VolumeState
from ave.model.work import GROUP, Work, WorkState
from ave.operations import (
    CreateVMs,
    EditVM,
    EditVMs,
    MigrateVMs,
    NameVMs,
    NewVM,
    ShutdownVMs,
    StartVMs,
)
from ave.placement.purpose import Purpose
from ave.ports.store import Change, Check, Insert, Replace
from ave.scheduler.steps import PLACE
from ave.verbs import VERBS
from ave.vms.create import GROUP_OF

V = VMState
WEB = VM(id="web", vcpus=2, memory_mib=2048, volumes=("root",), networks=("lan",), host="one", host_epoch=1, epoch=3)


def vm(state: VMState, id: str = "web", **changes: Any) -> VM:
    return msgspec.structs.replace(WEB, id=id, state=state, **changes)


def name(*vms: str) -> NameVMs:
    return NameVMs(vms=vms)


def found(*docs: Any, **absent: type) -> Found:
    """These documents, and of those named there is none."""
    return Found({(type(doc), doc.id): doc for doc in docs} | {(kind, id): None for id, kind in absent.items()})


# Operation → the states in which it is legal, and a request that asks it of these VMs.
Ask = Callable[..., Any]
LEGAL: dict[str, tuple[tuple[VMState, ...], Ask]] = {
    "vm.start": ((V.STOPPED,), lambda *vms: StartVMs(vms=vms)),
    "vm.shutdown": ((V.RUNNING,), lambda *vms: ShutdownVMs(vms=vms)),
    "vm.poweroff": ((V.RUNNING, V.SUSPENDED, V.STARTING, V.UNKNOWN), name),
    "vm.restart": ((V.RUNNING,), lambda *vms: ShutdownVMs(vms=vms)),
    "vm.reset": ((V.RUNNING,), name),
    "vm.suspend": ((V.RUNNING,), name),
    "vm.resume": ((V.SUSPENDED,), name),
    "vm.migrate": ((V.RUNNING, V.STOPPED), lambda *vms: MigrateVMs(vms=vms)),
    "vm.delete": (tuple(V), name),
}
EVERY_PAIR = [(operation, state) for operation in LEGAL for state in VMState]


def split(operation: str, request: Any, of: Found) -> Split:
    verb: Verb = VERBS[operation]
    done = verb.split(request, of)
    for steps in (done.steps, *done.groups.values()):
        for step in steps.values():
            known = dict.fromkeys([*verb.tasks, PLACE, GROUP])
            assert step.function in known
            assert not step.undo or step.undo in known
    dag.plan(done.steps, done.results, {}, done.groups, done.groups_need)  # Refused if it hangs together wrongly
    return done


def untouched(done: Split) -> bool:
    return not done.steps and not done.groups and not [w for w in done.writes if not isinstance(w, Check)]


def test_every_vm_verb_is_in_the_matrix():
    others = ("vm.create", "vm.edit", "vm.synchronise")
    assert set(LEGAL) == {operation for operation in VERBS if operation.startswith("vm.")} - set(others)


@pytest.mark.parametrize(("operation", "state"), EVERY_PAIR)
def test_a_verb_acts_on_a_vm_in_a_legal_state_and_refuses_every_other_by_name(operation, state):
    legal, ask = LEGAL[operation]
    done = split(operation, ask("web"), found(vm(state)))
    if state in legal:
        assert not done.results
        assert [step.resource for step in done.steps.values() if step.resource][-1] == "web"
    else:
        assert untouched(done)
        assert not done.results["web"].ok
        for word in ("web", state, *legal):
            assert word in done.results["web"].why


@pytest.mark.parametrize(("operation", "state"), EVERY_PAIR)
def test_of_a_batch_each_vm_is_judged_by_itself(operation, state):
    legal, ask = LEGAL[operation]
    good = vm(legal[0], "good")
    done = split(operation, ask("good", "web", "none"), found(good, vm(state), none=VM))
    of = {step.resource for step in done.steps.values() if step.resource}
    assert of == {"good", "web"} if state in legal else {"good"}
    assert done.results["none"].why == "there is no VM none"
    assert set(done.results) == ({"none"} if state in legal else {"none", "web"})


@pytest.mark.parametrize("operation", LEGAL)
def test_a_vm_whose_lock_is_held_by_others_is_left_out(operation):
    done = split(operation, LEGAL[operation][1]("web"), found())
    assert untouched(done)
    assert not done.results


@pytest.mark.parametrize("operation", LEGAL)
def test_what_runs_is_acted_upon_where_it_runs(operation):
    legal, ask = LEGAL[operation]
    if V.RUNNING not in legal:
        return
    steps = split(operation, ask("web"), found(vm(V.RUNNING))).steps
    assert [step.host for step in steps.values() if step.resource and step.function != "vm.delete"] == ["one"]


@pytest.mark.parametrize(("operation", "on"), [("vm.start", True), ("vm.restart", True), ("vm.reset", True)])
def test_what_shall_run_is_wanted_from_the_beginning(operation, on):
    legal, ask = LEGAL[operation]
    assert split(operation, ask("web"), found(vm(legal[0]))).writes == (Change(VM, "web", {}, {"on": on}),)


@pytest.mark.parametrize("operation", ["vm.shutdown", "vm.restart"])
@pytest.mark.parametrize("seconds", [0.0, -1.0, 3601.0, float("nan")])
def test_guests_have_between_a_second_and_an_hour(operation, seconds):
    with pytest.raises(Refused, match="it must be 1 to 3600 s"):
        split(operation, ShutdownVMs(vms=("web",), seconds=seconds), found(vm(V.RUNNING)))


@pytest.mark.parametrize("operation", ["vm.restart", "vm.reset"])
def test_a_restart_knows_the_epoch_with_which_it_began(operation):
    (step,) = split(operation, LEGAL[operation][1]("web"), found(vm(V.RUNNING))).steps.values()
    assert step.arguments["epoch"] == WEB.epoch


# Migration


def test_running_and_stopped_vms_are_placed_apart_by_the_formula_for_each():
    request = MigrateVMs(vms=("hot", "cold"), host="two")
    steps = split("vm.migrate", request, found(vm(V.RUNNING, "hot"), vm(V.STOPPED, "cold"))).steps
    placings = {name: step.arguments for name, step in steps.items() if step.function == PLACE}
    assert {name: (p["vms"], p["purpose"], p["host"], p["leave"]) for name, p in placings.items()} == {
        "place": (("hot",), Purpose.LIVE, "two", True),
        "place/stopped": (("cold",), Purpose.START, "two", True),
    }
    assert (steps["migrate/hot"].function, steps["migrate/hot"].undo) == ("vm.migrate", "vm.abort-migration")
    assert (steps["assign/cold"].function, steps["assign/cold"].host) == ("vm.assign", "")


@pytest.mark.parametrize("state", [V.RUNNING, V.STOPPED])
def test_a_vm_does_not_migrate_to_where_it_is(state):
    done = split("vm.migrate", MigrateVMs(vms=("web",), host="one"), found(vm(state)))
    assert untouched(done)
    assert done.results["web"].why == "web is on one already: name another host, or none"


def test_a_vm_of_which_a_copy_may_be_left_elsewhere_does_not_migrate_until_that_host_has_looked():
    """Its memory may still be taken there: two copies of others beside it were more than the host has."""
    done = split("vm.migrate", MigrateVMs(vms=("web",)), found(vm(V.RUNNING, reserved="two")))
    assert untouched(done)
    assert done.results["web"].why.startswith("something of web may still be on two: try again")


# Creation


def batch(count: int, **changes: Any) -> tuple[NewVM, ...]:
    return tuple(NewVM(id=f"n{i}", vcpus=1, memory_mib=512, **changes) for i in range(count))


def create(*new: NewVM, start: bool = True, of: tuple[Any, ...] = ()) -> Split:
    free = {one.id: VM for one in new if one.id not in [doc.id for doc in of]}
    return split("vm.create", CreateVMs(vms=new, start=start), found(*of, **free))


@pytest.mark.parametrize("start", [True, False])
@pytest.mark.parametrize("count", [1, 2, GROUP_OF])
def test_a_small_batch_is_one_plan(count, start):
    done = create(*batch(count), start=start)
    assert not done.groups
    assert list(done.steps) == [PLACE] * start + [
        step for i in range(count) for step in (f"volumes/n{i}", f"start/n{i}")[: 1 + start]
    ]
    assert {step.undo for name, step in done.steps.items() if name.startswith("volumes")} == {"vm.discard"}
    if start:
        assert set(done.steps["start/n0"].needs) == {PLACE, "volumes/n0"}


@pytest.mark.parametrize("start", [True, False])
@pytest.mark.parametrize("count", [GROUP_OF + 1, 2 * GROUP_OF, 1000])
def test_a_large_batch_goes_on_in_groups_of_which_each_has_its_vms_steps_and_no_other(count, start):
    done = create(*batch(count), start=start)
    assert list(done.steps) == [PLACE] * start
    assert done.groups_need == (PLACE,) * start
    assert len(done.groups) == -(-count // GROUP_OF)
    made = [step.resource for steps in done.groups.values() for step in steps.values()]
    assert sorted(dict.fromkeys(made)) == sorted(f"n{i}" for i in range(count))
    assert len(made) == count * (1 + start)
    assert max(len(steps) for steps in done.groups.values()) == GROUP_OF * (1 + start)
    if start:
        assert len(done.steps[PLACE].arguments["vms"]) == count


def test_a_place_that_fails_for_a_large_batch_is_followed_by_what_leaves_nothing_of_it():
    done = create(*batch(GROUP_OF + 1))
    plan = dag.plan(done.steps, {}, {}, done.groups, done.groups_need)
    failed = Work(id="j/place", job="j", step=PLACE, function=PLACE, lane="x", state=WorkState.FAILED, attempt=1)
    plan = dag.fold(plan, [failed])
    assert [step.function for step in plan.steps.values()] == ["vm.discard"] * (GROUP_OF + 1)
    assert sorted(step.resource for step in plan.steps.values()) == sorted(f"n{i}" for i in range(GROUP_OF + 1))
    assert all(not plan.results[f"n{i}"].ok for i in range(GROUP_OF + 1))


@pytest.mark.parametrize("state", VMState)
def test_a_name_that_is_taken_is_refused_and_the_rest_of_the_batch_is_made(state):
    done = create(*batch(2), of=(vm(state, "n0"),))
    assert "n0" in done.results["n0"].why
    assert "delete it first" in done.results["n0"].why or state is not V.CREATING
    assert [write.doc.id for write in done.writes if isinstance(write, Insert)] == ["n1"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"vcpus": 0},
        {"vcpus": 1025},
        {"memory_mib": 0},
        {"memory_mib": 2**26 + 1},
        {"disks_gib": (0,)},
        {"disks_gib": (1, 65_537)},
        {"disks_gib": (1,) * 65},
        {"id": ""},
        {"id": "a/b"},
        {"id": "x" * 129},
        {"id": "a\nb"},
        {"name": "x" * 129},
        {"name": "a\nb"},
    ],
)
def test_what_no_vm_may_be_is_refused_for_the_whole_request(wrong):
    new = msgspec.structs.replace(batch(1)[0], **wrong)
    with pytest.raises(Refused):
        create(new, batch(2)[1])


def test_a_vm_is_not_connected_to_a_network_that_goes_nor_to_the_hosts_own():
    going = Network(id="old", state=NetworkState.DELETING)
    for network, why in (("old", "is being deleted"), ("storage", "the hosts' own"), ("management", "the hosts' own")):
        done = create(*batch(1, networks=(network,)), of=(going,))
        assert untouched(done)
        assert "n0 cannot be connected" in done.results["n0"].why
        assert why in done.results["n0"].why


def test_that_a_network_still_is_there_is_a_condition_of_the_commit():
    done = create(*batch(2, networks=("lan", "undeclared")), of=(Network(id="lan"),))
    checks = [write for write in done.writes if isinstance(write, Check)]
    assert checks == [Check(Network, "lan", {"state": NetworkState.ACTIVE})]


# Editing

READY, OTHERS = Volume(id="data", size_gib=1, state=VolumeState.READY), "other"
SETTLED = (V.STOPPED, V.RUNNING, V.SUSPENDED, V.UNKNOWN)
PLUGGABLE = (V.STOPPED, V.RUNNING)
# What is edited → the states in which that is legal, and those of them in which it takes a task.
EDITS: dict[str, tuple[dict[str, Any], tuple[VMState, ...], tuple[VMState, ...]]] = {
    "name": ({"name": "the web"}, SETTLED, ()),
    "ha": ({"ha": False}, SETTLED, ()),
    "priority": ({"priority": "high"}, SETTLED, ()),
    "labels": ({"labels": {"a": "b"}}, SETTLED, ()),
    "vcpus": ({"vcpus": 4}, (V.STOPPED,), ()),
    "memory": ({"memory_mib": 4096}, (V.STOPPED,), ()),
    "networks": ({"networks": ("lan", "lan")}, PLUGGABLE, (V.RUNNING,)),
    "attach": ({"attach": ("data",)}, PLUGGABLE, PLUGGABLE),
    "detach": ({"detach": ("root",)}, PLUGGABLE, PLUGGABLE),
    "cdrom": ({"cdrom": "data"}, PLUGGABLE, PLUGGABLE),
}


def edit(target: VM, *others: Any, **wish: Any) -> Split:
    of = found(target, *(others or (READY,)))
    return split("vm.edit", EditVMs(vms=(msgspec.convert({"id": target.id, **wish}, EditVM),)), of)


@pytest.mark.parametrize("state", VMState)
@pytest.mark.parametrize("what", EDITS)
def test_each_edit_in_each_state(what, state):
    wish, legal, by_task = EDITS[what]
    done = edit(vm(state), **wish)
    if state not in legal:
        assert untouched(done)
        assert not done.results["web"].ok
        for word in ("web", state):
            assert word in done.results["web"].why
    elif state in by_task:
        ((step_name, step),) = done.steps.items()
        assert (step_name, step.function, step.undo) == ("edit/web", "vm.edit", "vm.unedit")
        assert step.host == ("one" if state is V.RUNNING else "")
        assert not done.results
    else:
        (write,) = [write for write in done.writes if isinstance(write, Replace)]
        assert done.results["web"].ok
        assert not done.steps
        assert write.doc.state is state
        changed = {f: v for f, v in msgspec.structs.asdict(write.doc).items() if v != getattr(vm(state), f)}
        assert changed == {field: tuple(v) if isinstance(v, list) else v for field, v in wish.items()}


@pytest.mark.parametrize("state", SETTLED)
def test_an_edit_that_changes_nothing_is_done(state):
    done = edit(vm(state), vcpus=WEB.vcpus, memory_mib=WEB.memory_mib, networks=WEB.networks, name="", cdrom="")
    assert done.results["web"].ok
    assert untouched(done)
    assert edit(vm(state)).results["web"].ok


def test_a_running_vm_is_told_to_shut_down_before_its_memory_is_changed():
    assert "shut it down first" in edit(vm(V.RUNNING), memory_mib=4096).results["web"].why


def test_an_edit_is_refused_as_a_whole():
    done = edit(vm(V.RUNNING), name="new", vcpus=4)
    assert untouched(done)
    assert not done.results["web"].ok


@pytest.mark.parametrize("field", ["attach", "cdrom"])
@pytest.mark.parametrize(
    ("volume", "why"),
    [
        (msgspec.structs.replace(READY, vm="db"), "volume data belongs to VM db: detach it there first"),
        (msgspec.structs.replace(READY, state=VolumeState.CREATING), "is creating"),
        (msgspec.structs.replace(READY, state=VolumeState.DELETING), "is deleting"),
        (None, "there is no volume data for web"),
        (OTHERS, "is locked by another Job"),
    ],
)
def test_a_volume_that_is_not_to_be_had_is_refused_by_name(field, volume, why):
    docs = {(VM, "web"): vm(V.RUNNING)} | ({} if volume is OTHERS else {(Volume, "data"): volume})
    wish = {"attach": ("data",)} if field == "attach" else {"cdrom": "data"}
    done = split("vm.edit", EditVMs(vms=(EditVM(id="web", **wish),)), Found(docs))
    assert untouched(done)
    assert why in done.results["web"].why


def test_a_volume_that_it_has_not_cannot_be_detached():
    assert edit(vm(V.STOPPED), detach=("data",)).results["web"].why == "web has no volume data that could be detached"


def test_a_volume_is_a_disk_or_in_the_drive_and_not_both():
    done = edit(vm(V.STOPPED), cdrom="root")
    assert untouched(done)
    assert "both as a disk and in its CD-ROM drive" in done.results["web"].why


def test_a_vm_has_at_most_64_disks():
    full = vm(V.STOPPED, volumes=tuple(f"d{i}" for i in range(64)))
    assert "it may have 64" in edit(full, attach=("data",)).results["web"].why
    assert not edit(full, attach=("data",), detach=("d0",)).results


def test_the_volumes_that_come_and_go_are_locked_with_the_vm():
    wish = EditVM(id="web", attach=("a",), detach=("b",), cdrom="c")
    resources = VERBS["vm.edit"].resources(EditVMs(vms=(wish, EditVM(id="db", cdrom=""))))
    assert resources == ((VM, "web"), (VM, "db"), (Volume, "a"), (Volume, "b"), (Volume, "c"))


@pytest.mark.parametrize("wrong", [{"vcpus": 0}, {"memory_mib": -1}, {"name": "x" * 129}])
def test_an_edit_to_what_no_vm_may_be_is_refused(wrong):
    with pytest.raises(Refused):
        edit(vm(V.STOPPED), **wrong)


def test_absent_fields_are_not_sent_along():
    assert msgspec.to_builtins(EditVM(id="web", name="")) == {"id": "web", "name": "", "attach": (), "detach": ()}
    assert msgspec.convert({"id": "web"}, EditVM, strict=False).labels is UNSET
