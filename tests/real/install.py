"""``python -m tests.real.install``: what the bed needs, from Debian, by apt as root. Fast when all of it is there.

No service is started by it: for the time of the installation, policy-rc.d forbids that.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What for, and from which packages.
PACKAGES = {
    "hypervisor": ("qemu-system-x86", "qemu-utils", "qemu-block-extra", "libvirt-daemon-system", "libvirt-clients"),
    "storage": ("tgt", "libiscsi-bin", "xfsprogs", "e2fsprogs", "mount"),
    "network": ("iproute2", "iptables", "dnsmasq-base"),
    "guest": (
        "busybox-static",
        "cpio",
        "lz4",
        "zstd",
        "binutils",
        "syslinux",
        "syslinux-common",
        "mtools",
        "gcc",
        "libc6-dev",
    ),
    "services": ("systemd", "procps", "openssl"),
    "terminal": ("tmux",),
    "libvirt-python": ("libvirt-dev", "pkg-config"),
}
KNOWN_TO_APT = ("linux-image-cloud-amd64", "qemu-guest-agent")  # fetched by guest_image.py, and not installed
PROGRAMS = {"dpkg-query": "dpkg", "apt-get": "apt"}
POLICY = Path("/usr/sbin/policy-rc.d")

_APT = ("apt-get", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3", "--quiet")


def main() -> int:
    if missing := [program for program in PROGRAMS if not shutil.which(program)]:
        return _refuse(f"this machine has no {' and no '.join(missing)}: the bed runs on Debian")
    if os.geteuid():
        return _refuse("the bed makes namespaces, mounts and cgroups: run it as root")
    wanted = missing_packages()
    if wanted or not all(_known(package) for package in KNOWN_TO_APT):
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run([*_APT, "update"], check=True, env=environ)
        if wanted:
            print(f"Installing {', '.join(wanted)}", flush=True)
            with _nothing_starts():
                subprocess.run([*_APT, "install", "--yes", "--no-install-recommends", *wanted], check=True, env=environ)
    return 0


def missing_packages() -> list[str]:
    listed = subprocess.run(
        ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\\n"],
        capture_output=True,
        text=True,
        check=True,
    )
    installed = {line.split()[0] for line in listed.stdout.splitlines() if line.endswith(" installed")}
    return [package for packages in PACKAGES.values() for package in packages if package not in installed]


def _known(package: str) -> bool:
    return bool(subprocess.run(["apt-cache", "show", package], capture_output=True, check=False).stdout)


@contextmanager
def _nothing_starts() -> Iterator[None]:
    """Debian's way to install a service and not start it. One that is there already is somebody's choice, and stays."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def _refuse(why: str) -> int:
    print(f"make test-real cannot run here: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
