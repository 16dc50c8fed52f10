"""A scenario file that is right: every quantity in one unit, every default filled in, hosts and targets by name."""

from pathlib import Path

import pytest

from ave.model.group import Rule
from sim.chance import stream
from sim.scenario.catalogue import ActionKind, Catalogue, FaultKind, Parameter
from sim.scenario.load import load, loads
from sim.scenario.model import (
    Event,
    Expectation,
    Fixed,
    Fleet,
    Forever,
    Generator,
    Group,
    Host,
    Lognormal,
    Metadata,
    Poisson,
    Scenario,
    Shape,
    Target,
    Threshold,
    Topology,
    TraceFile,
)

CATALOGUE = Catalogue(
    faults=(
        FaultKind("host-crash", "the host loses power", "host", lasting=True),
        FaultKind("slow-disk", "its disk is slower", "host", (Parameter("factor", "ratio", 10.0, 1.0, 1000.0),), True),
        FaultKind("election", "the store elects a new primary", "store"),
    ),
    actions=(
        ActionKind(
            "vm.create",
            "more VMs of a fleet",
            "none",
            (Parameter("fleet", "text"), Parameter("count", "count", 1, 1, 1000)),
        ),
        ActionKind("vm.migrate", "to another host", "vm"),
    ),
    profiles=("seed", "high"),
    metrics={"cluster": {"ha.recovery_time.p99": "seconds", "placement.failed_ratio": "ratio", "vm.lost": "count"}},
    invariants={"S1": "one writer", "S2": "one process"},
)

WHOLE = """\
apiVersion: ave.sim/v1
kind: Scenario
metadata: {name: rack-loss, description: "lose a rack\\nat peak", tags: [ha]}
spec:
  mode: cluster
  profile: high
  seed: 42
  duration: 1h
  topology:
    hosts: 6
    cpu: 64
    memory: 512GiB
    reserve: 4GiB
    masters: 5
    zones: {primary: 4, secondary: 2}
    networks: [vm-net, dmz]
  workload:
    - {fleet: web, count: 40, vcpu: 2, memory: 0.75GiB, disk: 40GiB, ha: true, priority: high}
    - fleet: ci
      count: 200
      vcpu: 1
      memory: 2GiB
      arrive: {dist: poisson, rate: 120/m, batch: 4}
      life: {dist: lognormal, median: 20m, sigma: 1.0}
    - {generator: azure, vms: 20000, span: 1d}
    - {trace: path.csv.gz, scale: 0.5}
  timeline:
    - {at: 20m, action: vm.migrate, target: {fleet: web, mode: one}}
    - {at: 10m, fault: host-crash, target: host-3, for: 5m}
    - {at: 10m, fault: host-crash, target: {zone: primary, mode: fixed, value: 2}}
    - {at: 12m, fault: slow-disk, target: [host-2, host-4], for: 60s, factor: 20}
    - {at: 12m, fault: slow-disk, target: {mode: fixed-percent, value: 50%}}
    - {at: 13m, fault: election}
    - {at: 15m, action: vm.create, fleet: web}
    - {at: 16m, action: vm.migrate, target: web-41}
  arms: [S1, S2]
  thresholds:
    - {expr: "ha.recovery_time.p99 < 2m", severity: warn}
    - {expr: placement.failed_ratio<=0.1%}
    - {expr: vm.lost == 0}
"""

SMALL = """\
apiVersion: ave.sim/v1
kind: Scenario
metadata: {name: small}
spec:
  duration: 1h
  topology: {hosts: 2, cpu: 8, memory: 64GiB}
"""


def small(changes: str) -> Scenario:
    return loads(SMALL + changes, CATALOGUE, Path("small.yaml"))


def hosts(topology: str) -> tuple[Host, ...]:
    text = SMALL.replace("{hosts: 2, cpu: 8, memory: 64GiB}", topology)
    return loads(text, CATALOGUE, Path("small.yaml")).topology.hosts()


