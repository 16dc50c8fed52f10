"""What every block storage promises, promised by the iSCSI driver on a real tgtd."""

from contextlib import closing

import pytest

from tests.contracts.test_block import *  # noqa: F403
from tests.real.storage.lab import IscsiLab


@pytest.fixture  # type: ignore[no-redef]  # in place of the one that comes with the suite
def lab(ground):
    with closing(IscsiLab(ground)) as lab:
        yield lab
