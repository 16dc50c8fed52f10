"""A node's configuration: where each value comes from, and what is said when one is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from ave.errors import Refused
from ave.ha.timing import PROFILES
from drivers.config import load, timing_of

WHOLE = """
[node]
host = "a"
services = ["lease", "jobs"]
[store]
url = "sqlite:here"
[hypervisor]
root = "there"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ave.toml"
    path.write_text(WHOLE)
    return path


def test_a_file_is_enough(file: Path) -> None:
    config = load(file, {}, {})
    assert (config.node.host, config.node.services, config.store.url) == ("a", ("lease", "jobs"), "sqlite:here")
    assert config.store.synchronous == "FULL"


def test_a_flag_wins_over_the_environment_and_that_over_the_file(file: Path) -> None:
    environment = {"AVE_NODE__HOST": "b", "AVE_STORE__URL": "sqlite:env", "AVE_MACHINE__CPUS": "64", "PATH": "x"}
    config = load(file, environment, {"node.host": "c", "store.url": ""})
    assert (config.node.host, config.store.url, config.machine.cpus) == ("c", "sqlite:env", 64)


def test_no_file_is_needed() -> None:
    config = load(
        None, {}, {"node.host": "a", "store.url": "sqlite:x", "hypervisor.root": "y", "node.services": "jobs"}
    )
    assert config.node.services == ("jobs",)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", r"ave\.toml: Object missing required field `node`"),
        (WHOLE + "[other]\n", r"unknown field `other`"),
        (WHOLE.replace("host =", "hots ="), r"`hots` - at `\$\.node`"),
        (WHOLE.replace('"sqlite:here"', "7"), r"Expected `str`, got `int` - at `\$\.store\.url`"),
        (WHOLE.replace('"jobs"', '"jbos"'), r"node\.services: unknown jbos; known are lease, jobs, scheduler, monitor"),
        (WHOLE.replace('"jobs"', '"monitor"'), r"node\.services: monitor needs jobs, scheduler beside it"),
        (WHOLE.replace("[store]", '[store]\npassword = "secret"'), r"unknown field `password`"),
        ("a = 1\n", r"a stands outside of every section"),
        ("a = = 1\n", r"ave\.toml is not TOML: .*line 1"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(file: Path, text: str, why: str) -> None:
    file.write_text(text)
    with pytest.raises(Refused, match=why) as refusal:
        load(file, {}, {})
    assert "secret" not in str(refusal.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"none\.toml cannot be read: No such file"):
        load(tmp_path / "none.toml", {}, {})


def test_times_of_its_own_take_the_place_of_a_profiles(file: Path) -> None:
    assert timing_of(load(file, {}, {})) is PROFILES["seed"]
    assert timing_of(load(file, {"AVE_NODE__PROFILE": "high"}, {})) is PROFILES["high"]
    own = timing_of(load(file, {"AVE_HA__GIVE_UP": "30", "AVE_HA__VERDICT": "50"}, {}))
    assert (own.give_up, own.verdict) == (30.0, 50.0)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("profile = 'brave'", r"ave\.toml: node\.profile: unknown brave; known are seed, standard"),
        (
            "[ha]\ngive_up = 60\nverdict = 60",
            r"ave\.toml: .* unsafe: .* until 77\.06 s after its last renewal, but its lease may be revoked from 59\.94 s",
        ),
        ("[ha]\ngive_up = 60", r"give_up and verdict belong together"),
        ("[ha]\ngive_up = 10\nverdict = 300", r"a host that gives up after 10 s has not lost 15 s of renewals yet"),
        ("[ha]\ngive_up = nan\nverdict = 90", r"ha: give_up and verdict belong together"),
        ("[ha]\ngive_up = 60\nverdict = nan", r"ha: give_up and verdict belong together"),
    ],
)
def test_times_that_are_not_safe_are_refused_and_both_sides_are_said(file: Path, given: str, why: str) -> None:
    file.write_text(WHOLE.replace("[store]", f"{given}\n[store]"))
    with pytest.raises(Refused, match=why):
        load(file, {}, {})
