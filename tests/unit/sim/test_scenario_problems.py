"""A scenario file that is wrong: every mistake at once, each on a line of its own, at its place and in plain words."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.scenario.catalogue import ActionKind, Catalogue, FaultKind, Parameter
from sim.scenario.load import loads
from sim.scenario.problem import Invalid

CATALOGUE = Catalogue(
    faults=(
        FaultKind("host-crash", "the host loses power", "host", lasting=True),
        FaultKind("slow-disk", "its disk is slower", "host", (Parameter("factor", "ratio", None, 1.0, 100.0),), True),
        FaultKind("partition", "the hosts reach no other", "hosts", lasting=True),
        FaultKind("election", "the store elects a new primary", "store"),
    ),
    actions=(
        ActionKind(
            "vm.create",
            "more VMs of a fleet",
            "none",
            (Parameter("fleet", "text"), Parameter("count", "count", 1, 1, 1000)),
        ),
        ActionKind("vm.migrate", "to another host", "vm", (Parameter("host", "text", ""),)),
        ActionKind("wait", "", "none", (Parameter("limit", "seconds", 1.0, 1.0), Parameter("loud", "flag", False))),
    ),
    metrics={"cluster": {"ha.recovery_time.p99": "seconds", "placement.failed_ratio": "ratio", "vm.lost": "count"}},
    invariants={"S1": "one writer", "S2": "one process"},
)

FILE = """\
apiVersion: ave.sim/v1
kind: Scenario
metadata: {name: rack-loss}
spec:
  duration: 1h
  topology:
    hosts: 6
    cpu: 64
    memory: 512GiB
    zones: {primary: 4, secondary: 2}
  workload:
    - {fleet: web, count: 40, vcpu: 2, memory: 4GiB}
  timeline:
    - fault: host-crash
      at: 10m
      target: host-3
      for: 5m
  thresholds:
    - {expr: "ha.recovery_time.p99 < 120s"}
