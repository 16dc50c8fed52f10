"""``ave config show``: every value, where it is from, and nothing that is secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from drivers.config import BoxConfig, Config
from drivers.layers import struct_of

ROOT = Path(__file__).parents[3]
AVE = [sys.executable, "-m", "ave.cli.main"]

NODE = """
[node]
host = "a"
services = [
  "lease",
  "jobs",
]
[store]
url = "mongodb://db1,db2/?replicaSet=rs&tlsCertificateKeyFilePassword=hunter2"
user = "ave"
password_file = "{folder}/password"
[hypervisor]
driver = "libvirt"
[libvirt]
bridges = {{lan = "br-vm"}}
[libvirt.peers.b]
uri = "qemu+tls://b/system"
[storage]
box = "10.0.0.1:3270"
portal = "10.0.0.1:3260"
secret_file = "{folder}/secret"
"""
BOX = """
[storage]
listen = "10.0.0.1:3270"
pool = "pool"
state = "state"
secret_file = "{folder}/secret"
"""


def ave(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith("AVE_")}
    return subprocess.run(
        [*AVE, *map(str, words)],
        cwd=ROOT,
        env=mine | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def node(tmp_path: Path) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(NODE.format(folder=tmp_path))
    (tmp_path / "password").write_text("correct horse")
    return path


def shown(*words: object, **environment: str) -> dict[str, Any]:
    answer = ave("config", "show", *words, "-o", "json", **environment)
    assert answer.returncode == 0, answer.stderr
    return {row["key"]: row for row in json.loads(answer.stdout)}


def keys(type: Any, above: str = "") -> set[str]:
    """What a configuration of this shape may say."""
    found: set[str] = set()
    for field in msgspec.structs.fields(type):
        inner = struct_of(field.type)
        found |= keys(inner, f"{above}{field.name}.") if inner else {f"{above}{field.name}"}
    return found


def test_every_key_has_a_value_and_says_where_it_is_from(node: Path) -> None:
    rows = shown("--config", node, "--services", "lease", AVE_STORE__DATABASE="other", AVE_MACHINE__NETWORKS="lan, wan")
    assert keys(Config) - {"libvirt.bridges", "libvirt.peers"} <= set(rows)
    assert {"libvirt.bridges.lan", "libvirt.peers.b.uri", "libvirt.peers.b.migration"} <= set(rows)
    place = {"kind": "file", "place": str(node)}
    assert rows["node.host"] == {"key": "node.host", "value": "a", "origin": {**place, "line": 3}}
    assert rows["node.services"]["value"] == ["lease"]
    assert rows["node.services"]["origin"]["kind"] == "command line"
    assert rows["store.database"]["value"] == "other"
    assert rows["store.database"]["origin"] == {"kind": "environment", "place": "AVE_STORE__DATABASE", "line": None}
    assert rows["machine.networks"]["value"] == ["lan", "wan"]
    assert rows["libvirt.bridges.lan"]["origin"] == {**place, "line": 15}
    assert rows["libvirt.peers.b.uri"]["origin"] == {**place, "line": 17}
    assert rows["libvirt.peers.b.migration"]["origin"]["kind"] == "default"
    assert rows["node.master"]["origin"]["kind"] == "default"


def test_times_that_are_not_given_are_those_of_the_profile(node: Path) -> None:
    rows = shown("--config", node, AVE_NODE__PROFILE="high")
    assert rows["ha.give_up"] == {
        "key": "ha.give_up",
        "value": 40.0,
        "origin": {"kind": "profile", "place": "high", "line": None},
    }
    own = shown("--config", node, AVE_HA__GIVE_UP="30", AVE_HA__VERDICT="50")
    assert (own["ha.give_up"]["value"], own["ha.give_up"]["origin"]["kind"]) == (30.0, "environment")


def test_no_secret_is_shown_only_whether_it_is_set(node: Path) -> None:
    for output in ("table", "json"):
        answer = ave("config", "show", "--config", node, "-o", output, AVE_MONGO_PASSWORD="battery staple")
        assert answer.returncode == 0
        for secret in ("hunter2", "correct horse", "battery staple"):
            assert secret not in answer.stdout + answer.stderr
    rows = shown("--config", node)
    assert (rows["store.password"]["set"], rows["storage.secret"]["set"]) == (True, False)
    assert rows["store.password"]["origin"]["place"] == str(node.parent / "password")
    (node.parent / "secret").write_text("shared by all")
    (node.parent / "password").write_text("")
    rows = shown("--config", node)
    assert (rows["store.password"]["set"], rows["storage.secret"]["set"]) == (False, True)
    assert "value" not in rows["storage.secret"]
    node.write_text(node.read_text().replace("password_file", "# password_file"))
    rows = shown("--config", node, AVE_MONGO_PASSWORD="battery staple")
    assert rows["store.password"]["set"] is True
    assert rows["store.password"]["origin"]["place"] == "AVE_MONGO_PASSWORD"
    assert shown("--config", node)["store.password"]["set"] is False


def test_a_table_has_a_line_for_each_value(node: Path) -> None:
    answer = ave("config", "show", "--config", node)
    told = [line.split() for line in answer.stdout.splitlines()]
    assert told[0] == ["KEY", "VALUE", "FROM"]
    assert ["node.host", '"a"', f"{node}:3"] in told
    assert ["ha.give_up", "60.0", "profile", "seed"] in told
    assert ["storage.secret", "not", "set", str(node.parent / "secret")] in told
    assert len(told) == 1 + len(shown("--config", node))


def test_a_storage_box_is_known_by_its_keys_or_by_what_is_said(tmp_path: Path) -> None:
    path = tmp_path / "storage.toml"
    path.write_text(BOX.format(folder=tmp_path))
    rows = shown("--config", path)
    assert set(rows) == {f"storage.{key}" for key in (*BoxConfig.__struct_fields__, "secret")}
    assert rows["storage.tgtd"]["origin"]["kind"] == "default"
    assert shown("--config", path, "--for", "storage") == rows
    answer = ave("config", "show", "--config", path, "--for", "node")
    assert answer.returncode == 2
    assert f"{path}: node.host is missing" in answer.stderr


def test_what_is_wrong_is_said_as_the_node_says_it(node: Path) -> None:
    node.write_text(node.read_text().replace("user =", "usr =").replace("[libvirt]", "[libvrt]"))
    answer, started = ave("config", "show", "--config", node), ave("node", "--config", node)
    assert (answer.returncode, started.returncode, answer.stdout) == (2, 2, "")
    assert answer.stderr == started.stderr
    assert f"{node}:10: store.usr: unknown key, did you mean user?" in answer.stderr
    assert f"{node}:14: libvrt: unknown section, did you mean libvirt?" in answer.stderr
    assert "hunter2" not in answer.stderr


def test_without_a_file_the_environment_and_flags_are_enough() -> None:
    rows = shown("--host", "a", "--store", "sqlite:x", "--root", "y")
    assert rows["store.url"] == {
        "key": "store.url",
        "value": "sqlite:x",
        "origin": {"kind": "command line", "place": "", "line": None},
    }
    assert "store.password" not in rows
    assert (rows["storage.box"]["value"], rows["storage.box"]["origin"]["kind"]) == (None, "default")
    answer = ave("config", "show")
    assert answer.returncode == 2
    assert "no --config was given" in answer.stderr
