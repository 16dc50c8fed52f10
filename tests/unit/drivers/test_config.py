"""A node's configuration: where each value comes from, and what is said when one is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ave.errors import Refused
from ave.ha.timing import PROFILES
from drivers.config import load, load_box, load_store, timing_of
from drivers.toml_lines import lines
from drivers.urls import shown

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
        ("", r"ave\.toml: node\.host is missing \(or AVE_NODE__HOST in the environment\)"),
        ("", r"ave\.toml: store\.url is missing"),
        (
            WHOLE.replace("[hypervisor]", "[hypervsor]"),
            r"ave\.toml:7: hypervsor: unknown section, did you mean hypervisor",
        ),
        (WHOLE + "[other]\n", r"ave\.toml:9: other: unknown section, known are node, store, hypervisor, machine"),
        (WHOLE.replace("host =", "hots ="), r"ave\.toml:3: node\.hots: unknown key, did you mean host\?"),
        (WHOLE.replace("host =", "hots ="), r"ave\.toml: node\.host is missing"),
        (WHOLE.replace('"sqlite:here"', "7"), r"ave\.toml:6: store\.url: Expected `str`, got `int`"),
        (WHOLE.replace('"sqlite:here"', '"paper:x"'), r"ave\.toml:6: store\.url: paper: is no store that AVE knows"),
        (
            WHOLE.replace('"sqlite:here"', '"mongodb://ave:secret@db/"'),
            r"ave\.toml:6: store\.url: it must hold no user and no password",
        ),
        (WHOLE.replace('"jobs"', '"jbos"'), r"ave\.toml:4: node\.services: unknown jbos; known are lease, jobs"),
        (WHOLE.replace('"jobs"', '"monitor"'), r"ave\.toml:4: node\.services: monitor needs jobs, scheduler beside it"),
        (
            WHOLE.replace("[store]", '[store]\npassword = "secret"'),
            r"store\.password: unknown key, did you mean password_",
        ),
        (WHOLE + 'driver = "kvm"\n', r"ave\.toml:9: hypervisor\.driver: Invalid .*; it is one of process, libvirt"),
        (
            WHOLE + '[libvirt.peers.b]\nur = "x"\n',
            r"ave\.toml:10: libvirt\.peers\.b\.ur: unknown key, did you mean uri\?",
        ),
        (WHOLE + '[libvirt]\npeers = {b = "x"}\n', r"ave\.toml:10: libvirt\.peers\.b: must be a table"),
        (
            WHOLE + '[storage]\nbox = "a"\nportal = "a:1"\nsecret_file = "x"\n',
            r"ave\.toml:10: storage\.box: 'a' is no address and port",
        ),
        ("\na = 1\n", r"ave\.toml:2: a stands outside of every section"),
        ("a = = 1\n", r"ave\.toml is not TOML: .*line 1"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(file: Path, text: str, why: str) -> None:
    file.write_text(text)
    with pytest.raises(Refused, match=why) as refusal:
        load(file, {}, {})
    assert "secret" not in str(refusal.value)


def test_all_that_is_wrong_is_said_at_once_in_the_order_of_the_file(file: Path) -> None:
    file.write_text(WHOLE.replace("host =", "hots =").replace("root", "rot").replace('"sqlite:here"', "7"))
    with pytest.raises(Refused) as refusal:
        load(file, {"AVE_MACHINE__CPU": "1", "AVE_MACHINE__MEMORY_MIB": "much"}, {})
    said = str(refusal.value).replace(f"{file.parent}/", "").splitlines()
    assert sorted(line.partition(": ")[0] for line in said[:3]) == [
        "AVE_MACHINE__CPU",
        "AVE_MACHINE__MEMORY_MIB",
        "ave.toml",
    ]
    assert [line.partition(": ")[0] for line in said[3:]] == ["ave.toml:3", "ave.toml:6", "ave.toml:8"]


ODD = '''# [node]\r
[node]\r
host = """
x = 1
[store]
"""

  services = [ # a list
  "lease",

]
a.b = 1
[libvirt]
bridges = {lan = "a",\twan = "b"}
"peers"."b c".uri = "x" # \u2028 y
[libvirt.peers.d]
uri = "z"'''


def test_a_line_is_where_the_key_begins_whatever_its_value_looks_like() -> None:
    assert lines(ODD) == {
        ("node",): 2,
        ("node", "host"): 3,
        ("node", "services"): 8,
        ("node", "a"): 12,
        ("node", "a", "b"): 12,
        ("libvirt",): 13,
        ("libvirt", "bridges"): 14,
        ("libvirt", "bridges", "lan"): 14,
        ("libvirt", "bridges", "wan"): 14,
        ("libvirt", "peers"): 15,
        ("libvirt", "peers", "b c"): 15,
        ("libvirt", "peers", "b c", "uri"): 15,
        ("libvirt", "peers", "d"): 16,
        ("libvirt", "peers", "d", "uri"): 17,
    }


VALUES = ("1", '"[x]"', '"""\na = 1\n"""', "[\n1,\n\n2]", "{p = 1}", "'''\n'''")


@given(keys=st.lists(st.text("abc", min_size=1, max_size=3), unique=True, max_size=6), data=st.data())
def test_a_line_is_where_it_was_written(keys: list[str], data: st.DataObject) -> None:
    text = "[t]\n"
    wanted: dict[tuple[str, ...], int] = {("t",): 1}
    for key in keys:
        text += data.draw(st.sampled_from(("", "\n", "# t = 1\n")))
        value = data.draw(st.sampled_from(VALUES))
        wanted[("t", key)] = line = text.count("\n") + 1
        if value.startswith("{"):
            wanted[("t", key, "p")] = line
        text += f"{key} = {value}\n"
    assert lines(text) == wanted


def test_a_box_takes_its_own_section_and_knows_those_of_a_node(tmp_path: Path) -> None:
    path = tmp_path / "box.toml"
    path.write_text('[node]\nhost = "a"\n[storage]\nlisten = "[::1]:1"\npool = "p"\nstate = "s"\nsecret_file = "f"\n')
    assert load_box(path, {}, {"pool": "q"}).pool == "q"
    path.write_text('[storag]\nlisten = "127.0.0.1:1"\n')
    with pytest.raises(Refused, match=r"box\.toml:1: storag: unknown section, did you mean storage\?"):
        load_box(path, {}, {})
    with pytest.raises(Refused, match=r"command line: storage\.listen: 'here' is no address and port"):
        load_box(None, {}, {"listen": "here", "pool": "p", "state": "s", "secret_file": "f"})


def test_a_store_alone_is_read_from_a_nodes_file(file: Path) -> None:
    assert load_store(file, {}, "").url == "sqlite:here"
    assert load_store(None, {"AVE_STORE__URL": "sqlite:env"}, "sqlite:flag").url == "sqlite:flag"
    with pytest.raises(Refused, match=r"command line: store\.url: paper: is no store that AVE knows"):
        load_store(file, {}, "paper:x")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("sqlite:runs/store", "sqlite:runs/store"),
        ("mongodb://a,b/?replicaSet=rs&tls=true", "mongodb://a,b/?replicaSet=rs&tls=true"),
        ("mongodb://ave:p@ss@a/?w=1", "mongodb://…@a/?w=1"),
        (
            "mongodb://a/?tlsCertificateKeyFilePassword=x&tls=true",
            "mongodb://a/?tlsCertificateKeyFilePassword=…&tls=true",
        ),
        ("mongodb://a/?authMechanismProperties=AWS_SESSION_TOKEN:x", "mongodb://a/?authMechanismProperties=…"),
        ("qemu+tls://b/system", "qemu+tls://b/system"),
    ],
)
def test_a_url_is_shown_without_what_is_secret_in_it(url: str, told: str) -> None:
    assert shown(url) == told


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
