"""A node's configuration: where each value comes from, and what is said when one is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from ave.errors import Refused
from drivers.config import load

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
