"""The hypervisor's contract, on libvirt with emulated guests: every test of it, and what differs by its own nature."""

from contextlib import closing

import pytest

from tests.contracts.test_hypervisor import *  # noqa: F403
from tests.real.libvirt_lab import LibvirtLab


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    with closing(LibvirtLab(tmp_path_factory.mktemp("hosts"))) as lab:
        yield lab


@pytest.fixture
def lab(hosts):
    hosts.reset()
    hosts.place("disk", "a", 1)
    return hosts