PLACED = """\
apiVersion: ave.sim/v1
kind: Scenario
metadata: {name: placed}
spec:
  duration: 1h
  topology:
    nics: 16
    networks: [vm-net, dmz]
    zones: {a: 4, b: 8}
    primary: b
    shapes:
      - {hosts: 4, cpu: 8, memory: 64GiB, exclusiveCpus: 4, volumes: 9, cpuModel: rome, networks: [dmz]}
      - {hosts: 8, cpu: 8, memory: 64GiB, nics: 0}
  groups:
    - {name: db, rule: must-different-hosts}
    - {name: licensed, rule: must-hosts, hosts: [host-2, host-11], enabled: false}
    - {name: east, rule: prefer-zone, zone: a}
  workload:
    - {fleet: db, count: 2, vcpu: 1, memory: 1GiB, pinned: true, cpuModel: rome, networks: [dmz, dmz], groups: [db, east]}
  expect:
    - {fleet: db, apart: true, hosts: [host-1, host-02], at: 5m}
    - {vm: db-1, host: host-1, zone: a, unpinned: false, refused: NetworkFilter}
    - {fleet: db, together: false}
"""


def test_what_concerns_placement_is_read_to_the_last_field() -> None:
    scenario = loads(PLACED, CATALOGUE, Path("placed.yaml"))

    rome = Shape(4, 8, 64 << 10, 8 << 10, 4, 16, 9, "rome", ("dmz",))
    assert scenario.topology.shapes == (rome, Shape(8, 8, 64 << 10, 8 << 10))
    assert scenario.topology.primary == "b"
    assert [host.networks for host in scenario.topology.hosts()[3:5]] == [("dmz",), ("vm-net", "dmz")]
    assert scenario.groups == (
        Group("db", Rule.MUST_DIFFERENT_HOSTS),
        Group("licensed", Rule.MUST_HOSTS, ("host-02", "host-11"), enabled=False),
        Group("east", Rule.PREFER_ZONE, zone="a"),
    )
    (fleet,) = scenario.workload
    assert isinstance(fleet, Fleet)
    assert (fleet.pinned, fleet.cpu_model, fleet.networks, fleet.groups) == (
        True,
        "rome",
        ("dmz", "dmz"),
        ("db", "east"),
    )
    assert scenario.expect == (
        Expectation(fleet="db", at=300.0, hosts=("host-01", "host-02"), apart=True),
        Expectation(vm="db-1", hosts=("host-01",), zone="a", unpinned=False, refused="NetworkFilter"),
        Expectation(fleet="db", together=False),
    )


def test_a_whole_scenario_is_read_to_the_last_field(tmp_path: Path) -> None:
    (tmp_path / "path.csv.gz").touch()
    file = tmp_path / "whole.yaml"
    file.write_text(WHOLE)

    assert load(file, CATALOGUE) == Scenario(
        metadata=Metadata("rack-loss", "lose a rack\nat peak", ("ha",)),
        mode="cluster",
        seed=42,
        duration=3600.0,
        topology=Topology(
            shapes=(Shape(6, 64, 512 << 10, 4 << 10),),
            masters=5,
            zones={"primary": 4, "secondary": 2},
            networks=("vm-net", "dmz"),
        ),
        workload=(
            Fleet("web", 40, 2, 768, 40 << 30, True, "high", Forever()),
            Fleet("ci", 200, 1, 2048, 20 << 30, True, "medium", Lognormal(1200.0, 1.0), Poisson(2.0, 4)),
            Generator("azure", "azure", 20000, 86400.0),
            TraceFile(str(tmp_path / "path.csv.gz"), "trace", 0.5),
        ),
        timeline=(
            Event(600.0, "fault", "host-crash", Target(("host-3",)), 300.0),
            Event(600.0, "fault", "host-crash", Target(zone="primary", mode="fixed", value=2)),
            Event(720.0, "fault", "slow-disk", Target(("host-2", "host-4")), 60.0, {"factor": 20.0}),
            Event(720.0, "fault", "slow-disk", Target(mode="fixed-percent", value=50), None, {"factor": 10.0}),
            Event(780.0, "fault", "election"),
            Event(900.0, "action", "vm.create", None, None, {"fleet": "web", "count": 1}),
            Event(960.0, "action", "vm.migrate", Target(("web-41",))),
            Event(1200.0, "action", "vm.migrate", Target(fleet="web", mode="one")),
        ),
        arms=("S1", "S2"),
        thresholds=(
            Threshold("ha.recovery_time.p99 < 2m", "ha.recovery_time.p99", "<", 120.0, "warn"),
            Threshold("placement.failed_ratio<=0.1%", "placement.failed_ratio", "<=", 0.001, "fail"),
            Threshold("vm.lost == 0", "vm.lost", "==", 0.0, "fail"),
        ),
        profile="high",
    )


