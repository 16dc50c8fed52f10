"""Whom the storage box turns away is heard on the bed's switch, by host and volume; and who is let in is not."""

from __future__ import annotations

from time import monotonic

import pytest

from drivers.iscsi import names
from tests.real.bed import Bed, BedError, registry
from tests.real.bed.command import until
from tests.real.faults.refusals import Refusals

HEARD_SECONDS = 5.0


def test_a_login_that_is_refused_is_heard() -> None:
    with Bed(hosts=2) as bed:
        heard = Refusals(next(record.names for record in registry.records() if record.root == str(bed.root)))
        try:
            old, new = bed.hosts
            way = names.way(bed.storage.portal, "web-1-disk-1", old.name, 1)
            bed.storage.tgtadm("target", "new", tid=1, targetname=names.target("web-1-disk-1", new.name, 2))
            bed.storage.tgtadm("target", "bind", tid=1, initiator_name=names.initiator(new.name, 2))
            began = monotonic()
            with pytest.raises(BedError, match="Target not found"):
                old.ask(["iscsi-inq", "-i", way.initiator, f"iscsi://{way.portal}/{way.target}/{way.lun}"])
            until(lambda: heard.of(old.storage_address, "web-1-disk-1", began) == 1, "it is heard", HEARD_SECONDS)
            assert heard.of(old.storage_address, "web-1-disk-10", began) == 0
            assert heard.of(new.storage_address, "web-1-disk-1", began) == 0
            assert heard.of(old.storage_address, "web-1-disk-1", monotonic()) == 0
            own = names.way(bed.storage.portal, "web-1-disk-1", new.name, 2)
            new.ask(["iscsi-inq", "-i", own.initiator, f"iscsi://{own.portal}/{own.target}/0"])
            assert len(heard.all) == 1
        finally:
            heard.close()