"""


def problems(text: str) -> list[str]:
    try:
        loads(text, CATALOGUE, Path("rack-loss.yaml"))
    except Invalid as invalid:
        return [line.removeprefix("rack-loss.yaml:") for line in str(invalid).split("\n")]
    return []


def test_the_file_all_others_are_made_of_is_right() -> None:
    assert problems(FILE) == []


def test_a_problem_reads_like_this() -> None:
    with pytest.raises(Invalid) as invalid:
        loads(FILE.replace("host-crash", "host-crsh"), CATALOGUE, Path("rack-loss.yaml"))

    assert str(invalid.value) == (
        'rack-loss.yaml:14:7 spec.timeline[0].fault: unknown fault "host-crsh", did you mean "host-crash"?'
    )


WORKLOAD = "- {fleet: web, count: 40, vcpu: 2, memory: 4GiB}"
EVENT = "- fault: host-crash\n      at: 10m\n      target: host-3\n      for: 5m\n"
RANGE = "the hosts are host-1 … host-6"
DURATION = "must be a duration, such as 90s, 5m, 1.5h, 3d or 200ms"


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        # the document
        (FILE, "just text", ['1:1: must be a mapping, not "just text"']),
        (FILE, "[]", ["1:1: must be a mapping, not a list"]),
        (
            FILE,
            "{}",
            ["1:1 apiVersion: is missing", "1:1 kind: is missing", "1:1 metadata: is missing", "1:1 spec: is missing"],
        ),
        ("ave.sim/v1", "ave.sim/v2", ['1:1 apiVersion: unknown version "ave.sim/v2", did you mean "ave.sim/v1"?']),
        ("kind: Scenario", "kind: Pod", ['2:1 kind: unknown kind "Pod"; known: "Scenario"']),
        ("metadata:", "metadatum: 1\nmetadata:", ['3:1: unknown key "metadatum", did you mean "metadata"?']),
        ("{name: rack-loss}", "", ["3:1 metadata: is empty"]),
        (
            "name: rack-loss",
            "name: Rack Loss",
            ['3:12 metadata.name: must be a name of a–z, 0–9 and - (at most 63 characters), not "Rack Loss"'],
        ),
        (
            "name: rack-loss",
            "name: 1.10, tags: ha",
            [
                "3:12 metadata.name: must be a name of a–z, 0–9 and - (at most 63 characters), not 1.10",
                '3:24 metadata.tags: must be a list, not "ha"',
            ],
        ),
        ("  duration: 1h\n", "", ["4:1 spec.duration: is missing"]),
        ("duration: 1h", "duration: 3600", ["5:3 spec.duration: must have a unit, such as 3600s, not 3600"]),
        ("duration: 1h", "duration: 11y", [f'5:3 spec.duration: {DURATION}, not "11y"']),
        ("duration: 1h", "duration: 3651d", ['5:3 spec.duration: must be between 1s and 3650d, not "3651d"']),
        ("duration: 1h", "duration: .inf", [f"5:3 spec.duration: {DURATION}, not .inf"]),
        (
            "duration: 1h",
            "duration: 1h\n  seed: -1\n  mode: clustr",
            [
                "6:3 spec.seed: must be between 0 and 9223372036854775807, not -1",
                '7:3 spec.mode: unknown mode "clustr", did you mean "cluster"?',
            ],
        ),
        ("duration: 1h", "duration: 1h\n  duration: 2h", ['6:3: key "duration" occurs twice, first at 5:3']),
        # the topology
        ("hosts: 6", "hosts: six", ['7:5 spec.topology.hosts: must be a whole number, not "six"']),
        ("hosts: 6", "hosts: 6.0", ["7:5 spec.topology.hosts: must be a whole number, not 6.0"]),
        ("hosts: 6", "hosts: true", ["7:5 spec.topology.hosts: must be a whole number, not true"]),
        ("hosts: 6", "hosts: 0", ["7:5 spec.topology.hosts: must be between 1 and 10000, not 0"]),
        ("hosts: 6", "hosts: [6]", ["7:5 spec.topology.hosts: must be one value, not a list"]),
        ("hosts: 6", "hosts: 10001", ["7:5 spec.topology.hosts: must be between 1 and 10000, not 10001"]),
        ("    hosts: 6\n", "", ["6:3 spec.topology.hosts: is missing"]),
        (
            "cpu: 64",
            "cpus: 64",
            ["6:3 spec.topology.cpu: is missing", '8:5 spec.topology: unknown key "cpus", did you mean "cpu"?'],
        ),
        (
            "memory: 512GiB",
            "memory: 512GB",
            ['9:5 spec.topology.memory: must be a size, such as 4MiB, 512GiB or 1TiB, not "512GB"'],
        ),
        ("memory: 512GiB", "memory: 65TiB", ['9:5 spec.topology.memory: must be between 1MiB and 64TiB, not "65TiB"']),
        ("memory: 512GiB", "memory: -1GiB", ['9:5 spec.topology.memory: must be between 1MiB and 64TiB, not "-1GiB"']),
        ("memory: 512GiB", "memory: 100KiB", ['9:5 spec.topology.memory: must be a whole number of MiB, not "100KiB"']),
        (
            "memory: 512GiB",
            "memory: 8GiB",
            [
                "9:5 spec.topology.memory: 8GiB leaves nothing for VMs: 8GiB are reserved for the host",
                "11:3 spec.workload: the VMs of time 0 need 160GiB of memory, the hosts have 0MiB for VMs",
            ],
        ),
        ("cpu: 64", "cpu: 64\n    masters: 4", ["9:5 spec.topology.masters: must be 1, 3 or 5, not 4"]),
        ("cpu: 64", "cpu: 64\n    masters: 7", ["9:5 spec.topology.masters: must be between 1 and 5, not 7"]),
        (
            "hosts: 6\n    cpu: 64\n    memory: 512GiB\n    zones: {primary: 4, secondary: 2}",
            "hosts: 3\n    cpu: 64\n    memory: 512GiB\n    masters: 5",
            ["10:5 spec.topology.masters: 5 masters need as many hosts, but there are 3"],
        ),
        ("secondary: 2", "secondary: 3", ["10:5 spec.topology.zones: the zones have 7 hosts, the topology has 6"]),
        (
            "secondary: 2",
            "Zwei: 2",
            ['10:25 spec.topology.zones: "Zwei" is not a name of a–z, 0–9 and - (at most 63 characters)'],
        ),
        ("cpu: 64", "cpu: 64\n    networks: [a, b, a]", ['9:22 spec.topology.networks[2]: "a" occurs twice']),
        ("cpu: 64", "cpu: 64\n    networks: []", ["9:5 spec.topology.networks: must not be empty"]),
        (
            "hosts: 6",
            "shapes: [{hosts: 6, cpu: 1, memory: 64GiB}]",
            [
                '8:5 spec.topology.cpu: belongs to each of the "shapes", if there are any',
                '9:5 spec.topology.memory: belongs to each of the "shapes", if there are any',
            ],
        ),
        # the workload
        (WORKLOAD, "- {count: 1}", ['12:7 spec.workload[0]: needs one of the keys "generator", "trace", "fleet"']),
        (WORKLOAD, "- web", ['12:7 spec.workload[0]: must be a mapping, not "web"']),
        (
            WORKLOAD,
            "- {fleet: web, count: 1_000, vcpu: 1025, memory: 4, ha: yes, priority: hihg}",
            [
                '12:20 spec.workload[0].count: must be a whole number, not "1_000"',
                "12:34 spec.workload[0].vcpu: must be between 1 and 1024, not 1025",
                "12:46 spec.workload[0].memory: must have a unit, such as 4GiB, not 4",
                '12:57 spec.workload[0].ha: must be true or false, not "yes"',
                '12:66 spec.workload[0].priority: unknown priority "hihg", did you mean "high"?',
            ],
        ),
        (
            "memory: 4GiB",
            "memory: 4GiB, arrive: {dist: poison, rate: 30}, life: {dist: lognormal, median: 6h, sigma: .nan}",
            [
                '12:63 spec.workload[0].arrive.dist: unknown distribution "poison", did you mean "poisson"?',
                "12:124 spec.workload[0].life.sigma: must be finite, not .nan",
            ],
        ),
        (
            "memory: 4GiB",
            "memory: 4GiB, arrive: {dist: poisson, rate: 0/h}, life: {median: 6h}",
            [
                '12:78 spec.workload[0].arrive.rate: must be between 3.17098e-09/s and 1e+06/s, not "0/h"',
                "12:90 spec.workload[0].life.dist: is missing",
            ],
        ),
        (
            "memory: 4GiB",
            "memory: 600GiB",
            [
                "11:3 spec.workload: the VMs of time 0 need 24000GiB of memory, the hosts have 3024GiB for VMs",
                "12:40 spec.workload[0].memory: 600GiB fit on no host: the largest has 504GiB for VMs",
            ],
        ),
        (
            "count: 40",
            "count: 1000",
            ["11:3 spec.workload: the VMs of time 0 need 4000GiB of memory, the hosts have 3024GiB for VMs"],
        ),
        (
            WORKLOAD,
            f"{WORKLOAD}\n    - {{generator: azure, vms: 999961}}",
            ["11:3 spec.workload: 1000001 VMs in all, more than 1000000"],
        ),
        (
            WORKLOAD,
            f"{WORKLOAD}\n    {WORKLOAD}",
            ['13:8 spec.workload[1].fleet: "web" is already the name of spec.workload[0]'],
        ),
        (
            WORKLOAD,
            f"{WORKLOAD}\n    - {{trace: no.csv, scale: 1.5}}",
            [
                '13:8 spec.workload[1].trace: there is no file "no.csv"',
                "13:23 spec.workload[1].scale: must be between 1e-06 and 1, not 1.5",
            ],
        ),
        (
            WORKLOAD,
            f"{WORKLOAD}\n    - {{generator: azur, vms: 10}}",
            ['13:8 spec.workload[1].generator: unknown generator "azur", did you mean "azure"?'],
        ),
        # the timeline
        (EVENT, "- {at: 5m}\n", ['14:7 spec.timeline[0]: needs one of the keys "fault", "action"']),
        (
            "fault: host-crash",
            "fault: zzz",
            [
                '14:7 spec.timeline[0].fault: unknown fault "zzz"; known: "host-crash", "slow-disk", "partition", "election"'
            ],
        ),
        (
            "fault: host-crash\n      at: 10m",
            "fault: zzzzzzzzz\n      at: soon",
            [
                '14:7 spec.timeline[0].fault: unknown fault "zzzzzzzzz"; '
                'known: "host-crash", "slow-disk", "partition", "election"',
                f'15:7 spec.timeline[0].at: {DURATION}, not "soon"',
            ],
        ),
        (
            "fault: host-crash",
            "action: vm.migrat",
            ['14:7 spec.timeline[0].action: unknown action "vm.migrat", did you mean "vm.migrate"?'],
        ),
        ("      at: 10m\n", "", ["14:7 spec.timeline[0].at: is missing"]),
        ("      target: host-3\n", "", ["14:7 spec.timeline[0].target: is missing"]),
        ("at: 10m", "at: 61m", ["15:7 spec.timeline[0].at: 61m is not before the end of the run (duration 1h)"]),
        ("at: 10m", "at: 60m", ["15:7 spec.timeline[0].at: 1h is not before the end of the run (duration 1h)"]),
        ("at: 10m", "at: -1m", ['15:7 spec.timeline[0].at: must be between 0s and 3650d, not "-1m"']),
        ("at: 10m", "at: 12:30", [f'15:7 spec.timeline[0].at: {DURATION}, not "12:30"']),
        ("for: 5m", "for:", ["17:7 spec.timeline[0].for: is empty"]),
        ("for: 5m", "for: 0", ["17:7 spec.timeline[0].for: must be between 1ms and 3650d, not 0"]),
        ("for: 5m", "speed: 2", ['17:7 spec.timeline[0]: unknown key "speed"; known: "fault", "at", "for", "target"']),
        ("target: host-3", "target: host-99", [f'16:7 spec.timeline[0].target: unknown host "host-99"; {RANGE}']),
        ("target: host-3", "target: hots-3", [f'16:7 spec.timeline[0].target: unknown host "hots-3"; {RANGE}']),
        ("target: host-3", "target: host-0", [f'16:7 spec.timeline[0].target: unknown host "host-0"; {RANGE}']),
        (
            "target: host-3",
            "target: [host-1, host-7, host-01, 5]",
            [
                f'16:24 spec.timeline[0].target[1]: unknown host "host-7"; {RANGE}',
                '16:32 spec.timeline[0].target[2]: "host-01" occurs twice',
                "16:41 spec.timeline[0].target[3]: must be a name of a–z, 0–9 and - (at most 63 characters), not 5",
            ],
        ),
        (
            "target: host-3",
            "target: {zone: primry, mode: one}",
            ['16:16 spec.timeline[0].target.zone: unknown zone "primry", did you mean "primary"?'],
        ),
        (
            "target: host-3",
            "target: {zone: primary, mode: fixed, value: 5}",
            ['16:44 spec.timeline[0].target.value: 5 are wanted, but zone "primary" has 4 hosts'],
        ),
        ("target: host-3", "target: {mode: fixed}", ["16:7 spec.timeline[0].target.value: is missing"]),
        (
            "target: host-3",
            "target: {mode: fixed, value: 7}",
            ["16:29 spec.timeline[0].target.value: 7 are wanted, but the cluster has 6 hosts"],
        ),
        (
            "target: host-3",
            "target: {mode: fixed-percent, value: 101%}",
            ['16:37 spec.timeline[0].target.value: must be between 0% and 100%, not "101%"'],
        ),
        ("target: host-3", "target: {zone: primary}", ["16:7 spec.timeline[0].target.mode: is missing"]),
        (
            "target: host-3",
            "target: {mode: some, fleet: web}",
            ['16:16 spec.timeline[0].target.mode: unknown mode "some"; known: "one", "all", "fixed", "fixed-percent"'],
        ),
        (
            "target: host-3",
            "target: {mode: one, fleet: web}",
            ['16:27 spec.timeline[0].target: unknown key "fleet"; known: "mode", "zone"'],
        ),
        (
            "fault: host-crash",
            "fault: slow-disk\n      factr: 3",
            [
                "14:7 spec.timeline[0].factor: is missing",
                '15:7 spec.timeline[0]: unknown key "factr", did you mean "factor"?',
            ],
        ),
        (
            "fault: host-crash",
            "fault: slow-disk\n      factor: .nan",
            ["15:7 spec.timeline[0].factor: must be a ratio, such as 0.05 or 5%, not .nan"],
        ),
        (
            "fault: host-crash",
            "fault: slow-disk\n      factor: 10%",
            ['15:7 spec.timeline[0].factor: must be between 1 and 100, not "10%"'],
        ),
        (
            "fault: host-crash",
            "fault: election",
            [
                '16:7 spec.timeline[0]: "election" takes no target',
                '17:7 spec.timeline[0]: "election" happens at one moment, so it takes no "for"',
            ],
        ),
        (
            EVENT,
            "- {at: 1m, action: vm.migrate, target: web-41}\n",
            ['14:36 spec.timeline[0].target: unknown VM "web-41"; fleet "web" has web-1 … web-40'],
        ),
        (
            EVENT,
            "- {at: 1m, action: vm.migrate, target: wbe-1}\n",
            ['14:36 spec.timeline[0].target: unknown fleet "wbe", did you mean "web"?'],
        ),
        (
            EVENT,
            "- {at: 1m, action: vm.migrate, target: web}\n",
            ['14:36 spec.timeline[0].target: "web" is no VM; those of a fleet are named after it and numbered from 1'],
        ),
        (
            EVENT,
            "- {at: 1m, action: vm.migrate, target: {fleet: wbe, mode: one}}\n",
            ['14:45 spec.timeline[0].target.fleet: unknown fleet "wbe", did you mean "web"?'],
        ),
        (
            EVENT,
            "- {at: 1m, action: vm.migrate, target: web-1, host: host-8}\n",
            [f'14:51 spec.timeline[0].host: unknown host "host-8"; {RANGE}'],
        ),
        (
            EVENT,
            "- {at: 1m, action: vm.create, fleet: db, count: 0}\n",
            [
                '14:35 spec.timeline[0].fleet: unknown fleet "db"; known: "web"',
                "14:46 spec.timeline[0].count: must be between 1 and 1000, not 0",
            ],
        ),
        (
            EVENT,
            "- {at: 1m, action: wait, limit: 500ms, loud: 1}\n",
            [
                '14:30 spec.timeline[0].limit: must be between 1s and 3650d, not "500ms"',
                "14:44 spec.timeline[0].loud: must be true or false, not 1",
            ],
        ),
        # what it must show
        (
            "  thresholds:",
            "  arms: [S1, S3]\n  thresholds:",
            ['18:14 spec.arms[1]: unknown invariant "S3"; known: "S1", "S2"'],
        ),
        (
            "p99 <",
            "p98 <",
            [
                '19:8 spec.thresholds[0].expr: unknown metric "ha.recovery_time.p98", did you mean "ha.recovery_time.p99"?'
            ],
        ),
        (
            "< 120s",
            "< 120",
            ['19:8 spec.thresholds[0].expr: must have a unit, such as 120s, not "ha.recovery_time.p99 < 120"'],
        ),
        (
            "< 120s",
            "=< 120s",
            [
                "19:8 spec.thresholds[0].expr: must be a metric, one of < <= > >= == !=, and a value, "
                'such as "ha.recovery_time.p99 < 120s", '
                'not "ha.recovery_time.p99 =< 120s"'
            ],
        ),
        (
            '120s"',
            '120s", severity: fatal',
            ['19:45 spec.thresholds[0].severity: unknown severity "fatal", did you mean "fail"?'],
        ),
    ],
)
def test_a_mistake_is_named_at_its_place(old: str, new: str, lines: list[str]) -> None:
    assert old in FILE

    assert problems(FILE.replace(old, new, 1)) == lines


PLACED = """\
apiVersion: ave.sim/v1
kind: Scenario
metadata: {name: placed}
spec:
  duration: 1h
  topology:
    shapes: [{hosts: 3, cpu: 8, memory: 64GiB, networks: [vm-net]}]
    zones: {a: 1, b: 2}
    primary: a
  groups:
    - {name: db, rule: must-hosts, hosts: [host-1]}
  workload:
    - {fleet: db, count: 2, vcpu: 1, memory: 1GiB, groups: [db]}
  expect:
    - {fleet: db, apart: true}
    - {vm: db-1, host: host-1, at: 5m}