def test_what_is_left_out_has_its_default() -> None:
    scenario = small("  workload: [{fleet: web, count: 1, vcpu: 1, memory: 1GiB, life: {dist: fixed, value: 90s}}]\n")

    assert scenario == Scenario(
        metadata=Metadata("small"),
        mode="cluster",
        seed=0,
        duration=3600.0,
        topology=Topology((Shape(2, 8, 64 << 10, 8 << 10),), 1, {}, ("vm-net",)),
        workload=(Fleet("web", 1, 1, 1024, 20 << 30, True, "medium", Fixed(90.0)),),
    )


@pytest.mark.parametrize(("count", "masters"), [(1, 1), (2, 1), (3, 3), (4, 3), (100, 3)])
def test_as_many_masters_as_there_can_be_up_to_three(count: int, masters: int) -> None:
    made = hosts(f"{{hosts: {count}, cpu: 8, memory: 64GiB}}")

    assert [host.master for host in made] == [True] * masters + [False] * (count - masters)


def test_names_of_hosts_are_as_wide_as_the_last_one() -> None:
    assert hosts("{hosts: 9, cpu: 8, memory: 64GiB}")[2].name == "host-3"
    assert [host.name for host in hosts("{hosts: 10, cpu: 8, memory: 64GiB}")][::9] == ["host-01", "host-10"]
    assert hosts("{hosts: 10000, cpu: 8, memory: 64GiB}")[0].name == "host-00001"


def test_hosts_take_their_shape_and_their_zone_in_the_order_of_the_file() -> None:
    assert hosts(
        "{shapes: [{hosts: 1, cpu: 64, memory: 512GiB}, {hosts: 2, cpu: 128, memory: 1TiB, reserve: 16GiB}],"
        " zones: {b: 2, a: 1}, masters: 1, reserve: 1GiB}"
    ) == (
        Host("host-1", "b", 64, 512 << 10, 1 << 10, True, networks=("vm-net",)),
        Host("host-2", "b", 128, 1 << 20, 16 << 10, False, networks=("vm-net",)),
        Host("host-3", "a", 128, 1 << 20, 16 << 10, False, networks=("vm-net",)),
    )


@pytest.mark.parametrize("written", ["host-3", "host-03", "host-003"])
def test_a_host_is_found_however_wide_its_number_is_written(written: str) -> None:
    text = SMALL.replace("hosts: 2", "hosts: 12") + f"  timeline: [{{at: 1m, fault: host-crash, target: {written}}}]\n"

    assert loads(text, CATALOGUE, Path("x.yaml")).timeline[0].target == Target(("host-03",))


def test_vms_of_a_trace_are_only_known_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").touch()
    text = SMALL + (
        "  workload: [{trace: t.csv, fleet: old}]\n  timeline: [{at: 1m, action: vm.migrate, target: old-9f3a}]\n"
    )

    assert loads(text, CATALOGUE, tmp_path / "x.yaml").timeline[0].target == Target(("old-9f3a",))


def chosen(target: Target, among: str = "abcdef", seed: int = 1) -> str:
    return "".join(target.choose(tuple(among), stream(seed, "target")))


def test_a_target_of_names_is_those_that_exist() -> None:
    assert chosen(Target(("c", "a", "z"))) == "ac"


def test_a_target_by_mode_is_drawn_by_the_seed() -> None:
    assert chosen(Target(mode="all")) == "abcdef"
    assert len(chosen(Target(mode="one"))) == 1
    assert len(chosen(Target(mode="fixed", value=4))) == 4
    assert len(chosen(Target(mode="fixed-percent", value=50))) == 3
    assert {chosen(Target(mode="one"), seed=seed) for seed in range(50)} == set("abcdef")
    assert chosen(Target(mode="fixed", value=2), seed=7) == chosen(Target(mode="fixed", value=2), seed=7)


def test_a_target_takes_what_there_is() -> None:
    assert chosen(Target(mode="one"), among="") == ""
    assert chosen(Target(mode="fixed", value=4), among="ab") == "ab"
    assert len(chosen(Target(mode="fixed-percent", value=1))) == 1
    assert chosen(Target(mode="fixed-percent", value=0)) == ""


def test_a_parameter_must_not_take_a_key_that_every_entry_has() -> None:
    with pytest.raises(ValueError, match="'for' already means something in a timeline"):
        Parameter("for", "seconds")
