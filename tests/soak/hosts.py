"""A process cluster for campaigns: real ``ave node`` processes that are killed and started again, and a user who never
gives up asking."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from time import monotonic, sleep
from typing import Any

from ave.errors import Unavailable, UnknownOutcome
from ave.jobs.crew import Crew
from ave.jobs.submit import job_id, submit
from ave.model.cluster import Lock
from ave.model.vm import VM, VMState
from ave.model.work import ENDED, OPEN, Work, WorkState
from ave.operations import OPERATIONS, CreateVMs, JobType, MigrateVMs, NameVMs, NewVM, ShutdownVMs, StartVMs
from ave.ports.hypervisor import DomainState
from ave.ports.store import Above
from ave.ports.together import Ports
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.process.ports import ports
from drivers.process.power import power_off
from drivers.process.volumes import Volumes

_PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.2
START_SECONDS = 60.0
PATIENCE_SECONDS = 300.0


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Hosts:
    """Close it, or use it as a context manager: then nothing of it runs any more. ``ports``: at which APIs listen, if any."""

    def __init__(self, root: Path, url: str, names: Sequence[str], ports: Mapping[str, int] | None = None) -> None:
        self.root, self.url, self.names = root, url, tuple(names)
        self.cluster = root / "cluster"
        self._ports = ports or {}
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}
        self._said: dict[str, int] = {}  # bytes of its log when it was started last
        for name in self.names:
            self.start(name)

    def __enter__(self) -> Hosts:
        return self

    def __exit__(self, *_: object) -> None:
        for node in self._nodes.values():
            node.kill()
            node.wait()
        for name in self.names:
            power_off(self.cluster, name)

    def start(self, name: str) -> None:
        command = [sys.executable, "-m", "ave.cli.main", "node", "--host", name]
        command += ["--store", self.url, "--root", str(self.cluster)]
        listen = {"AVE_API__LISTEN": f"127.0.0.1:{self._ports[name]}"} if name in self._ports else {}
        with self.log(name).open("ab") as log:
            self._said[name] = log.tell()
            self._nodes[name] = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,
                env={**os.environ, **listen},
            )

    def kill(self, name: str) -> None:
        """``kill -9``, and a supervisor who starts it again."""
        self.lose(name)
        self.start(name)

    def lose(self, name: str) -> None:
        """``kill -9``."""
        node = self._nodes[name]
        assert node.poll() is None, f"{name} ended by itself with {node.returncode}: {self.last_words(name)}"
        node.kill()
        node.wait()

    def freeze(self, name: str) -> None:
        os.kill(self._nodes[name].pid, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        os.kill(self._nodes[name].pid, signal.SIGCONT)

    def stop_all(self) -> None:
        """SIGTERM, once all are up: each ends by itself, and says that all is well."""
        deadline = monotonic() + START_SECONDS
        while not all(self._is_up(name) for name in self.names):
            assert monotonic() < deadline, f"not all of {self.names} started within {START_SECONDS:g} s"
            sleep(POLL_SECONDS)
        for node in self._nodes.values():
            node.terminate()
        for name, node in self._nodes.items():
            assert node.wait(30) == 0, self.last_words(name)

    def _is_up(self, name: str) -> bool:
        return b"node starts" in self.log(name).read_bytes()[self._said[name] :]

    def log(self, name: str) -> Path:
        return self.root / f"{name}.log"

    def last_words(self, name: str) -> str:
        return "\n".join(self.log(name).read_text().splitlines()[-30:])


class User:
    """Some VMs, each with somebody who does one thing after the other to it."""

    def __init__(self, store: Any, seed: int) -> None:
        self._ports = Ports("user", AsyncioRuntime("user"), store, None, None, None)  # type: ignore[arg-type]
        self._crew = Crew(self._ports)
        self._random = Random(seed)
        self.acknowledged: dict[str, None] = {}
        self.ended: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.enough = False

    async def own(self, vm: str) -> None:
        """Until it is enough."""
        while not self.enough:
            now = await self._read(VM, vm)
            operation, request = self._next(vm, now)
            job = await self._submit(operation, request)
            self.ended[f"{operation} {job.state}"] += 1
            if job.state is WorkState.FAILED:
                self.reasons.update(result.why for result in job.results.values() if not result.ok)

    def _next(self, vm: str, now: VM | None) -> tuple[str, Any]:
        if now is None:
            return "vm.create", CreateVMs(vms=(NewVM(id=vm, vcpus=1, memory_mib=256, disks_gib=(1, 1)),))
        vms = (vm,)
        choices: dict[VMState, tuple[tuple[str, Any], ...]] = {
            VMState.RUNNING: (
                ("vm.migrate", MigrateVMs(vms=vms)),
                ("vm.migrate", MigrateVMs(vms=vms)),
                ("vm.poweroff", NameVMs(vms=vms)),
                ("vm.shutdown", ShutdownVMs(vms=vms, seconds=10)),
                ("vm.reset", NameVMs(vms=vms)),
                ("vm.suspend", NameVMs(vms=vms)),
            ),
            VMState.SUSPENDED: (("vm.resume", NameVMs(vms=vms)), ("vm.poweroff", NameVMs(vms=vms))),
            VMState.STOPPED: (
                ("vm.start", StartVMs(vms=vms)),
                ("vm.start", StartVMs(vms=vms)),
                ("vm.delete", NameVMs(vms=vms)),
            ),
        }
        offered = choices.get(now.state, (("vm.delete", NameVMs(vms=vms)),))
        return offered[int(self._random.random() * len(offered))]

    async def _submit(self, operation: str, request: Any) -> Work:
        """Ask until the Job is acknowledged, and wait for its end."""
        id = job_id(operation, self._ports.runtime.random)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while id not in self.acknowledged:
                try:
                    await submit(self._ports, self._crew, operation, request, id=id)
                    self.acknowledged[id] = None
                except (Unavailable, UnknownOutcome):
                    await asyncio.sleep(POLL_SECONDS)
            while True:
                job = await self._read(Work, id)
                assert job is not None, f"acknowledged Job {id} is lost"
                if job.state in ENDED:
                    return job
                await asyncio.sleep(POLL_SECONDS)

    async def _read(self, kind: Any, id: str) -> Any:
        while True:
            try:
                return await self._ports.store.get(kind, id)
            except Unavailable:
                await asyncio.sleep(POLL_SECONDS)


async def settle(store: Any, hosts: Hosts | None = None, limit: float = 180.0) -> None:
    """Wait until no Job but the scheduled ones is open, no lock is held, and what runs is what the documents say: a Job that
    was given up half way leaves that to the next VM state synchronisation."""
    left: list[str] = []
    try:
        async with asyncio.timeout(limit):
            while left := await _open(store) or (await _untrue(hosts, store) if hosts else []):
                await asyncio.sleep(1.0)
    except TimeoutError:
        raise AssertionError(f"after {limit:g} s still open: {left[:10]}") from None


async def _open(store: Any) -> list[str]:
    try:
        works = [work for state in OPEN for work in await store.find(Work, {"state": state})]
        return [work.id for work in works if OPERATIONS[work.operation].type is not JobType.SCHEDULED] + await held(
            store
        )
    except Unavailable:
        return ["the store does not answer"]


async def held(store: Any) -> list[str]:
    return [f"{lock.id} by {lock.job}" for lock in await store.find(Lock, {"job": Above("")}, ("job",))]


async def check(hosts: Hosts, store: Any, user: User) -> None:
    """Nothing acknowledged is lost, nothing is left, and what runs is what the documents say, once."""
    for id in user.acknowledged:
        job = await store.get(Work, id)
        assert job is not None, f"{id} is lost"
        assert job.state in ENDED, f"{id} is {job.state}"
    assert await _untrue(hosts, store) == []
    for vm in await store.find(VM):
        assert not vm.reserved, f"room on {vm.reserved} is still reserved for {vm.id}"
    assert await held(store) == []


async def _untrue(hosts: Hosts, store: Any) -> list[str]:
    """Where the documents and the domains differ."""
    domains: dict[str, list[tuple[str, DomainState, int]]] = {}
    for name in hosts.names:
        look = ports(hosts.cluster, name, AsyncioRuntime("look"), store)
        for domain in await look.hypervisor.list():
            domains.setdefault(domain.vm, []).append((name, domain.state, domain.epoch))
    untrue = []
    for vm in await store.find(VM):
        found = domains.pop(vm.id, [])
        expected = {VMState.RUNNING: DomainState.RUNNING, VMState.SUSPENDED: DomainState.SUSPENDED}.get(vm.state)
        if found != ([(vm.host, expected, vm.epoch)] if expected else []):
            untrue.append(f"{vm.id} is {vm.state} on {vm.host}, epoch {vm.epoch}: {found}")
    return untrue + [f"{vm} runs, and the store knows nothing of it: {found}" for vm, found in domains.items()]


def one_writer(hosts: Hosts) -> int:
    """No two instances ever wrote to a volume in turns, and each epoch was one instance's. Returns how many runs of writes
    say so."""
    volumes, count = Volumes(hosts.cluster), 0
    for name in volumes.names():
        runs = volumes.runs(name)
        epochs = [run.epoch for run in runs]
        assert epochs == sorted(epochs), f"{name}: an older epoch wrote after a newer one: {epochs}"
        assert len({(run.instance, run.epoch) for run in runs}) == len(runs), f"{name}: two instances wrote in turns"
        by_epoch = {run.epoch: run.instance for run in runs}
        assert all(by_epoch[run.epoch] == run.instance for run in runs), f"{name}: two instances of one epoch"
        count += len(runs)
    return count
