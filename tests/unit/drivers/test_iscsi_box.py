"""What the storage box does by its records, on targets that are only noted down: no tgtd, no file system of its own."""

import os
import stat

import msgspec
import pytest

from ave.errors import Refused, Unavailable, UnknownOutcome
from drivers.iscsi import names
from drivers.iscsi.box import Box
from drivers.iscsi.pool import GIB, Pool
from drivers.iscsi.secret import make_secret, read_secret
from drivers.iscsi.tgt import megabytes, parse
from tests.contracts.test_block import stamp

HUGE = 2**20  # GiB, more than any machine has


class Noted:
    """A server of targets that only remembers them, and stops doing so when it is told."""

    luns_per_target = 1

    def __init__(self):
        self.up, self.deeds = {}, []
        self.fails = lambda deed: False

    def look(self, wanted):
        self._do("look")
        return {name: wanted.get(name) == export for name, export in self.up.items()}

    def put_up(self, export, secret):
        assert export.target not in self.up
        self._do(f"up {export.target}")
        self.up[export.target] = export

    def require(self, target):
        self._do(f"require {target}")
        if target not in self.up:
            raise Unavailable("it is gone")

    def reopen(self, export):
        self._do(f"reopen {export.target}")
        self.up[export.target] = export

    def take_down(self, target):
        self._do(f"down {target}")
        self.up.pop(target, None)

    def _do(self, deed):
        if self.fails(deed):
            raise Unavailable("tgtd does not answer")
        self.deeds.append(deed)


@pytest.fixture
def noted():
    return Noted()


@pytest.fixture
def make(tmp_path, noted):
    """Another box on the same disks, as after a restart."""
    (tmp_path / "pool").mkdir()
    return lambda: Box(Pool(tmp_path / "pool"), tmp_path / "state", noted, b"secret")


@pytest.fixture
def box(make):
    box = make()
    box.create("disk", 1, stamp(1))
    box.attach("disk", "a", stamp(1))
    return box


A, B = names.target("disk", "a", 1), names.target("disk", "b", 2)


def test_the_older_owner_is_gone_before_the_newer_one_may_come(box, noted):
    noted.deeds.clear()
    box.attach("disk", "b", stamp(2))
    assert noted.deeds == [f"down {A}", f"up {B}"]


@pytest.mark.parametrize("broken", [f"down {A}", f"up {B}"])
def test_a_fence_that_is_cut_short_anywhere_is_unknown_and_holds_after_the_next_start(box, make, noted, broken):
    noted.fails = lambda deed: deed == broken
    with pytest.raises(UnknownOutcome, match="tgtd does not answer"):
        box.attach("disk", "b", stamp(2))
    with pytest.raises(Unavailable):
        box.owner("disk")
    with pytest.raises(Refused, match="belongs to b at epoch 2"):
        box.attach("disk", "a", stamp(1))
    noted.fails = lambda deed: False
    again = make()
    again.look()
    assert list(noted.up) == [B]
    assert again.owner("disk") == ("b", 2)


def test_what_is_known_is_on_the_disk_before_anything_is_done(box, make, noted):
    def dies(deed):
        raise KeyboardInterrupt

    noted.fails = dies
    with pytest.raises(KeyboardInterrupt):
        box.attach("disk", "b", stamp(2))
    noted.fails = lambda deed: False
    assert make().owner("disk") == ("b", 2)
    assert list(noted.up) == [B]


def test_targets_that_went_are_put_up_again_and_those_that_nobody_knows_are_taken_down(box, noted):
    stranger = names.target("gone", "a", 1)
    noted.up = {stranger: None, "iqn.2000-01.org.other:disk": None}
    found = box.look()
    assert (found.put_right, found.removed) == (("disk",), (names.prefix("gone"),))
    assert set(noted.up) == {A, "iqn.2000-01.org.other:disk"}
    assert box.look().put_right == ()


def test_a_migration_has_two_targets_and_ends_with_one(box, noted):
    box.admit("disk", "b", stamp(1))
    assert set(noted.up) == {A, B}
    noted.deeds.clear()
    box.attach("disk", "b", stamp(2))
    assert noted.deeds == [f"down {A}", f"require {B}"]


def test_a_target_that_went_unseen_is_put_up_by_the_next_call(box, noted):
    noted.up.clear()
    box.attach("disk", "a", stamp(1))
    assert list(noted.up) == [A]


