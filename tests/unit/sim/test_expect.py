"""What is not as a scenario expects it fails the run, with a sentence that says what is so instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.outcome import THRESHOLD, Outcome
from sim.report import markdown, verdict
from sim.scenario.load import loads
from sim.story import Story
from sim.tables import CATALOGUE

SPEC = """\
apiVersion: ave.sim/v1
kind: Scenario
metadata: {name: placed}
spec:
  duration: 3m
  topology: {hosts: 3, cpu: 8, memory: 20GiB, exclusiveCpus: 2, zones: {a: 1, b: 2}}
  groups:
    - {name: home, rule: prefer-hosts, hosts: [host-1]}
  workload:
    - {fleet: web, count: 2, vcpu: 1, memory: 4GiB, groups: [home]}
    - {fleet: rt, count: 1, vcpu: 2, memory: 4GiB, pinned: true}
  timeline:
    - {at: 30s, action: vm.create, fleet: rt}
    - {at: 40s, action: vm.create, fleet: rt}
    - {at: 50s, action: vm.create, fleet: rt}
    - {at: 90s, action: vm.migrate, target: web-1, host: host-3}
    - {at: 2m, action: vm.poweroff, target: web-2}
    - {at: 2m, action: vm.suspend, target: rt-1}
    - {at: 2m, fault: vm-crash, target: web-1}
  expect:
"""


def played(*expected: str) -> Outcome:
    text = SPEC + "".join(f"    - {{{each}}}\n" for each in expected)
    with Story(loads(text, CATALOGUE, Path("placed.yaml")), seed=1) as story:
        return story.play()


def test_vms_that_are_where_they_are_expected_pass() -> None:
    outcome = played(
        "fleet: web, at: 60s, together: true, hosts: [host-1], zone: a",
        "vm: web-1, host: host-3, zone: b, unpinned: false",
        "vm: web-1, hosts: [host-2, host-3]",
        "fleet: rt, at: 45s, apart: true, hosts: [host-1, host-2, host-3]",
        "fleet: rt, at: 45s, together: false",
        "fleet: web, at: 60s, apart: false",
        "vm: rt-4, refused: CpuPinningFilter",
        "vm: web-1, at: 119s, state: running, starts: 0",
        "vm: web-1, state: running, starts: 1",
        "vm: web-2, state: off, starts: 0",
        "vm: rt-1, state: paused",
        "host: host-3, state: online, vms: 2",
        "alarm: ha/mass-failure, raised: false",
    )
    assert verdict(outcome) == "PASSED"
    assert [met.passed for met in outcome.expected] == [True] * 13
    assert "| web on host-1, in zone a, together at 60 s | kept |" in markdown(outcome)


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ("vm: web-1, host: host-1", "web-1 on host-1 (but web-1 is on host-3)"),
        ("vm: web-1, hosts: [host-1, host-2]", "web-1 on host-1 or host-2 (but web-1 is on host-3)"),
        ("vm: web-1, zone: a", "web-1 in zone a (but web-1 is on host-3)"),
        ("vm: web-2, host: host-1", "web-2 on host-1 (but web-2 runs nowhere)"),
        ("vm: web-1, refused: NetworkFilter", "web-1 refused by NetworkFilter (but it was not refused)"),
        ("vm: web-1, starts: 0", "web-1 started never (but web-1 was started once)"),
        ("vm: web-1, starts: 2", "web-1 started twice (but web-1 was started once)"),
        ("vm: web-2, state: running", "web-2 running (but web-2 is off)"),
        ("vm: rt-1, state: running", "rt-1 running (but rt-1 is paused)"),
        ("vm: web-1, at: 60s, state: off", "web-1 off at 60 s (but web-1 is running)"),
        ("fleet: web, at: 60s, state: paused", "web paused at 60 s (but web-1 is running)"),
        ("host: host-3, state: fenced", "host-3 fenced (but it is online)"),
        ("host: host-3, at: 60s, vms: 0", "host-3 with 0 VMs at 60 s (but it has 1)"),
        ("alarm: ha/mass-failure", "alarm ha/mass-failure raised (but it is not raised)"),
        ("vm: web-1, unpinned: true", "web-1 unpinned (but web-1 is pinned)"),
        (
            "vm: rt-4, refused: NetworkFilter",
            "rt-4 refused by NetworkFilter (but the scheduler's answer was: none of 3 hosts fits rt-4: "
            "1 by HostAvailableMemoryFilter; 2 by CpuPinningFilter. Cheapest change: free 2 exclusive CPUs on host-2, "
            "or let rt-4 do without pinned CPUs)",
        ),
        (
            "fleet: web, at: 60s, hosts: [host-1, host-2]",
            "web on host-1 and host-2 at 60 s (but none is on host-2)",
        ),
        ("fleet: web, at: 60s, apart: true", "web apart at 60 s (but web-1 on host-1, web-2 on host-1)"),
        (
            "fleet: web, at: 60s, together: false",
            "web not all together at 60 s (but web-1 on host-1, web-2 on host-1)",
        ),
    ],
)
def test_a_vm_that_is_elsewhere_fails_the_run_and_is_found(expected: str, said: str) -> None:
    outcome = played(expected)
    assert verdict(outcome) == f"FAILED: {said}"
    assert outcome.exit_code == THRESHOLD
    assert "missed:" in markdown(outcome)


def test_what_is_looked_up_before_the_end_is_what_was_there_then() -> None:
    assert played("vm: web-1, host: host-1, at: 60s").passed
