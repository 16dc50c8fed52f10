from typing import Any

import pytest

from ave.errors import NoFit
from ave.model.group import Rule
from ave.model.host import HostState
from ave.model.vm import VMState
from ave.placement.filters import FILTERS, masks, screen
from ave.placement.place import place
from ave.placement.purpose import Purpose
from ave.placement.unit import alone
from tests.unit.placement.clusters import GIB, group, host, view, vm


def passes(name: str, of, hosts, vms=()) -> list[str]:
    rule = next(rule for rule in FILTERS if rule.name == name)
    seen = view(hosts, vms)
    mask = rule.passes(alone(of), seen, Purpose.START)
    return [each.id for each in hosts if mask is None or mask[seen.rows[each.id]]]


def test_only_a_host_that_is_online_is_available():
    hosts = [host(state.value, state=state) for state in HostState]
    assert passes("HostAvailableFilter", vm("v"), hosts) == ["online", "entering-maintenance", "maintenance"]
    assert screen(alone(vm("v")), view(hosts), Purpose.START).rejected == {
        "HostAvailableFilter": len(HostState) - 3,
        "MaintenanceFilter": 2,
    }


def test_maintenance_turns_vms_away_from_the_moment_it_is_entered():
    hosts = [
        host("up"),
        host("leaving", state=HostState.ENTERING_MAINTENANCE),
        host("out", state=HostState.MAINTENANCE),
    ]
    assert passes("MaintenanceFilter", vm("v"), hosts) == ["up"]


def test_all_networks_of_the_vm_must_be_present():
    hosts = [host("both", networks=("b", "a")), host("one", networks=("a",)), host("none")]
    assert passes("NetworkFilter", vm("v", networks=("a", "b")), hosts) == ["both"]
    assert passes("NetworkFilter", vm("v", networks=("a", "unheard-of")), hosts) == []
    assert passes("NetworkFilter", vm("v"), hosts) == ["both", "one", "none"]


def test_networks_beyond_the_sixty_fourth_count_as_well():
    names = tuple(f"net-{n}" for n in range(130))
    hosts = [host("most", networks=names[:-1]), host("all", networks=names)]
    assert passes("NetworkFilter", vm("v", networks=names), hosts) == ["all"]
    assert passes("NetworkFilter", vm("v", networks=(names[3], names[70])), hosts) == ["most", "all"]


def test_a_network_taken_from_a_host_is_gone():
    seen = view([host("h", networks=("a", "b"))])
    assert screen(alone(vm("v", networks=("a",))), seen, Purpose.START).left == 1
    seen.put_host(host("h", networks=("b",)))
    assert screen(alone(vm("v", networks=("a",))), seen, Purpose.START).left == 0


def test_a_cpu_model_fits_itself_and_any():
    hosts = [host("old", cpu_model="old"), host("new", cpu_model="new"), host("any")]
    assert passes("CpuModelFilter", vm("v", cpu_model="new"), hosts) == ["new", "any"]
    assert passes("CpuModelFilter", vm("v", cpu_model="any"), hosts) == ["old", "new", "any"]
    assert passes("CpuModelFilter", vm("v", cpu_model="unheard-of"), hosts) == ["any"]


def test_a_model_nobody_has_fits_no_host_that_names_another():
    assert passes("CpuModelFilter", vm("v", cpu_model="unheard-of"), [host("old", cpu_model="old")]) == []


def test_memory_may_be_filled_exactly():
    running = [vm("r", 50, state=VMState.RUNNING, host="h")]
    hosts = [host("h", 64, reserve_mib=4 * GIB)]
    assert passes("HostAvailableMemoryFilter", vm("v", 10), hosts, running) == ["h"]
    assert passes("HostAvailableMemoryFilter", vm("v", 11), hosts, running) == []


def test_memory_of_suspended_and_unknown_vms_is_taken_and_of_stopped_ones_free():
    for state, fits in ((VMState.SUSPENDED, []), (VMState.UNKNOWN, []), (VMState.STOPPED, ["h"])):
        assert (
            passes("HostAvailableMemoryFilter", vm("v", 40), [host("h")], [vm("r", 40, state=state, host="h")]) == fits
        )


def test_in_flight_reservations_count():
    for state in VMState:
        in_flight = vm("r", 40, state=state, host="elsewhere", reserved="h")
        assert passes("HostAvailableMemoryFilter", vm("v", 40), [host("h")], [in_flight]) == []


def test_an_overfull_host_takes_nothing_more():
    assert passes("HostAvailableMemoryFilter", vm("v", 0), [host("h", 2)], [vm("r", 4, reserved="h")]) == []


def test_a_host_is_counted_against_the_first_filter_it_fails():
    able: dict[str, Any] = {"networks": ("a", "b"), "exclusive_cpus": 8}
    hosts = [
        host("forbidden", 1, state=HostState.FENCED),
        host("dead", 1, state=HostState.FENCED),
        host("resting", 1, state=HostState.MAINTENANCE),
        host("apart", 1),
        host("old", 1, networks=("a", "b"), cpu_model="old"),
        host("small", 1, networks=("a", "b")),
        host("shared", networks=("a", "b"), nics_max=1),
        host("narrow", nics_max=1, volumes_max=1, **able),
        host("full", volumes_max=1, **able),
    ]
    rule = group("g", Rule.MUST_NOT_HOSTS, ["v"], hosts=("forbidden",))
    of = vm("v", networks=("a", "b"), cpu_model="new", pinned=True, volumes=("c", "d"))
    with pytest.raises(NoFit) as refusal:
        place(view(hosts, groups=[rule]), of, Purpose.START)
    assert list(refusal.value.rejected.items()) == [(rule.name, 1) for rule in FILTERS]
    assert refusal.value.hosts == len(hosts)


def test_a_kept_answer_does_not_outlive_a_change_of_a_host():
    seen = view([host("h")])
    assert screen(alone(vm("v")), seen, Purpose.START).left == 1
    seen.put_host(host("h", state=HostState.SUSPECT))
    assert screen(alone(vm("v")), seen, Purpose.START).left == 0
    seen.put_host(host("g"))
    assert screen(alone(vm("v")), seen, Purpose.START).left == 1
    seen.drop_host("g")
    assert screen(alone(vm("v")), seen, Purpose.START).left == 0


def test_the_number_of_kept_answers_is_bounded():
    seen = view([host("h", networks=("a",))])
    for n in range(1000):
        assert screen(alone(vm("v", networks=(f"net-{n}",))), seen, Purpose.START).left == 0
    assert len(seen.kept) <= 256


def test_each_filter_can_be_asked_by_itself():
    hosts = [host("a", 1), host("b", state=HostState.FENCED), host("c", networks=("x",))]
    answers = masks(alone(vm("v", networks=("x",))), view(hosts), Purpose.START)
    assert list(answers) == [rule.name for rule in FILTERS]
    assert answers["HostAvailableFilter"].tolist() == [True, False, True]
    assert answers["NetworkFilter"].tolist() == [False, False, True]
    assert answers["HostAvailableMemoryFilter"].tolist() == [False, True, True]


def test_every_filter_has_a_phrase_for_people():
    assert all(rule.phrase and rule.name.endswith("Filter") for rule in FILTERS)
