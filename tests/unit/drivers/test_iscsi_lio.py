"""LIO as far as a kernel without it allows: that it is missing is said, and what the kernel shows is read rightly.

The tree is written as the kernel's documentation has it. That the kernel obeys is not tried here.
"""

import pytest
from rtslib_fb.node import CFSNode

from ave.errors import Unavailable
from drivers.iscsi.backend import Export
from drivers.iscsi.lio import Lio

pytestmark = pytest.mark.filterwarnings("ignore:Will be removed in 1.0:DeprecationWarning")  # rtslib, of pyudev

TARGET, INITIATOR = "iqn.2026-01.io.ave:volume.disk.a.1", "iqn.2026-01.io.ave:host.a.1"
EXPORT = Export(target=TARGET, initiator=INITIATOR, user="host.a", path="/pool/disk.raw", size=2**30, serial="disk")
PORTAL = "10.78.0.20:3260"
GROUP = f"iscsi/{TARGET}/tpgt_1"
FILES = {
    "core/fileio_0/ave-x/enable": "1",
    "core/fileio_0/ave-x/udev_path": "/pool/disk.raw",
    "core/fileio_0/ave-x/info": "Status: ACTIVATED\n TCM FILEIO ID: 0 File: /pool/disk.raw Size: 1073741824 Mode: O_DSYNC",
    f"{GROUP}/enable": "1",
    f"{GROUP}/attrib/authentication": "1",
    f"{GROUP}/attrib/generate_node_acls": "0",
    f"{GROUP}/attrib/demo_mode_write_protect": "1",
    f"{GROUP}/np/{PORTAL}/iser": "0",
    f"{GROUP}/acls/{INITIATOR}/auth/userid": "host.a",
    f"{GROUP}/acls/{INITIATOR}/lun_1/write_protect": "0",
    f"{GROUP}/lun/lun_1/alua_tg_pt_offline": "0",
}


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.setattr(CFSNode, "configfs_dir", str(tmp_path))
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    (tmp_path / GROUP / "lun/lun_1/0a1b2c").symlink_to(tmp_path / "core/fileio_0/ave-x")
    (tmp_path / GROUP / "acls" / INITIATOR / "lun_1/3d4e5f").symlink_to(tmp_path / GROUP / "lun/lun_1")
    return tmp_path


@pytest.mark.parametrize(
    ("verb", "given"),
    [
        ("look", ({},)),
        ("require", (TARGET,)),
        ("put_up", (EXPORT, "secret")),
        ("reopen", (EXPORT,)),
        ("take_down", (TARGET,)),
    ],
)
def test_a_kernel_without_lio_is_said_with_what_to_do(tmp_path, monkeypatch, verb, given):
    monkeypatch.setattr(CFSNode, "configfs_dir", str(tmp_path / "target"))
    with pytest.raises(Unavailable, match=r"LIO is not in this kernel: there is no .*modprobe target_core_mod") as said:
        getattr(Lio(PORTAL), verb)(*given)
    assert "secret" not in str(said.value)


def test_a_target_that_serves_just_what_is_wanted_is_right(tree):
    lio = Lio(PORTAL)
    assert lio.look({TARGET: EXPORT}) == {TARGET: True}
    assert lio.look({}) == {TARGET: False}
    lio.require(TARGET)
    with pytest.raises(Unavailable, match="LIO has no target"):
        lio.require("iqn.2026-01.io.ave:volume.other.a.1")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("core/fileio_0/ave-x/udev_path", "/pool/other.raw"),
        ("core/fileio_0/ave-x/info", FILES["core/fileio_0/ave-x/info"].replace("1073741824", "536870912")),
        (f"{GROUP}/enable", "0"),
        (f"{GROUP}/attrib/authentication", "0"),
        (f"{GROUP}/attrib/generate_node_acls", "1"),
        (f"{GROUP}/acls/{INITIATOR}/auth/userid", "host.b"),
        (f"{GROUP}/acls/iqn.2026-01.io.ave:host.b.1/auth/userid", "host.b"),
        (f"{GROUP}/np/10.78.0.21:3260/iser", "0"),
        (f"iscsi/{TARGET}/tpgt_2/enable", "1"),
    ],
)
def test_one_that_differs_in_anything_is_not(tree, name, text):
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")
    assert Lio(PORTAL).look({TARGET: EXPORT}) == {TARGET: False}


def test_what_the_kernel_refuses_is_unavailable_and_no_secret_is_in_it(tree):
    """A folder that is none of the kernel's has no attributes to be set."""
    new = Export(target=f"{TARGET}1", initiator=INITIATOR, user="host.a", path="/nowhere", size=2**30, serial="disk")
    with pytest.raises(Unavailable, match=r"LIO does not make iqn\S+") as said:
        Lio(PORTAL).put_up(new, "s3cr3t")
    assert "s3cr3t" not in str(said.value)
