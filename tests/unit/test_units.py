"""The units of systemd say what they must: who starts whom, who ends with whom, and where secrets are."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from ave.cli.main import app
from drivers.config import BoxConfig, StorageConfig, StoreConfig

UNITS = Path(__file__).parents[2] / "packaging/systemd"
SERVICES = sorted(path.name for path in UNITS.glob("ave-*.service"))
KEYS = {"STORAGE": (StorageConfig, BoxConfig), "STORE": (StoreConfig,)}


def settings(*names: str) -> dict[str, list[str]]:
    """Every setting of these files, with its values in their order."""
    found: dict[str, list[str]] = {}
    for name in names:
        for line in (UNITS / name).read_text().splitlines():
            key, mark, value = line.partition("=")
            if mark and not line.startswith("#"):
                found.setdefault(key, []).append(value)
    return found


def test_there_is_one_for_each_process() -> None:
    assert SERVICES == ["ave-guard.service", "ave-node.service", "ave-storage.service"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_started_again_for_ever_and_takes_nobody_with_it(name: str) -> None:
    unit = settings(name)
    assert unit["Restart"] == ["always"]
    assert unit["StartLimitIntervalSec"] == ["0"]
    assert unit["KillMode"] == ["process"]
    assert int(unit["RestartSec"][0]) <= 5
    assert int(unit["OOMScoreAdjust"][0]) <= -900


@pytest.mark.parametrize("name", SERVICES)
def test_a_command_is_one_of_ave_and_holds_no_secret(name: str) -> None:
    program, *words = shlex.split(settings(name)["ExecStart"][0])
    assert program.endswith("/bin/ave")
    app.parse_args(words, exit_on_error=False, print_error=False)
    assert words[0] == name.removeprefix("ave-").removesuffix(".service")
    assert words[1:2] == ["--config"]
    assert len(words) == 3


def test_neither_the_guard_nor_the_node_stops_with_the_other_and_the_guard_needs_nothing() -> None:
    guard, node = settings("ave-guard.service"), settings("ave-node.service")
    for unit in (guard, node):
        assert not {"Requires", "Requisite", "BindsTo", "PartOf", "Upholds", "Conflicts"} & set(unit)
    assert "Wants" not in guard
    assert guard["After"] == ["local-fs.target"]
    assert "ave-guard.service" in node["Wants"][0]
    assert guard["RuntimeDirectory"] == node["RuntimeDirectory"] == ["ave"]
    assert guard["RuntimeDirectoryPreserve"] == node["RuntimeDirectoryPreserve"] == ["yes"]  # or a restart were a boot


def test_a_node_sees_what_it_looks_at() -> None:
    node = settings("ave-node.service")
    assert not {"PrivateDevices", "ProtectProc", "ProcSubset", "PrivateUsers", "PrivateNetwork"} & set(node)
    assert "CAP_KILL" in node["CapabilityBoundingSet"][0].split()


@pytest.mark.parametrize(
    "names", [("ave-node.service", "ave-node.service.d/store-password.conf"), ("ave-storage.service",)]
)
def test_every_credential_is_named_in_the_configuration_by_its_place(names: tuple[str, ...]) -> None:
    unit = settings(*names)
    credentials = [value.partition(":")[0] for value in unit["LoadCredential"]]
    given = dict(value.split("=", 1) for value in unit["Environment"])
    assert sorted(given.values()) == sorted(f"%d/{credential}" for credential in credentials)
    for variable in given:
        section, _, key = variable.removeprefix("AVE_").partition("__")
        assert all(key.lower() in config.__struct_fields__ for config in KEYS[section])
