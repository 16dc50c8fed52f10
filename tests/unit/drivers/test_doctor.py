"""What a host's doctor finds, on real files, sockets and processes: what is wrong, where, why, and what to do about it."""

from __future__ import annotations

import asyncio
import re
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ave.kinds import KINDS, SCHEMA
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.config import (
    BoxConfig,
    Config,
    HypervisorConfig,
    LibvirtConfig,
    NodeConfig,
    PeerConfig,
    StorageConfig,
    StoreConfig,
)
from drivers.doctor import box, clock, files, host, hypervisor, kvm, reach, store
from drivers.doctor.check import Check, Found, Subject, ok
from drivers.doctor.examine import admit, examine
from drivers.doctor.table import CHECKS
from drivers.iscsi.box import Box
from drivers.iscsi.pool import Pool
from drivers.iscsi.server import Service
from drivers.iscsi.tgt import Tgt
from drivers.sqlite.store import SqliteStore

SECRET = b"a secret that only tests know"
LOOKS = {check.id: check.look for check in CHECKS}


def look(id: str, subject: Subject) -> Found:
    return LOOKS[id](subject)


@contextmanager
def listening(say: bytes = b"", *, accepts: bool = True) -> Iterator[int]:
    """Somebody who says the same to everybody, or nothing; yields the port."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    held.append(server.accept()[0])
                    held[-1].sendall(say)
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        if accepts:
            thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    if accepts:
        thread.join()
    for each in held:
        each.close()


@pytest.fixture
def closed() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def a_box(folder: Path, port: int = 3270, **other: Any) -> Subject:
    given: dict[str, Any] = {
        "pool": str(folder / "pool"),
        "state": str(folder / "state"),
        "secret_file": str(folder / "secret"),
    }
    return Subject(role="storage", box=BoxConfig(listen=f"127.0.0.1:{port}", **{**given, **other}))


def a_node(
    folder: Path, *, box: int = 1, portal: int = 1, libvirt: LibvirtConfig | None = None, **given: str
) -> Subject:
    config = Config(
        node=NodeConfig(host="a"),
        store=StoreConfig(**{"url": f"sqlite:{folder}/store", **given}),  # type: ignore[arg-type]
        hypervisor=HypervisorConfig(driver="libvirt"),
        libvirt=libvirt or LibvirtConfig(state=str(folder / "state"), run=str(folder / "run")),
        storage=StorageConfig(box=f"127.0.0.1:{box}", portal=f"127.0.0.1:{portal}", secret_file=str(folder / "secret")),
    )
    return Subject(config=config)


# Files


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    path.chmod(0o600)
    return path


def test_a_secret_that_is_secret_is_well(tmp_path: Path, secret: Path) -> None:
    assert look("secret.storage", a_node(tmp_path)).status == "ok"
    assert look("secret.storage", a_box(tmp_path)).status == "ok"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_a_secret_that_others_may_have_fails_with_the_command_that_mends_it(
    tmp_path: Path, secret: Path, mode: int
) -> None:
    secret.chmod(mode)
    found = look("secret.storage", a_node(tmp_path))
    assert found.status == "failed"
    assert f"{secret}, the storage secret, may be read by others: chmod 600 {secret}" in found.says


def test_a_secret_that_is_missing_or_short_fails_and_a_box_draws_its_own(tmp_path: Path, secret: Path) -> None:
    secret.write_bytes(b"short")
    assert "it needs at least 16" in look("secret.storage", a_node(tmp_path)).says
    secret.unlink()
    found = look("secret.storage", a_node(tmp_path))
    assert found.status == "failed"
    assert f"chmod 600 {secret}" in found.fix
    assert look("secret.storage", a_box(tmp_path)) == ok(f"storage secret {secret} will be drawn at the first start")


def test_a_password_is_in_a_file_of_its_owner_alone(tmp_path: Path) -> None:
    password = tmp_path / "password"
    subject = a_node(tmp_path, url="mongodb://a/", user="ave", password_file=str(password))
    missing = look("secret.store", subject)
    assert missing.status == "failed"
    assert f"umask 077; cat > {password}" in missing.fix
    password.write_text("hunter2")
    password.chmod(0o644)
    found = look("secret.store", subject)
    assert (found.status, found.fix) == ("failed", f"chmod 0600 {password}")
    password.chmod(0o400)
    assert look("secret.store", subject).status == "ok"
    password.chmod(0o600)
    password.write_text("")
    assert "is empty" in look("secret.store", subject).says


def test_a_password_in_the_environment_is_a_warning_and_none_at_all_fails(tmp_path: Path) -> None:
    subject = a_node(tmp_path, url="mongodb://a/", user="ave")
    assert look("secret.store", subject).status == "failed"
    given = msgspec.structs.replace(subject, environment={"AVE_MONGO_PASSWORD": "hunter2"})
    assert look("secret.store", given).status == "warning"
    assert "hunter2" not in look("secret.store", given).says


def test_a_folder_is_there_or_can_be_made_and_is_nobody_elses_to_write(tmp_path: Path) -> None:
    there = tmp_path / "state"
    assert files.folder(there / "deep", "state") == ok(f"state {there}/deep will be made at the first start")
    there.mkdir(mode=0o700)
    assert files.folder(there, "state").status == "ok"
    for mode in (0o777, 0o770, 0o702):
        there.chmod(mode)
        found = files.folder(there, "state")
        assert found.status == "failed"
        assert f"{there} has mode {mode:04o}: it may be written by others" in found.says
        assert found.fix == f"chmod {mode & ~0o022:04o} {there}"
    (tmp_path / "file").touch()
    assert "is no folder" in files.folder(tmp_path / "file" / "state", "state").says


def test_a_configuration_that_others_may_write_fails(tmp_path: Path) -> None:
    file = tmp_path / "ave.toml"
    file.touch()
    for mode, status in ((0o644, "ok"), (0o600, "ok"), (0o666, "failed"), (0o664, "failed")):
        file.chmod(mode)
        assert look("config.mode", Subject(file=file)).status == status
    assert look("config.mode", Subject()).status == "not asked"


# The machine


def test_cgroup_v2_is_known_by_its_controllers(tmp_path: Path) -> None:
    assert host.cgroups(tmp_path).status == "warning"
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    assert host.cgroups(tmp_path) == ok(f"cgroup v2 at {tmp_path}")
    (tmp_path / "cgroup.controllers").write_text("cpuset pids\n")
    assert "is without cpu, memory" in host.cgroups(tmp_path).says


def test_a_host_that_says_to_be_larger_than_it_is_fails(tmp_path: Path) -> None:
    subject = a_node(tmp_path)
    assert subject.config is not None
    for memory_mib, status in ((64, "ok"), (2**30, "failed")):
        machine = msgspec.structs.replace(subject.config.machine, memory_mib=memory_mib, cpus=1)
        large = msgspec.structs.replace(subject.config, machine=machine)
        assert look("host.size", Subject(config=large)).status == status


def test_room_is_told_of_what_is_not_there_yet(tmp_path: Path) -> None:
    assert "GiB are free" in host.room(tmp_path / "not" / "yet", "state").says


def test_room_on_a_file_system_that_takes_no_writes_is_none() -> None:
    found = host.room(Path("/proc/self"), "state")  # of no size at all
    assert found.status == "failed"


@pytest.mark.parametrize(
    ("now", "state", "status"),
    [(1_795_000_000.0, 0, "ok"), (1_795_000_000.0, 5, "warning"), (86_400.0, 0, "failed"), (9e9, 0, "failed")],
)
def test_a_clock_says_what_can_be(now: float, state: int, status: str) -> None:
    assert clock.judged(now, state).status == status


def test_the_kernel_says_whether_somebody_keeps_its_clock() -> None:
    assert clock._kernel_state() in range(6)


def test_kvm_is_what_answers_as_kvm(tmp_path: Path) -> None:
    assert kvm.answers(tmp_path / "kvm") == f"{tmp_path}/kvm cannot be opened: No such file or directory"
    (tmp_path / "kvm").touch()
    assert "does not answer as KVM does: Inappropriate ioctl" in kvm.answers(tmp_path / "kvm")


# The store


def test_a_store_that_is_still_to_be_made_needs_its_folder(tmp_path: Path) -> None:
    assert look("store.reach", a_node(tmp_path)) == ok(f"SQLite: the first node makes {tmp_path}/store")
    found = look("store.reach", a_node(tmp_path / "gone"))
    assert (found.status, found.says) == ("failed", f"store.url: there is no folder {tmp_path}/gone")
    assert f"mkdir -p {tmp_path}/gone" in found.fix


async def _filled(path: Path) -> None:
    await (await SqliteStore.open(path, KINDS, schema=SCHEMA)).close()


def test_a_store_of_ave_is_well_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "store"
    asyncio.run(_filled(path))
    before = {each.name: (each.stat().st_mtime_ns, each.read_bytes()) for each in tmp_path.iterdir()}
    assert look("store.reach", a_node(tmp_path)) == ok(f"SQLite: {path}")
    assert {each.name: (each.stat().st_mtime_ns, each.read_bytes()) for each in tmp_path.iterdir()} == before


def test_a_store_that_is_none_or_is_newer_fails(tmp_path: Path) -> None:
    path = tmp_path / "store"
    path.write_bytes(b"not a database at all")
    assert look("store.reach", a_node(tmp_path)).says == f"store.url: {path} is no database"
    path.unlink()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA application_id = 7")
        other.execute("CREATE TABLE t (x)")
    assert "is a database, but not one of AVE" in look("store.reach", a_node(tmp_path)).says
    path.unlink()
    asyncio.run(_filled(path))
    with closing(sqlite3.connect(path)) as newer:
        newer.execute(f"PRAGMA user_version = {SCHEMA + 1}")
        newer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    found = look("store.reach", a_node(tmp_path))
    assert f"has schema {SCHEMA + 1}, and this AVE knows {SCHEMA}" in found.says


def tick(at: float, clock: float, wall: float = 0.0) -> store.Tick:
    return store.Tick(at - 0.0005, clock, at + 0.0005, wall or clock)


@pytest.mark.parametrize(
    ("seconds", "status"),
    [(1.5, "ok"), (1.5001, "ok"), (1.52, "failed"), (1.48, "failed"), (0.0, "failed"), (30.0, "failed")],
)
def test_clocks_that_do_not_go_alike_fail(seconds: float, status: str) -> None:
    found = store.judged(tick(10.0, 1000.0), tick(11.5, 1000.0 + seconds), 0.002, "the store's clock")
    assert found.status == status


def test_clocks_that_go_alike_and_are_apart_are_a_warning() -> None:
    found = store.judged(tick(10.0, 1000.0, 930.0), tick(11.5, 1001.5, 931.5), 0.002, "the store's clock")
    assert (found.status, "+70 s apart" in found.says) == ("warning", True)


def test_bounds_of_a_rate_hold_whenever_within_its_call_the_clock_was_read() -> None:
    for before, after in ((0.0, 0.0), (0.3, 0.0), (0.0, 0.3), (0.3, 0.3)):
        first, last = (
            store.Tick(10.0 - before, 100.0, 10.0 + after, 0.0),
            store.Tick(20.0 - after, 110.0, 20.0 + before, 0.0),
        )
        low, high = store.rate(first, last, 0.0)
        assert low <= 0.0 <= high


def test_a_clock_of_this_machine_goes_as_itself(tmp_path: Path) -> None:
    assert look("clock.rate", a_node(tmp_path)).status == "ok"


# Who listens


@pytest.fixture
def serving(tmp_path: Path, secret: Path) -> Iterator[int]:
    """A storage box's service, without a tgtd; yields its port."""
    (tmp_path / "pool").mkdir()
    (tmp_path / "state").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    loop, up = asyncio.new_event_loop(), threading.Event()

    async def serve() -> asyncio.Server:
        pool, tgt = Pool(tmp_path / "pool"), Tgt(tmp_path / "no-tgtd")
        service = Service(Box(pool, tmp_path / "state", tgt, SECRET), tmp_path / "state", SECRET, AsyncioRuntime("box"))
        return await service.serve("127.0.0.1", port)

    def run() -> None:
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(serve())
        up.set()
        loop.run_forever()
        server.close()
        conversations = asyncio.all_tasks(loop)
        for each in conversations:
            each.cancel()
        loop.run_until_complete(asyncio.gather(*conversations, return_exceptions=True))
        loop.run_until_complete(asyncio.sleep(0.05))

    thread = threading.Thread(target=run)
    thread.start()
    assert up.wait(20.0)
    yield port
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_a_storage_box_that_shares_the_secret_lets_in(tmp_path: Path, serving: int) -> None:
    assert look("storage.box", a_node(tmp_path, box=serving)).status == "ok"
    assert look("storage.listen", a_box(tmp_path, serving)) == ok(f"ave storage answers at 127.0.0.1:{serving}")


