"""Whether the networks of VMs carry anything here, as the kernel shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path


def down(bridges: Mapping[str, str], devices: Path) -> Iterator[str]:
    """Networks of VMs whose bridge is not there, is off, or has cables of which none carries anything. A bridge without
    cables, for VMs of one host alone, is up as long as it is on."""
    for network, bridge in bridges.items():
        ports = devices / bridge / "brif"
        if not ports.is_dir() or not _is_on(devices / bridge):
            yield network
            continue
        cables = [port.name for port in ports.iterdir() if not (devices / port.name / "tun_flags").exists()]
        if cables and not any(_carries(devices / cable) for cable in cables):
            yield network


def _is_on(device: Path) -> bool:
    try:
        return bool(int((device / "flags").read_text(), 16) & 1)
    except (OSError, ValueError):
        return False


def _carries(device: Path) -> bool:
    try:
        return (device / "carrier").read_text().strip() == "1"
    except OSError:
        return False  # as for one that is off
