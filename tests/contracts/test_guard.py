"""The guard as a process of its own: the node hangs, and the VMs stand still all the same."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from ave.ha.timing import GUARD_GRACE_SECONDS, GUARD_SECONDS, HUNG_SECONDS
from ave.jobs.crew import Crew
from ave.jobs.submit import submit
from ave.model.host import Host, HostState
from ave.operations import CreateVMs, NewVM
from ave.ports.together import Ports
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.config import StoreConfig
from drivers.process import life
from drivers.process.home import Home
from drivers.process.ports import domains
from drivers.process.power import power_off
from drivers.stores import open_store
from drivers.vigil import LIFE_SECONDS
from tests.contracts.labs import wait_for

GIVE_UP, VERDICT = 16.0, 34.0  # as short as the inequality allows


@pytest.fixture
def node(tmp_path, monkeypatch):
    """A node and a guard; yields (root of its cluster, URL of its store, the node's process, what starts another node)."""
    root, url = tmp_path / "cluster", f"sqlite:{tmp_path / 'store'}"
    environment = {**os.environ, "AVE_HA__GIVE_UP": str(GIVE_UP), "AVE_HA__VERDICT": str(VERDICT)}
    started = []

    def start(*command):
        words = [sys.executable, "-m", "ave.cli.main", *command, "--host", "a", "--root", str(root)]
        with (tmp_path / f"{command[0]}.log").open("ab") as log:
            started.append(subprocess.Popen(words, env=environment, stdout=log, stderr=log))
        return started[-1]

    try:
        process = start("node", "--store", url)
        start("guard")
        yield root, url, process, lambda: start("node", "--store", url)
    finally:
        for process in started:
            process.kill()
            process.wait()
        power_off(root, "a")


async def create(url):
    runtime = AsyncioRuntime("user")
    store = await open_store(StoreConfig(url=url), runtime)
    try:
        while (host := await store.get(Host, "a")) is None or host.state is not HostState.ONLINE:
            await runtime.sleep(0.1)
        ports = Ports("user", runtime, store, None, None, None)  # type: ignore[arg-type]
        request = CreateVMs(vms=(NewVM(id="vm", vcpus=1, memory_mib=64, disks_gib=(1,)),))
        await submit(ports, Crew(ports), "vm.create", request, lane="a")
    finally:
        await store.close()


def test_process_a_node_that_hangs_is_ended_and_does_not_keep_its_vms_running(node):
    root, url, process, start = node
    asyncio.run(asyncio.wait_for(create(url), 60.0))
    here = domains(root, "a")
    wait_for(lambda: [d.vm for d in here.list()] == ["vm"], "the VM runs")
    (guest,) = here.processes()
    process.send_signal(signal.SIGSTOP)
    stopped, ends = time.monotonic(), Home(root, "a").held()[0]
    assert process.wait(HUNG_SECONDS + 3 * LIFE_SECONDS) == -signal.SIGKILL
    assert time.monotonic() - stopped >= HUNG_SECONDS - LIFE_SECONDS, "it might have gone on"
    assert not life.is_standing(guest)
    while not life.is_standing(guest):
        assert time.monotonic() < ends + GUARD_GRACE_SECONDS + GUARD_SECONDS, "the guard is late"
        time.sleep(0.05)
    assert time.monotonic() >= ends + GUARD_GRACE_SECONDS, "the guard leaves it to the node for so long"
    start()
    wait_for(lambda: not life.is_standing(guest), "the lease is back, and nobody has revoked it")