def test_a_storage_box_with_another_secret_does_not(tmp_path: Path, serving: int, secret: Path) -> None:
    secret.write_bytes(b"quite another secret")
    found = look("storage.box", a_node(tmp_path, box=serving))
    assert found.status == "failed"
    assert f"127.0.0.1:{serving} does not let this host in" in found.says
    assert "is the storage secret the same on both?" in found.says


def test_a_storage_box_that_is_not_there_is_named_with_the_reason(tmp_path: Path, secret: Path, closed: int) -> None:
    found = look("storage.box", a_node(tmp_path, box=closed))
    assert found.says == f"the storage box at 127.0.0.1:{closed} does not let this host in: Connection refused"
    secret.unlink()
    assert look("storage.box", a_node(tmp_path, box=closed)).status == "not asked"  # secret.storage has failed


@pytest.mark.parametrize(
    ("said", "accepts", "why"),
    [(b"", False, "no answer within"), (b"220 mail\r\n" * 9, True, "no storage box of this version")],
)
def test_a_storage_box_is_not_whatever_listens(
    tmp_path: Path, secret: Path, said: bytes, accepts: bool, why: str
) -> None:
    with listening(said, accepts=accepts) as port:
        begun = time.monotonic()
        found = look("storage.box", a_node(tmp_path, box=port))
        assert time.monotonic() - begun < 3.0
        assert (found.status, why in found.says) == ("failed", True), found.says