def test_a_volume_grows_in_its_target_and_the_file_grows_first(box, noted, tmp_path):
    noted.deeds.clear()
    box.grow("disk", 2, stamp(1))
    assert noted.deeds == [f"reopen {A}"]
    assert noted.up[A].size == 2 * GIB == Pool(tmp_path / "pool").size("disk")


def test_a_volume_that_cannot_grow_in_its_target_gets_another_one(box, noted):
    noted.fails = lambda deed: deed.startswith("reopen")
    noted.deeds.clear()
    box.grow("disk", 2, stamp(1))
    assert noted.deeds == ["look", f"down {A}", f"up {A}"]


@pytest.mark.parametrize("broken", ["making", "going"])
def test_what_was_half_made_or_half_deleted_is_finished_by_the_next_start(box, make, noted, tmp_path, broken):
    record = tmp_path / "state" / "volumes" / "disk.json"
    box.detach("disk", stamp(1))
    record.write_bytes(msgspec.json.encode(msgspec.json.decode(record.read_bytes()) | {"phase": broken}))
    again = make()
    again.look()
    assert again.volumes() == (("disk",) if broken == "making" else ())
    assert Pool(tmp_path / "pool").volumes() == again.volumes()
    again.create("disk", 1, stamp(1))


def test_a_file_that_is_gone_or_a_record_that_is_damaged_is_said_and_nothing_is_made_up(box, make, tmp_path):
    (tmp_path / "pool" / "disk.raw").unlink()
    assert box.look().unclear == {"disk": "the file of volume disk is gone from the pool"}
    (tmp_path / "state" / "volumes" / "disk.json").write_bytes(b"{")
    assert "cannot be read" in box.look().unclear["disk"]
    for call in (lambda: box.attach("disk", "b", stamp(2)), lambda: box.create("disk", 1, stamp(1))):
        with pytest.raises(Unavailable, match="the record of volume disk cannot be read"):
            call()


def test_files_of_nobody_are_told_and_left_alone(box, tmp_path):
    (tmp_path / "pool" / "other.raw").write_bytes(b"precious")
    assert box.look().strangers == ("other",)
    with pytest.raises(Refused, match="has a file in the pool, but no record"):
        box.create("other", 1, stamp(1))
    assert (tmp_path / "pool" / "other.raw").read_bytes() == b"precious"


def test_a_volume_larger_than_the_pool_leaves_nothing_behind(box, tmp_path):
    with pytest.raises(Refused, match="volume huge cannot have"):
        box.create("huge", HUGE, stamp(1))
    assert box.volumes() == ("disk",)
    assert sorted(os.listdir(tmp_path / "pool")) == ["disk.raw"]


def test_files_are_sparse_and_of_their_size(box, tmp_path):
    file = (tmp_path / "pool" / "disk.raw").stat()
    assert (file.st_size, file.st_blocks) == (GIB, 0)
    assert stat.S_IMODE(file.st_mode) == 0o600


def test_a_secret_is_drawn_once_and_kept_from_others(tmp_path):
    path = tmp_path / "new" / "secret"
    drawn = make_secret(path)
    assert make_secret(path) == read_secret(path) == drawn
    assert len(drawn) >= 32
    path.chmod(0o640)
    with pytest.raises(Refused, match="may be read by others: chmod 600"):
        read_secret(path)
    path.chmod(0o600)
    path.write_text("short\n")
    with pytest.raises(Refused, match="needs at least 16"):
        read_secret(path)


LISTED = """Target 7: iqn.2026-01.io.ave:volume.disk.a.1
    System information:
        Driver: iscsi
        State: ready
    I_T nexus information:
        I_T nexus: 1
            Initiator: iqn.2026-01.io.ave:host.a.1 alias: none
            Connection: 0
                IP Address: 10.78.0.1
    LUN information:
        LUN: 0
            Type: controller
            Size: 0 MB, Block size: 1
            Backing store path: None
        LUN: 1
            Type: disk
            Size: 1074 MB, Block size: 512
            Backing store path: /pool/disk.raw
    Account information:
        host.a
    ACL information:
        iqn.2026-01.io.ave:host.a.1
"""


def test_a_target_is_read_as_tgtd_lists_it():
    (shown,) = parse(LISTED).values()
    assert (shown.tid, shown.state, shown.path) == (7, "ready", "/pool/disk.raw")
    assert (shown.users, shown.acl) == (["host.a"], ["iqn.2026-01.io.ave:host.a.1"])
    assert shown.megabytes == megabytes(GIB) == "1074 MB"


def test_sizes_of_whole_gib_are_told_apart():
    assert len({megabytes(gib * GIB) for gib in range(1, 5000)}) == 4999
