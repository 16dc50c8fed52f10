"""Whether this host can run guests by itself, or has to emulate them."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from drivers import disk
from drivers.doctor.check import Check, Found, Subject, failed, ok, unless_libvirt, warning

DEVICE = Path("/dev/kvm")
GET_API_VERSION, API_VERSION = 0xAE00, 12  # the ioctl, and what every Linux since 2007 answers


def answers(device: Path) -> str:
    """Why this is no KVM that can be used by this user, or nothing."""
    try:
        handle = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    except OSError as problem:
        return f"{device} cannot be opened: {problem.strerror}"
    try:
        version = fcntl.ioctl(handle, GET_API_VERSION, 0)
    except OSError as problem:
        return f"{device} does not answer as KVM does: {problem.strerror}"
    finally:
        os.close(handle)
    return "" if version == API_VERSION else f"{device} speaks version {version} of KVM's interface, not {API_VERSION}"


def _look(subject: Subject) -> Found:
    why, kind = answers(DEVICE), subject.libvirt.kind
    if why:
        if kind == "kvm":
            return failed(f"[libvirt] kind is kvm, and {why}")
        return warning(f"{why}: guests are emulated, ten times as slow or worse")
    if kind == "kvm":
        return ok(f"{DEVICE} answers")
    kept = Path(subject.libvirt.state, f"domain-type-{disk.file_name(os.uname().release)}")
    try:
        found = kept.read_text()
    except OSError:
        return ok(f"{DEVICE} answers; the node's first start boots a guest to see whether they run with it")
    if found == "kvm":
        return ok(f"{DEVICE} answers, and a guest has booted with it")
    return warning(f"{DEVICE} answers, but no guest has booted with it: they are emulated", f"to try again: rm {kept}")


def _spared(subject: Subject) -> str:
    return unless_libvirt(subject) or ("[libvirt] kind is qemu" if subject.libvirt.kind == "qemu" else "")


ROWS = (
    Check(
        "kvm.device",
        "guests run on this host's own CPUs",
        _look,
        f"turn on virtualisation in the firmware, modprobe kvm_intel or kvm_amd, and let this user read and write {DEVICE}",
        _spared,
    ),
)