def test_a_portal_is_not_whatever_listens(tmp_path: Path, closed: int) -> None:
    assert "Connection refused" in look("storage.portal", a_node(tmp_path, portal=closed)).says
    with listening(b"220 mail\r\n" * 9) as port:
        assert "is no iSCSI target" in look("storage.portal", a_node(tmp_path, portal=port)).says
    with listening(accepts=False) as port:
        assert "no answer within" in look("storage.portal", a_node(tmp_path, portal=port)).says


def test_a_box_listens_where_nobody_else_does_and_on_this_machine(tmp_path: Path, closed: int) -> None:
    assert look("storage.listen", a_box(tmp_path, closed)) == ok(f"127.0.0.1:{closed} is free")
    with listening(b"220 mail\r\n") as port:
        found = look("storage.listen", a_box(tmp_path, port))
        assert (found.status, f":{port}" in found.fix) == ("failed", True)
    with listening(accepts=False) as port:
        assert "does not answer" in look("storage.listen", a_box(tmp_path, port)).says


def test_peers_are_named_that_cannot_be_reached(tmp_path: Path, closed: int) -> None:
    with listening() as port:
        peers = {
            "b": PeerConfig(uri=f"qemu+tls://127.0.0.1:{port}/system"),
            "c": PeerConfig(uri=f"qemu+tcp://127.0.0.1:{closed}/system"),
            "d": PeerConfig(uri="qemu:///system"),
        }
        found = look("libvirt.peers", a_node(tmp_path, libvirt=LibvirtConfig(peers=peers)))
        assert f"libvirt of c, qemu+tcp://127.0.0.1:{closed}/system: 127.0.0.1:{closed} cannot be reached" in found.says
        assert "[libvirt.peers.d] uri: 'qemu:///system' names no libvirt of another host" in found.says
        assert "libvirt of b" not in found.says
        well = a_node(tmp_path, libvirt=LibvirtConfig(peers={"b": peers["b"]}))
        assert look("libvirt.peers", well).status == "ok"
    assert reach.port_of("qemu+tls://b/system") == ("b", 16514)
    assert reach.port_of("qemu+ssh://root@b:2222/system") == ("b", 2222)


