"""A host of libvirt, put together by its configuration."""

from pathlib import Path

import pytest

from ave.errors import Refused
from drivers.assembly import libvirt_settings
from drivers.config import load
from drivers.libvirt.host import Reach

TEXT = """
[node]
host = "a"
[store]
url = "sqlite:store"
[hypervisor]
driver = "libvirt"
[storage]
box = "10.0.0.20:3270"
portal = "10.0.0.20:3260"
secret_file = "storage.secret"
[libvirt.peers.b]
uri = "qemu+tls://b/system"
peer = "qemu+tls://b.moves/system"
"""
ITSELF = """
[libvirt.peers.a]
uri = "qemu+tls://a/system"
migration = "tcp://10.0.0.11"
"""


def test_a_host_knows_how_others_reach_it_since_a_memory_may_come_back(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text(TEXT + ITSELF)
    settings = libvirt_settings(load(file, {}, {}))
    assert settings.reach == Reach(uri="qemu:///system", peer="qemu+tls://a/system", migration="tcp://10.0.0.11")
    assert settings.peers("b") == Reach(uri="qemu+tls://b/system", peer="qemu+tls://b.moves/system")


def test_a_host_that_could_not_have_a_memory_back_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text(TEXT)
    with pytest.raises(Refused, match="there is no a itself"):
        libvirt_settings(load(file, {}, {}))
