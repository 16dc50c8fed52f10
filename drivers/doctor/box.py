"""What a storage box needs: tgtd, and a pool that shares blocks between files."""

from __future__ import annotations

import array
import fcntl
import os
import shutil
import socket
import struct
from pathlib import Path

from ave.errors import Unavailable
from drivers.doctor.check import (
    WAIT_SECONDS,
    Check,
    Found,
    Subject,
    failed,
    ok,
    unless_storage,
    warning,
    worst,
)
from drivers.doctor.files import folder
from drivers.doctor.mounts import file_system
from drivers.iscsi.tgt import Tgt

PROGRAM_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
SHARES_BLOCKS = ("xfs", "btrfs")
XFS_GEOMETRY, GEOMETRY_BYTES, FLAGS_AT, REFLINK = 0x80705864, 112, 92, 1 << 20  # XFS_IOC_FSGEOMETRY_V1 and its flags
PEER = struct.Struct("3i")  # SO_PEERCRED: process, user, group


def _program(subject: Subject) -> Found:
    missing = [name for name in ("tgtd", "tgtadm") if shutil.which(name, path=PROGRAM_PATH) is None]
    if "tgtd" in missing:
        return failed("tgtd, the iSCSI target, is not installed here")
    if missing:
        return warning("tgtadm is not installed here: AVE needs it not, but who looks after tgtd does")
    return ok("tgtd and tgtadm are installed")


def _control(subject: Subject) -> Found:
    assert subject.box is not None, "this row is only for who has one"
    path = Path(subject.box.tgtd)
    with socket.socket(socket.AF_UNIX) as there:
        there.settimeout(WAIT_SECONDS)
        try:
            there.connect(str(path))
        except OSError as problem:
            return failed(f"tgtd cannot be talked to at {path}: {problem.strerror or problem}")
        _, user, _ = PEER.unpack(there.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))
    if user != os.geteuid():
        return failed(
            f"tgtd at {path} runs as user {user}, and this is user {os.geteuid()}: ave storage must run as the same",
            "ask, and run ave storage, as that user",
        )
    try:
        targets = Tgt(path).look({})
    except Unavailable as problem:
        return failed(f"tgtd at {path}: {problem}")
    return ok(f"tgtd answers at {path}, and has {len(targets)} targets")


def reflink(path: Path) -> bool | None:
    """Can files of this folder share blocks? None if that cannot be told without trying."""
    kind = file_system(path)
    if kind != "xfs":
        return kind in SHARES_BLOCKS
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    told = array.array("B", bytes(GEOMETRY_BYTES))
    try:
        fcntl.ioctl(handle, XFS_GEOMETRY, told)
    except OSError:
        return None
    finally:
        os.close(handle)
    (flags,) = struct.unpack_from("=I", told, FLAGS_AT)
    return bool(flags & REFLINK)


def _pool(subject: Subject) -> Found:
    assert subject.box is not None, "this row is only for who has one"
    path, state = Path(subject.box.pool), Path(subject.box.state)
    if not os.path.isdir(path):
        return failed(
            f"[storage] pool: there is no folder {path}", f"mkdir -m 700 {path}, on XFS with reflink=1 or Btrfs"
        )
    if "," in str(path.absolute()):
        return failed(f"[storage] pool: {path.absolute()} has a comma in its name, which tgtd cannot read", "rename it")
    found = [folder(path, "[storage] pool")]
    kind, shares = file_system(path) or "a file system of unknown kind", reflink(path)
    if not shares:
        verb = "may not share" if shares is None else "does not share"
        found.append(
            warning(
                f"[storage] pool {path} is on {kind}, which {verb} blocks between files: no snapshots, clones, roll-backs",
                "put the pool on a file system of mkfs.xfs -m reflink=1",
            )
        )
    if os.path.exists(state) and state.stat().st_dev == path.stat().st_dev:
        found.append(
            warning(
                f"[storage] state {state} is on the pool's file system: a full pool would stop leases and fences too",
                "put [storage] state on another file system",
            )
        )
    return worst(found, ok(f"[storage] pool {path}"))


ROWS = (
    Check("tgt.installed", "there is an iSCSI target", _program, "apt-get install tgt", unless_storage),
    Check(
        "tgt.control",
        "tgtd answers",
        _control,
        "start it as root, tgtd -f --iscsi portal=ADDRESS:3260, and let [storage] tgtd name its socket",
        unless_storage,
    ),
    Check("storage.pool", "the pool can hold volumes", _pool, "see docs/iscsi.md", unless_storage),
)
