"""Whoever is asked for a connection and says nothing: a host that lost its power while it greeted, a libvirtd that hangs."""

import asyncio
import socket
import threading
import time
from contextlib import closing

import pytest

from ave.errors import Refused, Unavailable
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.libvirt import link as links
from drivers.libvirt.host import Reach, Settings
from drivers.libvirt.hypervisor import LibvirtHypervisor
from drivers.libvirt.link import Link, session
from tests.contracts.labs import facts, wait_for


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(links, "OPEN_SECONDS", 0.5)


@pytest.fixture
def mute():
    """Accepts whoever comes, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        came = []

        def accept():
            while True:
                try:
                    came.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"qemu+tcp://127.0.0.1:{server.getsockname()[1]}/system", came
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for one in came:
            one.close()


class Nothing:
    """No volume is here."""

    async def owner(self, volume):
        raise Refused(f"there is no volume {volume}")

    async def where(self, volume, host, epoch):
        raise Refused(f"there is no volume {volume}")


def openers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("libvirt/open")]


def test_a_host_that_says_nothing_while_it_greets_is_given_up_again_and_again_and_holds_nobody(mute):
    uri, came = mute
    link = Link(uri, "b")
    for times in (1, 2, 3):
        began = time.monotonic()
        with session(), pytest.raises(Unavailable, match=r"libvirt on b \(qemu\+tcp.*has not answered for 0.5 s"):
            link.connection()
        assert time.monotonic() - began < 3.0
        wait_for(lambda: not openers(), "nobody waits for it any more", 3.0)
        assert len(came) == times, "it was asked anew"


def test_only_what_was_opened_to_that_host_is_cut_off(mute):
    uri, _ = mute
    port = int(uri.rsplit(":", 1)[1].split("/")[0])
    with (
        socket.create_connection(("127.0.0.1", port)) as before,
        socket.create_server(("127.0.0.1", 0)) as other,
        socket.create_connection(other.getsockname()) as elsewhere,
    ):
        with session(), pytest.raises(Unavailable):
            Link(uri, "b").connection()
        for kept in (before, elsewhere):
            kept.settimeout(0.2)
            with pytest.raises(TimeoutError):
                kept.recv(1)


def test_who_waits_for_another_that_is_opening_is_told_in_time_too(mute):
    link = Link(mute[0], "b")
    told = []

    def ask():
        with session():
            try:
                link.connection()
            except Unavailable as trouble:
                told.append(str(trouble))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10.0)
    assert time.monotonic() - began < 4.0
    assert len(told) == 3


def test_a_hypervisor_whose_libvirt_greets_nobody_says_so_and_can_be_closed(mute, tmp_path):
    settings = Settings(
        facts=facts("a", exclusive_cpus=0),
        reach=Reach(uri=mute[0]),
        peers=lambda host: Reach(uri=mute[0]),
        kind="qemu",
        state=tmp_path / "state",
        run=tmp_path / "run",
    )
    with asyncio.Runner() as runner:

        async def ask():
            driver = LibvirtHypervisor(settings, Nothing(), AsyncioRuntime("a"))
            with closing(driver), pytest.raises(Unavailable, match="libvirt on a"):
                await driver.list()

        began = time.monotonic()
        runner.run(ask())
        assert time.monotonic() - began < 5.0


def test_a_socket_of_this_host_that_says_nothing_is_given_up_and_asked_again_when_it_is_gone(tmp_path):
    path = tmp_path / "libvirt-sock"
    link = Link(f"qemu+unix:///system?socket={path}", "a")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        with session(), pytest.raises(Unavailable, match=r"has not answered for 0.5 s"):
            link.connection()
        assert openers(), "it still waits: the kernel tells it when there is nobody any more"
    wait_for(lambda: not openers(), "it ends with its other side", 3.0)
    with session(), pytest.raises(Unavailable, match="Failed to connect socket"):
        link.connection()
