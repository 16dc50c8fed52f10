"""A witness in a scenario: a further host, with as many masters in each zone as in the other."""

from pathlib import Path

import pytest

from sim.scenario.load import loads
from sim.scenario.model import Topology
from sim.scenario.problem import Invalid
from sim.tables import CATALOGUE


def topology(written: str, timeline: str = "") -> Topology:
    text = f"""
apiVersion: ave.sim/v1
kind: Scenario
metadata: {{name: x}}
spec:
  duration: 1m
  topology: {{cpu: 4, memory: 16GiB, {written}}}
  timeline: [{timeline}]
"""
    return loads(text, CATALOGUE, Path("x.yaml")).topology


def masters(written: str) -> list[str]:
    return [host.name for host in topology(written).hosts() if host.master]


def test_the_witness_is_the_last_host_and_can_be_aimed_at():
    crash = "{at: 10s, fault: host-crash, target: host-5}"
    made = topology("hosts: 4, zones: {a: 2, b: 2}, primary: a, witness: true", crash)
    assert (made.size, made.masters) == (5, 3)
    witness = made.hosts()[-1]
    assert (witness.name, witness.zone, witness.master) == ("host-5", None, True)
    assert witness.memory_mib == witness.reserve_mib


def test_the_other_masters_are_the_first_of_each_zone():
    zones = "hosts: 6, zones: {a: 2, b: 4}, witness: true"
    assert masters(zones) == ["host-1", "host-3", "host-7"]
    assert masters(f"{zones}, masters: 5") == ["host-1", "host-2", "host-3", "host-4", "host-7"]
    assert masters("hosts: 6, zones: {a: 2, b: 4}, masters: 3") == ["host-1", "host-2", "host-3"]


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("hosts: 4, witness: true", "witness: is for a cluster of two zones or more"),
        ("hosts: 4, zones: {a: 4}, witness: true", "witness: is for a cluster of two zones or more"),
        (
            "hosts: 6, zones: {a: 3, b: 3}, masters: 1, witness: true",
            "masters: must be one for the witness and as many",
        ),
        ("hosts: 6, zones: {a: 2, b: 2, c: 2}, masters: 3, witness: true", "as many for each of 3 zones"),
        (
            "hosts: 6, zones: {a: 1, b: 5}, masters: 5, witness: true",
            "each zone must have 2 masters, and so many hosts",
        ),
        ("hosts: 6, zones: {a: 3, b: 3}, witness: host-7", "witness: "),
    ],
)
def test_what_is_wrong_with_a_witness_is_said(written, problem):
    with pytest.raises(Invalid) as invalid:
        topology(written)
    assert problem in str(invalid.value)
