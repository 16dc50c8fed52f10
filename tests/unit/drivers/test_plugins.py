"""Filters and preferences of other packages, found by entry point, decide with ours and are reported by their own names."""

from collections.abc import Callable
from pathlib import Path

import pytest

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
