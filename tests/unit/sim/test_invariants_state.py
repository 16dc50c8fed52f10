"""The invariants of what is known: the store and the world agree, and nobody decides on what may be out of date."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ave.model.cluster import Lock, Role
from ave.model.host import Host, HostState
from ave.model.vm import VM, VMState
from ave.model.volume import Volume, VolumeState
from ave.ports.store import Change, Check, Replace
from drivers.sim.facts import Started
from drivers.sim.guest import Guest
from sim.answers import Shown
from sim.invariants.calm import PEACE_SECONDS
from sim.invariants.d1_as_wanted import AsWanted
from sim.invariants.d2_no_orphans import NoOrphans
from sim.invariants.d3_decided_on_what_holds import DecidedOnWhatHolds
from sim.invariants.d5_shown_soon import STALE_SECONDS, ShownSoon
from sim.invariants.d9_silence_is_no_absence import SilenceIsNoAbsence
from tests.unit.sim.history import History, W, host, job, of, vm

pytestmark = pytest.mark.usefixtures("hosts")


def web(on: str = "host-1", epoch: int = 1, **fields: Any) -> VM:
    return vm("web", on, **{"epoch": epoch, **fields})


def domain(history: History, on: str = "host-1", epoch: int = 1, **fields: Any) -> Guest:
    return history.cluster.machines[on].add(web(on, epoch, **fields), epoch, incoming=False)


def at_peace(history: History, seconds: float) -> None:
    history.wait(1)
    history.disturb()
    history.wait(seconds + 60)
    history.end()


# D1


@of(AsWanted)
def test_a_vm_that_is_as_the_store_says_is_well(history: History) -> None:
    history.put(web())
    domain(history)
    at_peace(history, PEACE_SECONDS)
    assert history.armed


@of(AsWanted)
@pytest.mark.parametrize(
    "wanted",
    [
        web(vcpus=4),
        web(memory_mib=8192),
        web(volumes=("disk",)),
        web(networks=("vm", "vm-2")),
        web(epoch=2),
        web("host-2"),
        web(state=VMState.STOPPED),
        web(state=VMState.SUSPENDED),
        web(state=VMState.STARTING),
    ],
    ids=["vCPUs", "memory", "disks", "NICs", "epoch", "host", "off", "suspended", "half done"],
)
def test_a_vm_that_stays_unlike_its_document_breaks_d1(history: History, wanted: VM) -> None:
    history.put(wanted)
    domain(history)
    with history.broken("web"):
        at_peace(history, PEACE_SECONDS)


@of(AsWanted)
def test_one_that_runs_twice_or_nowhere_breaks_d1(history: History) -> None:
    history.put(web())
    domain(history)
    domain(history, "host-2")
    with history.broken("web", "host-1"):
        at_peace(history, PEACE_SECONDS)
    history.cluster.machines["host-1"].guests.clear()
    history.cluster.machines["host-2"].guests.clear()
    with history.broken("web", "host-1"):
        at_peace(history, PEACE_SECONDS)


@of(AsWanted)
def test_what_a_job_is_at_work_on_is_its_own(history: History) -> None:
    history.put(web(vcpus=4), Lock(id="vm/web", job="j"))
    domain(history)
    at_peace(history, PEACE_SECONDS)


# D2


@of(NoOrphans)
def test_a_domain_of_nobody_breaks_d2(history: History) -> None:
    domain(history)
    with history.broken("web", "host-1"):
        at_peace(history, NoOrphans.seconds)


@of(NoOrphans)
def test_a_volume_without_a_document_or_without_a_lun_breaks_d2(history: History) -> None:
    history.cluster.storage.place("disk", 20, "", 1)
    with history.broken("disk"):
        at_peace(history, NoOrphans.seconds)
    history.put(Volume(id="disk", size_gib=20, state=VolumeState.READY))
    at_peace(history, NoOrphans.seconds)
    assert history.armed
    del history.cluster.storage.volumes["disk"]
    with history.broken("disk"):
        at_peace(history, NoOrphans.seconds)


@of(NoOrphans)
def test_the_volume_of_a_vm_that_is_no_more_breaks_d2(history: History) -> None:
    history.cluster.storage.place("disk", 20, "", 1)
    history.put(Volume(id="disk", size_gib=20, state=VolumeState.READY, vm="web"))
    with history.broken("disk", "web"):
        at_peace(history, NoOrphans.seconds)


@of(NoOrphans)
def test_room_and_locks_of_jobs_that_are_over_break_d2(history: History) -> None:
    history.put(web("", reserved="host-2"), Lock(id="vm/web", job="j"), job("j", W.RUNNING))
    at_peace(history, NoOrphans.seconds)
    history.put(job("j", W.DONE))
    with history.broken("vm/web", "j"):
        at_peace(history, NoOrphans.seconds)
    history.put(Lock(id="vm/web"))
    with history.broken("web", "host-2"):
        at_peace(history, NoOrphans.seconds)


# D3


def commit(history: History, *writes: Any) -> None:
    history.cluster.store.ledger.commit(writes, history.cluster.world.now)


def given(history: History, type: type[Any], id: str) -> Check:
    return Check(type, id, {"version": history.cluster.store.ledger.get(type, id).version})


@of(DecidedOnWhatHolds)
def test_decisions_that_hold_what_they_rest_on_are_well(history: History) -> None:
    history.put(web(""), Role(id="scheduler"), Role(id="monitor"), Lock(id="vm/web", job="j"))
    history.cluster.store.set_lag(60.0)
    place = Change(VM, "web", {"version": 1}, {"reserved": "host-1"})
    commit(history, place, given(history, Host, "host-1"), given(history, Role, "scheduler"))
    grant = Replace(web("host-1", 2, version=2, state=VMState.STARTING))
    commit(history, grant, given(history, Host, "host-1"), Check(Lock, "vm/web", {"job": "j"}))
    fence = Replace(host("host-1", state=HostState.FENCED, version=1))
    commit(history, fence, given(history, Role, "monitor"))
    assert history.armed == 3


@of(DecidedOnWhatHolds)
@pytest.mark.parametrize("without", ["vm", "host", "role"])
def test_a_place_that_rests_on_what_may_be_old_breaks_d3(history: History, without: str) -> None:
    history.put(web(""), Role(id="scheduler"))
    place = Change(VM, "web", {} if without == "vm" else {"version": 1}, {"reserved": "host-1"})
    checks = [("host", given(history, Host, "host-1")), ("role", given(history, Role, "scheduler"))]
    with history.broken("web"):
        commit(history, place, *(check for kind, check in checks if kind != without))


@of(DecidedOnWhatHolds)
@pytest.mark.parametrize("without", ["vm", "host", "lock"])
def test_a_right_that_rests_on_what_may_be_old_breaks_d3(history: History, without: str) -> None:
    history.put(web(""), Lock(id="vm/web", job="j"))
    right = {"host": "host-2", "epoch": 2, "state": VMState.STARTING}
    grant = Change(VM, "web", {} if without == "vm" else {"version": 1}, right)
    checks = [("host", given(history, Host, "host-2")), ("lock", Check(Lock, "vm/web", {"job": "j"}))]
    with history.broken("web"):
        commit(history, grant, *(check for kind, check in checks if kind != without))


@of(DecidedOnWhatHolds)
def test_a_verdict_that_rests_on_what_may_be_old_breaks_d3(history: History) -> None:
    history.put(Role(id="monitor"))
    with history.broken("host-1"):
        commit(history, Replace(host("host-1", state=HostState.FENCED, version=1)))


# D5


def shown(history: History, version: int) -> None:
    history.saw(Shown("j", "host-2", history.cluster.world.now, version))


@of(ShownSoon)
def test_what_is_shown_as_it_is_or_was_a_moment_ago_is_well(history: History) -> None:
    history.put(job("j", W.READY))
    shown(history, 1)
    history.wait(10)
    history.put(job("j", W.RUNNING))
    history.wait(STALE_SECONDS - 1)
    shown(history, 1)
    shown(history, 2)
    assert history.armed == 3


@of(ShownSoon)
def test_a_job_that_is_not_seen_breaks_d5(history: History) -> None:
    history.put(job("j", W.READY))
    with history.broken("j", "host-2"):
        shown(history, 0)


@of(ShownSoon)
def test_a_job_that_is_shown_as_it_was_long_ago_breaks_d5(history: History) -> None:
    history.put(job("j", W.READY))
    history.put(job("j", W.RUNNING))
    history.wait(1)
    history.put(job("j", W.WAITING))
    history.wait(STALE_SECONDS)
    with history.broken("j", "host-2"):
        shown(history, 1)


# D9


@of(SilenceIsNoAbsence)
@pytest.mark.parametrize("said", [VMState.STOPPED, VMState.UNKNOWN])
def test_a_vm_that_is_said_to_be_gone_while_it_is_there_breaks_d9(history: History, said: VMState) -> None:
    history.put(web())
    domain(history)
    with history.broken("web", "host-1"):
        history.put(web(state=said, host_epoch=0))


@of(SilenceIsNoAbsence)
def test_one_that_is_gone_or_whose_host_is_judged_may_be_said_to_be(history: History) -> None:
    history.put(web())
    history.put(web(state=VMState.UNKNOWN))
    assert history.armed == 1
    history.put(web())
    domain(history)
    history.put(host("host-1", state=HostState.FENCED))
    history.put(web(state=VMState.UNKNOWN))
    assert history.armed == 1


@of(SilenceIsNoAbsence)
def test_a_second_start_under_the_same_right_breaks_d9(history: History) -> None:
    history.put(web())
    domain(history)
    again = Started("web", "host-2", 9, 1, 4096, True)
    history.saw(again)
    with history.broken("web", "host-1"):
        history.saw(msgspec.structs.replace(again, incoming=False))