def test_networks_of_vms_have_bridges_that_are_up(tmp_path: Path) -> None:
    subject = a_node(tmp_path, libvirt=LibvirtConfig(bridges={"lan": "br-of-nobody"}))
    assert "bridge br-of-nobody of network lan is not there" in look("network.bridges", subject).says
    assert subject.config is not None
    machine = msgspec.structs.replace(subject.config.machine, networks=("lan", "wan"))
    two = Subject(config=msgspec.structs.replace(subject.config, machine=machine))
    assert "network wan of [machine] networks has no bridge" in look("network.bridges", two).says


# The storage box


def test_a_tgtd_that_does_not_run_is_said_with_its_socket(tmp_path: Path) -> None:
    found = look("tgt.control", a_box(tmp_path, tgtd=str(tmp_path / "socket.0")))
    assert found.says == f"tgtd cannot be talked to at {tmp_path}/socket.0: No such file or directory"


def test_a_tgtd_that_says_nothing_is_waited_for_no_longer_than_it_may(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "socket.0"))
        silent.listen()
        subject = a_box(tmp_path, tgtd=str(tmp_path / "socket.0"))
        (control,) = (check for check in box.ROWS if check.id == "tgt.control")
        begun = time.monotonic()
        (row,) = examine(subject, [control], lambda ids: None)
        assert time.monotonic() - begun < control.seconds + 1.0
        assert row.status == "failed"


