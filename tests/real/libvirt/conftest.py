from contextlib import closing

import pytest

from tests.real.libvirt.lab import LibvirtLab


@pytest.fixture(scope="session")
def hosts(tmp_path_factory):
    with closing(LibvirtLab(tmp_path_factory.mktemp("hosts"))) as lab:
        yield lab


@pytest.fixture
def libvirt_lab(hosts):
    """Three hosts that are on, with nothing on them, and a volume of the first."""
    hosts.reset()
    hosts.place("disk", "a", 1)
    return hosts
