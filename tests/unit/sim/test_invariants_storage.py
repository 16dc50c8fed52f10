"""The invariants of volumes: what was written stays, what is in use is not deleted, and nothing stays attached."""

from __future__ import annotations

from typing import Any

import pytest

from ave.model.cluster import Lock
from ave.model.vm import VM, VMState
from ave.model.volume import Volume, VolumeState
from ave.ports.hypervisor import Stamp
from drivers.sim.facts import Effect, Started
from drivers.sim.network import Plane
from drivers.sim.records import RUNS_KEPT, Records
from sim.invariants.calm import PEACE_SECONDS
from sim.invariants.s5_acknowledged_stays import AcknowledgedStays
from sim.invariants.s10_nothing_in_use_deleted import NothingInUseDeleted
from sim.invariants.s12_attached_where_it_runs import AttachedWhereItRuns
from tests.unit.sim.history import History, W, job, of, vm

pytestmark = pytest.mark.usefixtures("hosts")


def web(on: str = "host-1", epoch: int = 1, **fields: Any) -> VM:
    return vm("web", on, **{"volumes": ("disk",), "epoch": epoch, **fields})


def attach(history: History, owner: str, epoch: int) -> None:
    storage = history.cluster.storage
    if "disk" not in storage.volumes:
        storage.place("disk", 20, owner, epoch)
    storage.volumes["disk"].owner, storage.volumes["disk"].epoch = owner, epoch


def write(history: History, on: str, epoch: int, *records: int) -> None:
    for record in records:
        history.cluster.storage.accept(on, [("disk", "web", epoch, epoch, record)])


def restart(history: History, on: str, epoch: int) -> None:
    history.put(web(on, epoch))
    history.saw(Started("web", on, epoch, epoch, 4096, False))


# S5


@of(AcknowledgedStays)
def test_records_that_go_on_over_restarts_are_well(history: History) -> None:
    attach(history, "host-1", 1)
    write(history, "host-1", 1, 1, 2, 3, 3)
    attach(history, "host-2", 2)
    restart(history, "host-2", 2)
    write(history, "host-1", 1, 4)  # refused: it is fenced
    write(history, "host-2", 2, 4, 5)
    history.end()
    assert history.armed == 2


@of(AcknowledgedStays)
def test_a_restart_from_a_volume_that_lost_a_record_breaks_s5(history: History) -> None:
    attach(history, "host-1", 1)
    write(history, "host-1", 1, 1, 2, 3)
    history.cluster.storage.volumes["disk"].records.runs[-1].last = 2
    with history.broken("web", "disk"):
        restart(history, "host-2", 2)


@of(AcknowledgedStays)
def test_a_volume_that_is_not_there_at_the_end_breaks_s5(history: History) -> None:
    attach(history, "host-1", 1)
    write(history, "host-1", 1, 1)
    del history.cluster.storage.volumes["disk"]
    with history.broken("web", "disk"):
        history.end()


@of(AcknowledgedStays)
def test_one_that_was_deleted_and_made_again_owes_nothing(history: History) -> None:
    attach(history, "host-1", 1)
    write(history, "host-1", 1, 1)
    history.saw(Effect("volume/disk", Stamp(), "delete"))
    del history.cluster.storage.volumes["disk"]
    attach(history, "host-1", 1)
    restart(history, "host-1", 1)


@of(AcknowledgedStays)
@pytest.mark.parametrize("records", [(1, 2, 4), (1, 3)], ids=str)
def test_a_gap_breaks_s5(history: History, records: tuple[int, ...]) -> None:
    attach(history, "host-1", 1)
    write(history, "host-1", 1, *records)
    with history.broken("web", "disk"):
        history.end()


@of(AcknowledgedStays)
def test_an_old_record_behind_a_new_one_breaks_s5(history: History) -> None:
    attach(history, "host-2", 2)
    write(history, "host-2", 2, 1)
    attach(history, "host-1", 1)
    write(history, "host-1", 1, 2)
    with history.broken("web", "disk"):
        restart(history, "host-2", 2)