def test_a_pool_is_a_folder_that_only_its_owner_writes(tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    found = look("storage.pool", a_box(tmp_path))
    assert (found.says, found.fix.startswith(f"mkdir -m 700 {pool}")) == (
        f"[storage] pool: there is no folder {pool}",
        True,
    )
    pool.mkdir()
    pool.chmod(0o777)
    assert "it may be written by others" in look("storage.pool", a_box(tmp_path)).says
    pool.chmod(0o700)
    (tmp_path / "state").mkdir()
    found = look("storage.pool", a_box(tmp_path))
    assert (found.status, "is on the pool's file system" in found.says) == ("warning", True)
    comma = tmp_path / "a,b"
    comma.mkdir()
    assert "has a comma in its name" in look("storage.pool", a_box(tmp_path, pool=str(comma))).says


# All of them


def test_whatever_hangs_is_waited_for_once_and_named(tmp_path: Path) -> None:
    never = threading.Event()

    def hang(subject: Subject) -> Found:
        never.wait()
        return ok("late")

    def crash(subject: Subject) -> Found:
        raise ZeroDivisionError("no")

    checks = [
        Check("hangs", "it answers", hang, "wake it", seconds=2.5),
        Check("hangs.too", "that one too", hang, "wake it", seconds=2.5),
        Check("crashes", "it is right", crash, "mend it"),
        Check("well", "it is well", lambda subject: ok("it is"), "nothing"),
        Check("spared", "it is not asked", hang, "nothing", lambda subject: "it has none"),
    ]
    said: list[list[str]] = []
    begun = time.monotonic()
    rows = examine(Subject(), checks, said.append)
    assert time.monotonic() - begun < 3.5
    assert said == [["hangs", "hangs.too"]]
    assert [(row.id, row.status) for row in rows] == [
        ("hangs", "failed"),
        ("hangs.too", "failed"),
        ("crashes", "failed"),
        ("well", "ok"),
        ("spared", "not asked"),
    ]
    assert (rows[0].says, rows[0].fix) == ("it answers: no answer within 2.5 s", "wake it")
    assert "ZeroDivisionError: no" in rows[2].says
    never.set()


def test_every_check_says_what_to_do_and_belongs_to_a_family() -> None:
    assert len({check.id for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert re.fullmatch(r"[a-z]+\.[a-z]+", check.id)
        assert check.what
        assert check.fix


def test_a_configuration_that_is_wrong_is_a_finding_and_what_needs_none_is_still_asked(tmp_path: Path) -> None:
    file = tmp_path / "ave.toml"
    file.write_text('[node]\nhots = "a"\n')
    subject, row = admit(file, {}, {}, None)
    assert (row.id, row.status) == ("config.valid", "failed")
    assert f"{file}:2: node.hots: unknown key, did you mean host?" in row.says
    assert subject.config is None
    spared = {check.id for check in CHECKS if check.spared(subject)}
    assert {"store.reach", "storage.box", "storage.pool"} <= spared
    assert not {"user.rights", "clock.wall", "disk.room", "libvirt.reach", "kvm.device"} & spared


def test_who_is_a_box_is_not_asked_for_vms_and_the_other_way_round(tmp_path: Path) -> None:
    file = tmp_path / "box.toml"
    file.write_text('[storage]\nlisten = "127.0.0.1:1"\npool = "p"\nstate = "s"\nsecret_file = "f"\n')
    subject, row = admit(file, {}, {}, None)
    assert (row.status, subject.role) == ("ok", "storage")

    def asked(one: Subject) -> set[str]:
        return {check.id for check in CHECKS if not check.spared(one)}

    of_box, of_node = asked(subject), asked(a_node(tmp_path))
    assert {"tgt.control", "storage.pool", "storage.listen"} <= of_box - of_node
    assert {"libvirt.reach", "kvm.device", "store.majority", "storage.box"} <= of_node - of_box
    process, _ = admit(None, {}, {"node.host": "a", "store.url": "sqlite:x", "hypervisor.root": "y"}, None)
    assert {"store.reach", "folder.state"} <= asked(process)
    assert not {"libvirt.reach", "storage.box", "host.size"} & asked(process)


def test_a_version_is_told_as_libvirt_counts() -> None:
    assert hypervisor.version(9_000_000) == "9.0.0"
    assert hypervisor.version(7_002_022) == "7.2.22"
