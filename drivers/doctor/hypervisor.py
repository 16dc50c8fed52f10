"""libvirt and QEMU on this host, the bridges of its VMs, and the libvirts of its peers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ave.errors import Refused
from drivers.doctor.check import (
    WAIT_SECONDS,
    Check,
    Found,
    Subject,
    failed,
    ok,
    unless_libvirt,
    unless_on_box,
    warning,
    worst,
)
from drivers.doctor.reach import no_way_to, port_of
from drivers.libvirt import bridges
from drivers.urls import shown

LIBVIRT_TRIED, QEMU_TRIED = 9_000_000, 7_002_000  # the oldest that AVE is tried with, as libvirt counts
NETWORK_DEVICES = Path("/sys/class/net")
NO_WHERE = (
    "iscsi://127.0.0.1:1/iqn.none/1"  # nobody listens there: a QEMU that speaks iSCSI says so, another does not try
)


def version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def _opened(subject: Subject) -> Any:
    """A connection, or why there is none."""
    try:
        import libvirt
    except ImportError as missing:
        return failed(
            f"{missing.name or 'libvirt'} is not there for this Python",
            "apt-get install libvirt-dev pkg-config gcc python3-dev, then pip install ave[libvirt]",
        )
    libvirt.registerErrorHandler(lambda _context, _error: None, None)  # or it prints every error
    try:
        return libvirt.open(subject.libvirt.uri)
    except libvirt.libvirtError as problem:
        return failed(
            f"libvirt at {shown(subject.libvirt.uri)} does not let this user in: {problem.get_error_message()}"
        )


def _reach(subject: Subject) -> Found:
    connection = _opened(subject)
    if isinstance(connection, Found):
        return connection
    try:
        there = int(connection.getLibVersion())
    finally:
        connection.close()
    says = f"libvirt {version(there)} answers at {shown(subject.libvirt.uri)}"
    if there < LIBVIRT_TRIED:
        return warning(f"{says}; the oldest that AVE is tried with is {version(LIBVIRT_TRIED)}", "upgrade it")
    return ok(says)


def _qemu(subject: Subject) -> Found:
    connection = _opened(subject)
    if isinstance(connection, Found):
        return Found("not asked", "libvirt is asked for it, and does not answer")
    import libvirt

    try:
        kind, there = connection.getType(), int(connection.getVersion())
    except libvirt.libvirtError as problem:
        return failed(f"libvirt at {shown(subject.libvirt.uri)} finds no QEMU: {problem.get_error_message()}")
    finally:
        connection.close()
    says = f"{kind} {version(there)} is what libvirt at {shown(subject.libvirt.uri)} starts"
    if kind != "QEMU":
        return failed(f"{says}, and not QEMU", "set [libvirt] uri to qemu:///system")
    if there < QEMU_TRIED:
        return warning(f"{says}; the oldest that AVE is tried with is {version(QEMU_TRIED)}", "upgrade it")
    return ok(says)


def _iscsi(subject: Subject) -> Found:
    program = shutil.which("qemu-img")
    if program is None:
        return Found("not asked", "there is no qemu-img to find it out with: apt-get install qemu-utils")
    said = subprocess.run(
        [program, "info", NO_WHERE], capture_output=True, text=True, check=False, timeout=WAIT_SECONDS
    )
    if "unknown protocol" in said.stderr.lower() or "unknown driver" in said.stderr.lower():
        return failed(f"{program} does not know iSCSI, by which volumes are opened: its module is missing")
    return ok("QEMU opens volumes by iSCSI")


def _bridges(subject: Subject) -> Found:
    of_vms = subject.libvirt.bridges
    assert subject.config is not None, "this row is only for who has one"
    found = [
        failed(f"network {name} of [machine] networks has no bridge", f"name it in [libvirt] bridges: {name} = …")
        for name in subject.config.machine.networks
        if name not in of_vms
    ]
    found += [
        failed(f"bridge {of_vms[name]} of network {name} is not there, is off, or none of its cables carries anything")
        for name in bridges.down(of_vms, NETWORK_DEVICES)
    ]
    if not of_vms and not found:
        return warning("no network of VMs is configured: VMs of this host have none", "name it in [libvirt] bridges")
    return worst(found, ok(f"{', '.join(sorted(of_vms.values()))} carry the networks of VMs"))


def _peers(subject: Subject) -> Found:
    """Whether somebody listens: to log in would be an entry in somebody else's log."""
    found = []
    for host, peer in subject.libvirt.peers.items():
        try:
            address, port = port_of(peer.uri)
        except Refused as problem:
            found.append(failed(f"[libvirt.peers.{host}] uri: {problem}"))
            continue
        if why := no_way_to(address, port):
            found.append(failed(f"libvirt of {host}, {shown(peer.uri)}: {why}"))
    if not subject.libvirt.peers:
        return warning("no other host is configured: no VM can move", "name each in [libvirt.peers.HOST]")
    return worst(found, ok(f"libvirt of {', '.join(subject.libvirt.peers)} can be reached"))


ROWS = (
    Check(
        "libvirt.reach",
        "libvirt answers",
        _reach,
        "apt-get install libvirt-daemon-system, systemctl start libvirtd, and ask as root or as a member of group libvirt",
        unless_libvirt,
    ),
    Check(
        "libvirt.qemu",
        "libvirt has a QEMU to start",
        _qemu,
        f"apt-get install qemu-system-{'arm' if os.uname().machine == 'aarch64' else 'x86'}",
        unless_libvirt,
    ),
    Check("qemu.iscsi", "QEMU speaks iSCSI", _iscsi, "apt-get install qemu-block-extra", unless_on_box),
    Check(
        "network.bridges",
        "the networks of VMs are up",
        _bridges,
        "make the bridge, and put a cable into it that is plugged in: ip link add NAME type bridge; ip link set NAME up",
        unless_on_box,
    ),
    Check(
        "libvirt.peers",
        "VMs can move to other hosts",
        _peers,
        "look at libvirtd there, its TLS or TCP socket, and the firewalls between",
        unless_on_box,
        2 * WAIT_SECONDS,
    ),
)