def test_a_volume_remembers_a_bounded_number_of_runs() -> None:
    records = Records()
    for epoch in range(1, 3 * RUNS_KEPT):
        records.put("web", epoch, epoch)
    assert len(records.runs) == RUNS_KEPT
    assert records.last("web") == 3 * RUNS_KEPT - 1
    assert records.last("db") == 0


# S10


def delete(history: History, job: str = "j") -> None:
    history.saw(Effect("volume/disk", Stamp(job=job), "delete"))


def known(history: History, owner: str = "", **fields: Any) -> None:
    history.put(Volume(id="disk", size_gib=20, state=VolumeState.READY, vm=owner, **fields))


@of(NothingInUseDeleted)
def test_a_free_volume_and_that_of_a_vm_that_goes_may_be_deleted(history: History) -> None:
    attach(history, "", 1)
    known(history)
    delete(history)
    known(history, "web")
    history.put(web("", state=VMState.DELETING), job("j", W.RUNNING), Lock(id="vm/web", job="j"))
    delete(history)
    assert history.armed == 2


@of(NothingInUseDeleted)
def test_to_delete_what_is_attached_breaks_s10(history: History) -> None:
    attach(history, "host-1", 1)
    with history.broken("disk"):
        delete(history)


@of(NothingInUseDeleted)
def test_to_delete_what_a_domain_has_breaks_s10(history: History) -> None:
    attach(history, "", 1)
    history.cluster.machines["host-1"].add(web(), 1, incoming=False)
    with history.broken("disk"):
        delete(history)


@of(NothingInUseDeleted)
def test_to_delete_what_a_vm_is_to_keep_breaks_s10(history: History) -> None:
    attach(history, "", 1)
    known(history, "web")
    history.put(web("", state=VMState.STOPPED))
    with history.broken("disk"):
        delete(history)


@of(NothingInUseDeleted)
@pytest.mark.parametrize("resource", ["volume/disk", "vm/web"])
def test_to_delete_what_another_job_has_breaks_s10(history: History, resource: str) -> None:
    attach(history, "", 1)
    known(history, "web")
    history.put(web("", state=VMState.DELETING), Lock(id=resource, job="other"))
    with history.broken("disk"):
        delete(history)


# S12


def at_peace(history: History, seconds: float = PEACE_SECONDS + 60) -> None:
    history.wait(1)
    history.disturb()
    history.wait(seconds)
    history.end()


@of(AttachedWhereItRuns)
def test_a_volume_that_is_where_its_vm_is_is_well(history: History) -> None:
    attach(history, "host-1", 1)
    known(history, "web")
    history.put(web())
    at_peace(history)
    assert history.armed


@of(AttachedWhereItRuns)
@pytest.mark.parametrize(
    ("owner", "epoch", "wanted"),
    [
        ("host-1", 1, web("host-1", state=VMState.STOPPED)),
        ("host-1", 1, web("host-2", 2)),
        ("host-1", 1, web("host-1", 2)),
        ("", 1, web("host-1")),
        ("host-1", 1, web("host-1", volumes=())),
        ("host-2", 1, web("host-1", state=VMState.UNKNOWN)),
    ],
    ids=["off", "elsewhere", "an older epoch", "not attached", "not its own", "where it never was"],
)
def test_a_volume_that_stays_attached_wrongly_breaks_s12(history: History, owner: str, epoch: int, wanted: VM) -> None:
    attach(history, owner, epoch)
    known(history, "web")
    history.put(wanted)
    with history.broken("disk"):
        at_peace(history)


@of(AttachedWhereItRuns)
@pytest.mark.parametrize("what", ["a Job is at work", "a fault is under way", "somebody looks into it in between"])
def test_s12_waits_for_peace(history: History, what: str) -> None:
    attach(history, "host-1", 1)
    known(history, "web")
    history.put(web("host-1", state=VMState.STOPPED))
    if what == "a Job is at work":
        history.put(Lock(id="vm/web", job="j"))
    elif what == "a fault is under way":
        history.cluster.network.cut(("host-3",), (Plane.MANAGEMENT,))
    at_peace(history, PEACE_SECONDS - 60)
    if what == "somebody looks into it in between":
        attach(history, "", 1)
        history.wait(60)
        attach(history, "host-1", 1)
    history.wait(PEACE_SECONDS - 60)
