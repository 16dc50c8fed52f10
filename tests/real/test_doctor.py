"""``ave doctor`` on real hosts and on a real storage box: healthy, and with one thing struck after the other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from drivers.doctor import files
from drivers.doctor.examine import admit
from drivers.doctor.table import CHECKS
from tests.real.bed import Bed, Host
from tests.real.cluster import RealCluster

FOUND_WELL = (
    "config.valid",
    "config.mode",
    "folder.state",
    "secret.storage",
    "host.size",
    "store.reach",
    "clock.rate",
    "libvirt.reach",
    "libvirt.qemu",
    "qemu.iscsi",
    "network.bridges",
    "libvirt.peers",
    "storage.box",
)
SECONDS = 15.0  # for all of it, with the start of Python, on a busy machine


@pytest.fixture(scope="module")
def cluster(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with RealCluster(bed, tmp_path_factory.mktemp("cluster")) as made:
        yield made


def asked(run: Callable[..., subprocess.Popen[Any]], config: Path) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit code, and what was found by each check."""
    argv = [sys.executable, "-m", "ave.cli.main", "doctor", "--config", str(config), "-o", "json"]
    began = time.monotonic()
    with run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        told, complained = process.communicate(timeout=60.0)
    assert time.monotonic() - began < SECONDS
    assert told, complained.decode()
    return process.returncode, {row["id"]: row for row in json.loads(told)}


def of_host(cluster: RealCluster, host: Host) -> tuple[int, dict[str, dict[str, str]]]:
    return asked(host.run, cluster.folder / f"{host.name}.toml")


def failed(found: dict[str, dict[str, str]]) -> list[str]:
    return [id for id, row in found.items() if row["status"] == "failed"]


def test_a_host_of_a_cluster_has_all_it_needs(bed: Bed, cluster: RealCluster) -> None:
    for host in bed.hosts:
        code, found = of_host(cluster, host)
        assert (code, failed(found)) == (0, []), found
        for id in FOUND_WELL:
            assert found[id]["status"] == "ok", found[id]
        assert found["storage.portal"]["status"] == "warning", "tgtd ends connections as long as it has no target"
        assert "9." in found["libvirt.reach"]["says"]
        assert found["libvirt.qemu"]["says"].startswith("QEMU ")


def test_a_portal_with_a_target_is_known_for_one(bed: Bed, cluster: RealCluster) -> None:
    name = "iqn.2026-01.io.ave:somebody.elses"
    bed.storage.tgtadm("target", "new", tid=4711, targetname=name)
    try:
        _, found = of_host(cluster, bed.host(3))
    finally:
        bed.storage.tgtadm("target", "delete", tid=4711)
    assert found["storage.portal"] == {
        "id": "storage.portal",
        "what": found["storage.portal"]["what"],
        "status": "ok",
        "says": f"an iSCSI target answers at {bed.storage.portal}",
        "fix": "",
    }


def test_a_storage_box_has_all_it_needs(bed: Bed, cluster: RealCluster) -> None:
    code, found = asked(bed.storage.run, cluster.folder / "storage.toml")
    assert (code, failed(found)) == (0, []), found
    assert found["storage.listen"]["says"].startswith("ave storage answers at")
    assert found["tgt.control"]["says"].startswith(f"tgtd answers at {bed.storage.control}")
    assert found["storage.pool"]["status"] == "ok", found["storage.pool"]


def test_a_libvirtd_that_is_gone_or_hangs_is_said_in_time(bed: Bed, cluster: RealCluster) -> None:
    host = bed.host(1)
    (libvirtd,) = host.pids("libvirtd")
    os.kill(libvirtd, signal.SIGSTOP)
    try:
        code, found = of_host(cluster, host)
    finally:
        os.kill(libvirtd, signal.SIGCONT)
    assert (code, found["libvirt.reach"]["status"]) == (1, "failed")
    assert "no answer within 2 s" in found["libvirt.reach"]["says"]
    os.kill(libvirtd, signal.SIGKILL)
    try:
        code, found = of_host(cluster, host)
    finally:
        host.start_libvirtd()
    assert (code, found["libvirt.reach"]["status"]) == (1, "failed")
    assert "qemu:///system does not let this user in" in found["libvirt.reach"]["says"]
    assert "systemctl start libvirtd" in found["libvirt.reach"]["fix"]
    code, found = of_host(cluster, bed.host(2))
    assert code == 0, failed(found)


def test_a_storage_network_that_is_cut_is_said_in_time(bed: Bed, cluster: RealCluster) -> None:
    host = bed.host(2)
    host.cut("storage")
    try:
        code, found = of_host(cluster, host)
    finally:
        host.heal("storage")
    assert code == 1
    assert failed(found) == ["storage.box", "storage.portal"]
    assert bed.storage.portal in found["storage.portal"]["says"]


def test_a_tgtd_that_is_gone_is_said_on_both_sides(bed: Bed, cluster: RealCluster) -> None:
    bed.storage.kill()
    try:
        _, of_box = asked(bed.storage.run, cluster.folder / "storage.toml")
        _, of_one = of_host(cluster, bed.host(3))
    finally:
        bed.storage.start()
    assert failed(of_box) == ["tgt.control"]
    assert failed(of_one) == ["storage.portal"]
    assert "Connection refused" in of_one["storage.portal"]["says"]


@contextmanager
def nobody() -> Iterator[None]:
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_user_who_may_not_look_is_told_so() -> None:
    with TemporaryDirectory() as folder:  # mode 0700, where everybody may go
        secret, file = Path(folder, "secret"), Path(folder, "node.toml")
        secret.write_text("known to root alone")
        secret.chmod(0o600)
        file.write_text(
            f'[node]\nhost = "a"\n[store]\nurl = "sqlite:{folder}/store"\n[hypervisor]\ndriver = "libvirt"\n'
            f'[libvirt]\nstate = "{folder}/state"\n'
            f'[storage]\nbox = "[::1]:1"\nportal = "[::1]:1"\nsecret_file = "{secret}"\n'
        )
        subject, _ = admit(file, {}, {}, None)
        looks = {check.id: check.look for check in CHECKS}
        with nobody():
            found = {id: looks[id](subject) for id in ("user.rights", "folder.state", "secret.storage", "store.reach")}
    assert {each.status for each in found.values()} == {"failed"}
    assert "stop QEMU by signals" in found["user.rights"].says
    assert f"this user may not write to {folder}" in found["folder.state"].says
    assert "cannot be read: Permission denied" in found["secret.storage"].says
    assert f"this user may not look into {folder}" in found["store.reach"].says
    assert found["folder.state"].fix == "ask as the user who runs the services"


def test_a_file_of_somebody_else_fails(tmp_path: Path) -> None:
    file = tmp_path / "ave.toml"
    file.touch()
    os.chown(file, 4711, -1)
    found = files.mode(file, files.OTHERS_WRITE, "configuration")
    assert (found.status, "belongs to user 4711" in found.says) == ("failed", True)
