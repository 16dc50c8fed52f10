"""Who this user is, and whom files and folders let in."""

from __future__ import annotations

import grp
import os
import stat
from pathlib import Path

from ave.errors import Refused
from drivers.config_shown import PASSWORD
from drivers.doctor.check import (
    Check,
    Found,
    Subject,
    failed,
    ok,
    unless_configured,
    unless_node,
    warning,
    worst,
)
from drivers.doctor.mounts import nearest
from drivers.iscsi.secret import read_secret
from drivers.urls import MONGODB

OTHERS_WRITE, OTHERS_READ = 0o022, 0o077
GROUPS = ("libvirt", "kvm")  # in which a user may ask libvirt without being root


def _user(subject: Subject) -> Found:
    if os.geteuid() == 0:
        return ok("root asks, as root runs the services")
    groups = ", ".join(f"{'in' if _in_group(name) else 'not in'} group {name}" for name in GROUPS)
    if subject.role == "storage":
        return failed(f"user {os.geteuid()} asks, who is not the user of tgtd")
    if subject.config is not None and subject.config.hypervisor.driver != "libvirt":
        return ok(f"user {os.geteuid()} asks; VMs that are processes need no more")
    return failed(
        f"user {os.geteuid()} asks ({groups}): node and guard read /run/libvirt/qemu and stop QEMU by signals, as root only may"
    )


def _in_group(name: str) -> bool:
    try:
        return grp.getgrnam(name).gr_gid in (os.getegid(), *os.getgroups())
    except KeyError:
        return False  # there is no such group here


def mode(path: Path, forbidden: int, what: str, missing: str = "") -> Found:
    """Is it nobody's but its owner's, who is this user or root?"""
    try:
        there = path.stat()
    except OSError as problem:
        return failed(f"{what} {path} cannot be read: {problem.strerror}", missing or f"ls -ld {path}")
    bits = stat.S_IMODE(there.st_mode)
    if bits & forbidden:
        verb = "written" if bits & forbidden & OTHERS_WRITE else "read"
        wanted = bits & ~forbidden
        return failed(f"{what} {path} has mode {bits:04o}: it may be {verb} by others", f"chmod {wanted:04o} {path}")
    if there.st_uid not in (0, os.geteuid()):
        return failed(
            f"{what} {path} belongs to user {there.st_uid}, who may change it", f"chown {os.geteuid()} {path}"
        )
    return ok(f"{what} {path} has mode {bits:04o}")


def _config(subject: Subject) -> Found:
    if subject.file is None:
        return Found("not asked", "the configuration is in no file")
    return mode(subject.file, OTHERS_WRITE, "configuration")


def folder(path: Path, what: str) -> Found:
    """It is there, or can be made; and others may put nothing there."""
    there = nearest(path)
    if not there.is_dir():
        return failed(f"{what} {there} is no folder", f"mv {there} elsewhere")
    if not os.access(there, os.W_OK | os.X_OK, effective_ids=True):
        return failed(f"{what} {path}: this user may not write to {there}", "ask as the user who runs the services")
    if there != path.absolute():
        return ok(f"{what} {path} will be made at the first start")
    return mode(path, OTHERS_WRITE, what)


def state_folders(subject: Subject) -> dict[str, Path]:
    """What is kept there, and where."""
    if subject.box is not None:
        return {"[storage] state": Path(subject.box.state), "[storage] pool": Path(subject.box.pool)}
    if subject.config is None:
        return {}
    if subject.config.hypervisor.driver == "process":
        return {"[hypervisor] root": Path(subject.config.hypervisor.root)}
    libvirt = subject.config.libvirt
    return {"[libvirt] state": Path(libvirt.state), "[libvirt] run": Path(libvirt.run, "ave")}


def _folders(subject: Subject) -> Found:
    found = [folder(path, what) for what, path in state_folders(subject).items() if what != "[storage] pool"]
    return worst(found, ok("there are none"))


def _storage_secret(subject: Subject) -> Found:
    held = subject.box or subject.storage
    if held is None:
        return Found("not asked", "volumes of this host are on no storage box")
    path = Path(held.secret_file)
    if subject.box is not None and not os.path.exists(path):
        return ok(f"storage secret {path} will be drawn at the first start")
    try:
        read_secret(path)
    except Refused as problem:
        return failed(
            str(problem), "" if os.path.exists(path) else f"copy it from the storage box, and chmod 600 {path}"
        )
    return mode(path, OTHERS_READ, "storage secret")


def _password(subject: Subject) -> Found:
    assert subject.config is not None, "this row is only for who has one"
    store = subject.config.store
    if not (store.url.startswith(MONGODB) and store.user):
        return Found("not asked", "the store asks for no password")
    if store.password_file:
        path = Path(store.password_file)
        write = f"write it there, for its owner alone: (umask 077; cat > {path})"
        found = mode(path, OTHERS_READ, "the store's password", write)
        empty = found.status == "ok" and not path.stat().st_size
        return failed(f"the store's password {path} is empty", write) if empty else found
    if not subject.environment.get(PASSWORD):
        return failed(f"user {store.user} of the store has no password", f"set [store] password_file, or {PASSWORD}")
    return warning(
        f"the store's password is in {PASSWORD}, where root and this user see it in /proc", "use [store] password_file"
    )


ROWS = (
    Check("user.rights", "this user may do what the services do", _user, "ask as root: sudo ave doctor …"),
    Check("config.mode", "nobody else writes the configuration", _config, "chmod 644", unless_configured),
    Check("folder.state", "what is durable has its place", _folders, "see ave config show", unless_configured),
    Check("secret.storage", "the storage secret is secret", _storage_secret, "chmod 600", unless_configured),
    Check("secret.store", "the store's password is secret", _password, "chmod 600", unless_node),
)
