"""Each fault alone, on six hosts in three zones that work: no promise is broken, and the cluster is whole again after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.faults import FAULTS, Fault
from sim.scenario.load import loads
from sim.story import Story
from sim.tables import CATALOGUE

SCENARIO = """\
apiVersion: ave.sim/v1
kind: Scenario
metadata: {{name: alone}}
spec:
  duration: 15m
  topology: {{hosts: 6, cpu: 32, memory: 64GiB, masters: 3, zones: {{a: 2, b: 2, c: 2}}}}
  workload:
    - {{fleet: web, count: 18, vcpu: 2, memory: 2GiB, disk: 1GiB}}
    - {{fleet: ci, count: 30, vcpu: 1, memory: 1GiB, arrive: {{dist: poisson, rate: 200/h}}, life: {{dist: fixed, value: 3m}}}}
  timeline:
    - {fault}
    - {{at: 61s, action: vm.migrate, target: {{fleet: web, mode: fixed, value: 3}}}}
    - {{at: 150s, action: vm.migrate, target: {{fleet: web, mode: fixed, value: 3}}}}
    - {{at: 10m, action: vm.migrate, target: {{fleet: web, mode: fixed, value: 3}}}}
"""
TARGETS = {"host": "{mode: one}", "hosts": "host-5", "vm": "{fleet: web, mode: one}"}
REQUIRED = {"zone": "b", "host": "host-1"}


def entry(fault: Fault) -> str:
    kind = fault.kind
    words = {"at": "60s", "fault": kind.name}
    if kind.target in TARGETS:
        words["target"] = TARGETS[kind.target]
    if kind.lasting:
        words["for"] = "150s"
    words |= {parameter.name: REQUIRED[parameter.name] for parameter in kind.parameters if parameter.default is None}
    return "{" + ", ".join(f"{key}: {word}" for key, word in words.items()) + "}"


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_alone_breaks_no_promise(name: str, seed: int) -> None:
    scenario = loads(SCENARIO.format(fault=entry(FAULTS[name])), CATALOGUE, Path("alone.yaml"))
    with Story(scenario, seed=seed) as story:
        outcome = story.play()
    assert outcome.violation is None
    assert outcome.metrics["faults"] >= 1
    assert outcome.metrics["vm.mismatched"] == 0
    assert outcome.metrics["ha.waiting"] == 0


def test_there_are_at_least_forty_faults_and_all_but_two_have_numbers() -> None:
    assert len(FAULTS) >= 40
    assert [name for name, fault in FAULTS.items() if not fault.covers] == ["guest-hang", "vm-network-loss"]


def test_a_rescued_vm_is_not_taken_for_paused_because_its_past_stands_still_elsewhere() -> None:
    faults = (
        "{at: 60s, fault: storage-loss, target: host-5}\n"
        "    - {at: 220s, fault: node-stall, target: [host-1, host-2, host-3, host-4, host-6], for: 5s}"
    )
    text = SCENARIO.format(fault=faults).replace("duration: 15m", "duration: 240s")
    text = "\n".join(line for line in text.split("\n") if "at: 10m" not in line and "at: 150s" not in line)
    with Story(loads(text, CATALOGUE, Path("past.yaml")), seed=1) as story:
        outcome = story.play()
    assert outcome.violation is None
    assert outcome.metrics["ha.rescued"] > 0
    assert outcome.metrics["ha.waiting"] == 0