"""


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("primary: a", "primary: c", ['9:5 spec.topology.primary: unknown zone "c"; known: "a", "b"']),
        (
            "networks: [vm-net]",
            "networks: [vm-nett], nics: -1",
            [
                '7:59 spec.topology.shapes[0].networks[0]: unknown network "vm-nett", did you mean "vm-net"?',
                "7:69 spec.topology.shapes[0].nics: must be between 0 and 1000000, not -1",
            ],
        ),
        (
            "must-hosts",
            "must-host",
            ['11:18 spec.groups[0].rule: unknown rule "must-host", did you mean "must-hosts"?'],
        ),
        (", hosts: [host-1]", "", ['11:7 spec.groups[0].hosts: is missing: the rule "must-hosts" is about hosts']),
        (
            "hosts: [host-1]",
            "hosts: [host-4, host-1, host-01], zone: a",
            [
                '11:44 spec.groups[0].hosts[0]: unknown host "host-4"; the hosts are host-1 … host-3',
                '11:60 spec.groups[0].hosts[2]: "host-01" occurs twice',
                '11:70 spec.groups[0].zone: the rule "must-hosts" names no zone',
            ],
        ),
        (
            "  workload:",
            "    - {name: db, rule: must-zone, zone: x}\n  workload:",
            [
                '12:8 spec.groups[1].name: "db" is already the name of spec.groups[0]',
                '12:35 spec.groups[1].zone: unknown zone "x"; known: "a", "b"',
            ],
        ),
        (
            "groups: [db]",
            "groups: [dba, db, db]",
            [
                '13:61 spec.workload[0].groups[0]: unknown group "dba", did you mean "db"?',
                '13:70 spec.workload[0].groups[2]: "db" occurs twice',
            ],
        ),
        ("apart: true", "apart: maybe", ['15:19 spec.expect[0].apart: must be true or false, not "maybe"']),
        ("fleet: db, apart", "fleet: bd, apart", ['15:8 spec.expect[0].fleet: unknown fleet "bd"; known: "db"']),
        (
            "vm: db-1, host: host-1, at: 5m",
            "vm: db-3, at: 2h",
            [
                "16:7 spec.expect[1]: expects nothing: say one of host, hosts, zone, state, starts, unpinned, refused",
                '16:8 spec.expect[1].vm: unknown VM "db-3"; fleet "db" has db-1 … db-2',
                "16:18 spec.expect[1].at: 2h is after the end of the run (duration 1h)",
            ],
        ),
        (
            "host: host-1, at: 5m",
            "host: host-1, hosts: [host-2], refused: Network",
            [
                '16:32 spec.expect[1].hosts: belongs in place of "host", not beside it',
                '16:49 spec.expect[1].refused: unknown filter "Network", did you mean "NetworkFilter"?',
            ],
        ),
        (
            "vm: db-1, host: host-1",
            "host: host-4",
            [
                "16:7 spec.expect[1]: expects nothing: say one of state, vms",
                '16:8 spec.expect[1].host: unknown host "host-4"; the hosts are host-1 … host-3',
            ],
        ),
        (
            "vm: db-1, host: host-1",
            "host: host-1, state: running, vms: -1",
            [
                '16:22 spec.expect[1].state: unknown state "running"; known: "joining", "online", "unmanaged", '
                '"suspect", "fenced", "recovered", "entering-maintenance", "maintenance", "quarantined", "read-only"',
                "16:38 spec.expect[1].vms: must be between 0 and 1000000, not -1",
            ],
        ),
        (
            "vm: db-1, host: host-1",
            "vm: db-1, host: host-1, state: off",
            ["16:32 spec.expect[1].state: a VM that is off is nowhere"],
        ),
        (
            "spec:\n",
            "spec:\n  mode: capacity\n",
            [
                '11:3 spec.groups: is ignored by mode "capacity": leave it out, or use mode "cluster"',
                '14:7 spec.workload[0]: mode "capacity" takes a generator or a trace, no fleets',
                '15:3 spec.expect: is ignored by mode "capacity": leave it out, or use mode "cluster"',
            ],
        ),
        (
            "spec:\n",
            "spec:\n  batch: compact\n",
            ['5:3 spec.batch: is for mode "capacity": a cluster decides by itself when to pack'],
        ),
        (
            "spec:\n",
            "spec:\n  batch: dense\n",
            ['5:3 spec.batch: unknown batch plan "dense"; known: "spread", "compact"'],
        ),
    ],
)
def test_a_mistake_about_placement_is_named_at_its_place(old: str, new: str, lines: list[str]) -> None:
    assert problems(PLACED) == []
    assert old in PLACED

    assert problems(PLACED.replace(old, new, 1)) == lines


def test_all_mistakes_are_named_at_once_in_the_order_of_the_file() -> None:
    text = FILE.replace("kind: Scenario", "kind: Scenari").replace("rack-loss", "Rack").replace("cpu: 64", "cpu: -1")
    text = text.replace("vcpu: 2", "vcpu: two").replace("host-crash", "host-crsh").replace("p99 <", "p99 >>")
    text = text.replace("  duration: 1h", "  duration: 1h\n  duration: 1h")

    assert [line.split(" ")[0] for line in problems(text)] == ["2:1", "3:12", "6:3:", "9:5", "13:31", "15:7", "20:8"]


def test_a_vm_may_be_one_that_the_timeline_makes() -> None:
    made = "    - {at: 1m, action: vm.create, fleet: web, count: 2}\n"
    entry = "    - {at: 2m, action: vm.migrate, target: web-42}\n"

    assert problems(FILE.replace("  timeline:\n", "  timeline:\n" + entry)) != []
    assert problems(FILE.replace("  timeline:\n", "  timeline:\n" + made + entry)) == []


def test_a_file_of_nothing_but_mistakes_is_still_answered_in_full() -> None:
    text = FILE + "".join(f"  unknown{n}: 1\n" for n in range(9000))

    assert len(problems(text)) == 9000


def test_invalid_rebuilds_from_its_arguments() -> None:
    with pytest.raises(Invalid) as invalid:
        loads("{}", CATALOGUE, Path("x.yaml"))

    assert str(Invalid(*invalid.value.args)) == str(invalid.value)


@given(st.text(max_size=300))
def test_junk_is_invalid_and_nothing_worse(text: str) -> None:
    assert problems(text) != []


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10)
SCALARS |= st.sampled_from(["1h", "5GiB", "30/h", "10%", "one", "host-1", "web-1", "poisson", "vm.lost < 1"])
WORDS = st.sampled_from(["hosts", "dist", "mode", "target", "at", "fault", "fleet", "value", "zone", "shapes", "trace"])
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=3), inner, max_size=4)
)
LINES = FILE.splitlines(keepends=True)


@given(st.integers(0, len(LINES) - 1), TREES)
def test_any_value_anywhere_is_taken_or_invalid(number: int, tree: object) -> None:
    key, colon, _ = LINES[number].rstrip("\n").rpartition(": ")
    if colon:
        problems("".join([*LINES[:number], f"{key}: {json.dumps(tree)}\n", *LINES[number + 1 :]]))


@given(st.lists(st.integers(0, len(LINES) - 1), min_size=1, max_size=8, unique=True))
def test_any_lines_may_be_missing(numbers: list[int]) -> None:
    problems("".join(line for number, line in enumerate(LINES) if number not in numbers))


@given(st.integers(0, len(FILE)), st.integers(0, 40), st.text(max_size=10))
def test_any_cut_is_taken_or_invalid(start: int, length: int, junk: str) -> None:
    problems(FILE[:start] + junk + FILE[start + length :])
