"""The published JSON Schema agrees with the reader, by a judge that knows neither."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from docs.write_scenario_schema import COMMAND, FILE, schema
from sim.explore.trial import scenario_of, wish
from sim.scenario import nodes
from sim.scenario.load import loads
from sim.scenario.problem import Invalid
from sim.scenario.write import write
from sim.tables import CATALOGUE
from tests.scenarios.shipped import FILES

VALIDATOR: Any = jsonschema.Draft202012Validator(msgspec.json.decode(schema()))


def valid(text: str) -> bool:
    return bool(VALIDATOR.is_valid(nodes.plain(nodes.parse(text.encode(), "scenario.yaml").root)))


def spec(**changed: Any) -> str:
    base = {
        "duration": "10m",
        "topology": {"hosts": 4, "cpu": 8, "memory": "64GiB"},
        "workload": [{"fleet": "web", "count": 2, "vcpu": 1, "memory": "1GiB"}],
    }
    head = {"apiVersion": "ave.sim/v1", "kind": "Scenario", "metadata": {"name": "some"}}
    return write(head | {"spec": base | changed})


def test_the_published_schema_is_that_of_the_rules() -> None:
    assert FILE.read_text(encoding="utf-8") == schema(), f"{FILE.name} is out of date: {COMMAND}"


def test_it_is_a_schema_itself() -> None:
    jsonschema.Draft202012Validator.check_schema(msgspec.json.decode(schema()))


@pytest.mark.parametrize("name", FILES)
def test_a_shipped_scenario_is_valid(name: str) -> None:
    assert valid(FILES[name].read_text(encoding="utf-8"))


def test_drawn_scenarios_are_valid() -> None:
    assert all(valid(scenario_of(seed, wish())) for seed in range(30))


def fault(**entry: Any) -> dict[str, Any]:
    return {"timeline": [{"at": "1m", **entry}]}


@pytest.mark.parametrize(
    "changed",
    [
        {"durtion": "1h"},
        {"duration": "10"},
        {"duration": 10},
        {"topology": {"hosts": 0, "cpu": 8, "memory": "64GiB"}},
        {"topology": {"hosts": 4, "cpu": 8, "memory": "64GB"}},
        {"mode": "clustr"},
        {"repeat": 0},
        {"repeat": 1.5},
        {"matrix": {"duration": []}},
        {"matrix": {"topology hosts": ["1"]}},
        {"workload": [{"fleet": "Web", "count": 2, "vcpu": 1, "memory": "1GiB"}]},
        {"workload": [{"fleet": "web", "vcpu": 1, "memory": "1GiB"}]},
        {"workload": [{"generator": "aws", "vms": 3}]},
        fault(fault="host-crsh", target="host-1"),
        fault(fault="host-crash"),
        fault(fault="store-failover", target="host-1"),
        fault(fault="store-failover", **{"for": "10s"}),
        fault(fault="host-crash", target={"mode": "some"}),
        fault(fault="host-crash", target=[]),
        fault(fault="process-kill", target="host-1", process="systemd"),
        fault(action="vm.create"),
        {"arms": ["S99"]},
        {"thresholds": [{"severity": "fail"}]},
        {"expect": [{"vm": "web-1", "apart": True}]},
    ],
    ids=str,
)
def test_what_the_reader_refuses_for_its_shape_the_schema_refuses_too(changed: dict[str, Any]) -> None:
    text = spec(**changed)
    with pytest.raises(Invalid):
        loads(text, CATALOGUE, Path("scenario.yaml"))
    assert not valid(text)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"repeat": 3, "matrix": {"topology.hosts": [4, 5]}},
        fault(fault="host-crash", target=["host-1", "host-2"], **{"for": "90s"}),
        fault(fault="host-crash", target={"mode": "fixed-percent", "value": "50%"}),
        fault(action="vm.migrate", target={"mode": "one"}),
    ],
    ids=str,
)
def test_what_the_reader_takes_the_schema_takes_too(changed: dict[str, Any]) -> None:
    text = spec(**changed)
    loads(text, CATALOGUE, Path("scenario.yaml"))
    assert valid(text)
