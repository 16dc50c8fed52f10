"""Filters and preferences of other packages, found by entry point, decide with ours and are reported by their own names."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ave.cli.main import app
from ave.errors import NoFit, Refused
from ave.placement.batch import place_batch
from ave.placement.place import place
from ave.placement.purpose import Purpose
from drivers.plugins import plugged
from tests.unit.placement.clusters import host, view, vm

RULES = """
import numpy as np
from ave.placement.filters import Filter
from ave.placement.preferences import Preference

def licensed(unit, view, purpose):
    return np.array([name != "unlicensed" for name in view.names])

def warm(unit, view, purpose):
    return np.array([int(name == "warm") for name in view.names])

LICENCES = Filter("LicenceFilter", "has no licence", licensed)
COOL = Preference("CoolFilter", "is warm", warm)
STEADY = Filter("SteadyFilter", "is odd", licensed, steady=True)
OURS = Filter("NetworkFilter", "lacks something", licensed)
"""
Install = Callable[[str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """A package with these entry points."""

    def installed(entries: str) -> None:
        (tmp_path / "acme_rules.py").write_text(RULES)
        about = tmp_path / "acme_rules-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-rules\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(entries)
        monkeypatch.syspath_prepend(tmp_path)

    return installed


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """On paper; ``v`` is on a host that COOL would not choose."""
    hosts = [
        {"id": name, "cpus": 8, "memory": f"{gib}GiB"} for name, gib in (("unlicensed", 512), ("warm", 256), ("z", 64))
    ]
    vms = [{"id": "v", "vcpus": 1, "memory": "1GiB", "host": "warm"}]
    path = tmp_path / "cluster.json"
    path.write_text(json.dumps({"apiVersion": "ave/v1", "kind": "Snapshot", "hosts": hosts, "vms": vms}))
    return path


def command(*words: str | Path) -> int:
    code = app(list(map(str, words)), exit_on_error=False, print_error=True, result_action="return_value")
    assert isinstance(code, int)
    return code


def test_without_any_package_there_are_none():
    assert plugged() == ((), ())


def test_they_decide_and_are_named(install):
    install("[ave.placement.filters]\na = acme_rules:LICENCES\n[ave.placement.preferences]\nb = acme_rules:COOL\n")
    rules = plugged()
    seen = view([host("unlicensed", 512), host("warm", 256), host("z")])
    choice = place(seen, vm("v"), Purpose.START, plugged=rules)
    assert choice.host == "z"
    assert (choice.rejected, choice.passed_over) == ({"LicenceFilter": 1}, {"CoolFilter": 1})
    with pytest.raises(NoFit, match="1 by LicenceFilter"):
        place(view([host("unlicensed")]), vm("v"), Purpose.START, plugged=rules)
    batch = place_batch(seen, [vm("v1", 60), vm("v2", 60)], Purpose.START, plugged=rules)
    assert {name: choice.host for name, choice in batch.placed.items()} == {"v1": "z", "v2": "warm"}


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("x = acme_rules:NOTHING", "cannot be loaded: AttributeError"),
        ("x = acme_rules:COOL", "is a Preference: it must be a ave.placement.filters.Filter"),
        ("x = acme_rules:STEADY", "cannot be steady"),
        ("x = acme_rules:OURS", "calls itself NetworkFilter, as one of AVE does already"),
        ("x = acme_rules:LICENCES\ny = acme_rules:LICENCES", "as one of acme-rules does already"),
    ],
)
def test_what_is_no_rule_is_refused_by_name(install, entry, why):
    install(f"[ave.placement.filters]\n{entry}\n")
    with pytest.raises(Refused, match=why) as refusal:
        plugged()
    assert "acme-rules" in str(refusal.value)


def test_the_command_line_asks_them_too(install, cluster, capsys):
    new = ("--vm", "name=new,vcpus=1,memory=1GiB")
    assert command("plan", "place", "--snapshot", cluster, *new) == 0
    assert "goes to unlicensed" in capsys.readouterr().out
    install("[ave.placement.filters]\na = acme_rules:LICENCES\n[ave.placement.preferences]\nb = acme_rules:COOL\n")
    assert command("plan", "place", "--snapshot", cluster, *new) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "goes to z: of 3 hosts 2 can take it; 1 has no licence (unlicensed); 1 is warm (warm)." in told
    assert command("plan", "place", "--snapshot", cluster, *new, "--vm", "name=big,vcpus=1,memory=300GiB") == 1
    assert "LicenceFilter" in capsys.readouterr().out
    assert command("explain", "placement", "v", "--snapshot", cluster, "-o", "json") == 0
    explained = json.loads(capsys.readouterr().out)
    assert explained["choice"]["host"] == "z"
    assert explained["rejected"] == {"LicenceFilter": 1}
    (unlicensed,) = (host for host in explained["hosts"] if host["host"] == "unlicensed")
    assert (unlicensed["by"], unlicensed["why"]) == ("LicenceFilter", "has no licence")


@pytest.mark.parametrize("words", ["plan place --vm name=new,vcpus=1,memory=1GiB", "explain placement v"])
def test_the_command_line_decides_nothing_beside_a_rule_that_is_none(install, cluster, capsys, words):
    install("[ave.placement.filters]\nx = acme_rules:NOTHING\n")
    assert command(*words.split(), "--snapshot", cluster) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "of acme-rules cannot be loaded" in err
