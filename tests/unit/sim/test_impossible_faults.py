"""A fault that cannot befall the cluster of the file is an error of the file, in words that name what is missing."""

from pathlib import Path

import pytest

from sim.scenario.load import loads
from sim.scenario.problem import Invalid
from sim.tables import CATALOGUE

FILE = """\
apiVersion: ave.sim/v1
kind: Scenario
metadata: {name: impossible}
spec:
  duration: 1h
  topology: {hosts: 4, cpu: 8, memory: 64GiB, masters: 1}
  workload:
    - {fleet: web, count: 4, vcpu: 1, memory: 1GiB}
  timeline:
    - {at: 1m, FAULT}
"""
ZONES = "masters: 3, zones: {a: 2, b: 2}"


def problems(fault: str, masters: str) -> list[str]:
    try:
        loads(FILE.replace("FAULT", fault).replace("masters: 1", masters), CATALOGUE, Path("f.yaml"))
    except Invalid as invalid:
        return [line.partition("timeline[0]")[2].lstrip(".: ") for line in str(invalid).split("\n")]
    return []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("fault: store-stale-primary", 'fault: "store-stale-primary" takes 3 masters, but there is 1'),
        ("fault: store-minority", 'fault: "store-minority" takes 3 masters, but there is 1'),
        ("fault: zones-apart", 'fault: "zones-apart" takes 2 zones, but there are 0'),
        ("fault: zone-crash", "zone: is missing"),
        ("fault: volume-error, target: host-1", 'target: unknown fleet "host"'),
        ("fault: volume-error, target: web-9", 'target: unknown VM "web-9"'),
        ("fault: volume-error, target: {zone: a, mode: one}", 'target: unknown key "zone"'),
        ("fault: host-reboot, target: host-5", 'target: unknown host "host-5"'),
        ("fault: host-reboot, target: host-1, for: 1m", '"host-reboot" happens at one moment'),
        ("fault: link-cut, target: host-2", "host: is missing"),
        ("fault: link-cut, target: host-2, host: host-9", 'host: unknown host "host-9"'),
        ("fault: link-cut, target: [host-1, host-2], host: host-2", 'host: "host-2" is among the targets'),
        ("fault: migration-cut, phase: late", 'phase: unknown phase "late"'),
        ("fault: network-delay, target: host-1, seconds: 2s", "seconds: must be between"),
        ("fault: packet-loss, target: host-1, share: 50%", "share: must be between"),
    ],
)
def test_impossible(fault: str, said: str) -> None:
    (told,) = problems(fault, "masters: 1")
    assert told.startswith(said), told


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("fault: zone-crash, zone: c", 'zone: unknown zone "c"'),
        ("fault: zone-link-cut, zone: a, target: host-1", '"zone-link-cut" takes no target'),
    ],
)
def test_impossible_with_zones(fault: str, said: str) -> None:
    (told,) = problems(fault, ZONES)
    assert told.startswith(said), told


@pytest.mark.parametrize(
    "fault",
    [
        "fault: zones-apart",
        "fault: zone-crash, zone: b, for: 5m",
        "fault: store-minority",
        "fault: link-cut, target: [host-1, host-2], host: host-3",
        "fault: volume-error, target: {fleet: web, mode: one}",
        "fault: vm-hang, target: web-2, unkillable: true",
        "fault: migration-cut, phase: switch-over",
    ],
)
def test_possible(fault: str) -> None:
    assert problems(fault, ZONES) == []
