"""A cluster at work, on which faults are played: three hosts, VMs with a probe writer in each, all that is heard of them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from random import Random
from time import monotonic

from ave.errors import Unavailable
from ave.model.host import HostState
from ave.model.vm import VM, VMState
from ave.model.work import ENDED, Work, WorkState
from ave.operations import CreateVMs, NewVM, StartVMs
from drivers.iscsi.pool import Pool
from tests.real.bed import Bed, Host, registry
from tests.real.bed.guest_image import guest_image
from tests.real.cluster import NETWORK, RealCluster, Times
from tests.real.faults import records
from tests.real.faults.judge import Verdict, judge
from tests.real.faults.refusals import Refusals
from tests.real.faults.supervisor import Supervisor
from tests.real.faults.words import KEPT, Ear, Life, Word
from tests.real.operator import Operator, operator_of
from tests.real.qemus import qemu
from tests.real.replica_set import ReplicaSet, replica_set_on

TIMES = Times(give_up=16.0, verdict=34.0)
VMS = {"web-1": 1, "web-2": 2, "web-3": 3}
WHOLE_SECONDS = 240.0
WRITES = 5  # of every guest, until it counts as well
LOOK_SECONDS = 0.1


class NotWhole(Exception):
    """What the cluster still lacks after the longest that it may take."""


class Stage:
    def __init__(
        self,
        cluster: RealCluster,
        replicas: ReplicaSet,
        operator: Operator,
        supervisor: Supervisor,
        ear: Ear,
        refusals: Refusals,
    ) -> None:
        self.bed, self.cluster, self.replicas, self.operator = cluster.bed, cluster, replicas, operator
        self.supervisor, self.ear, self.refusals = supervisor, ear, refusals
        self.random = Random(0)

    # Who is where

    def host(self, name: str) -> Host:
        return next(host for host in self.bed.hosts if host.name == name)

    async def vms(self) -> dict[str, VM]:
        return {vm.id: vm for vm in await self.operator.find(VM)}

    async def some_vm(self) -> VM:
        return self.random.choice(sorted((await self.vms()).values(), key=lambda vm: vm.id))

    async def vms_on(self, host: Host) -> set[str]:
        return {vm.id for vm in (await self.vms()).values() if vm.host == host.name}

    async def steady_hosts(self, *, busy: bool = True) -> list[Host]:
        """Such as may go away: who comes back twice within five minutes is put in quarantine. ``busy``: they have VMs."""
        known, used = await self.operator.hosts(), {vm.host for vm in (await self.vms()).values()}
        steady = [host for host in self.bed.hosts if known[host.name].returns == 0]
        return [host for host in steady if host.name in used or not busy]

    def qemu(self, host: Host, vm: str) -> int:
        """Its process there; 0 if it has none."""
        return qemu(host, vm)

    def qemus(self, vm: str) -> list[str]:
        return [host.name for host in self.bed.hosts if self.qemu(host, vm)]

    # Deeds

    def kill(self, pids: Iterable[int]) -> None:
        self.signal(pids, signal.SIGKILL)

    def signal(self, pids: Iterable[int], number: signal.Signals) -> None:
        for pid in pids:
            if pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    def power_off(self, host: Host) -> None:
        with self.supervisor.away():
            host.crash()

    async def power_on(self, host: Host) -> None:
        def start() -> None:
            with self.supervisor.away():
                host.start()

        await asyncio.to_thread(start)

    # Looking

    def writes_since(self, mark: int, vm: str) -> list[Word]:
        number = VMS[vm]
        return [word for word in self.ear.since(mark) if word.kind == KEPT and word.life.vm == number]

    def silence_since(self, mark: int) -> float:
        """The longest, in seconds, in which one of the guests said nothing: it stood still so long."""
        longest = 0.0
        for number in VMS.values():
            times = [word.at for word in self.ear.since(mark) if word.life.vm == number]
            longest = max([longest, *(after - before for before, after in pairwise([*times, monotonic()]))])
        return longest

    def lives(self) -> dict[str, Life]:
        """The last that was heard of each VM."""
        return {
            vm: next(word.life for word in reversed(self.ear.words) if word.life.vm == number)
            for vm, number in VMS.items()
        }

    async def until(self, done: Callable[[], Awaitable[str]], seconds: float) -> float:
        """How long it took until nothing was lacking. NotWhole with what is, if it takes longer."""
        began = monotonic()
        while lacking := await self._lacks(done):
            if monotonic() - began > seconds:
                raise NotWhole(lacking)
            await asyncio.sleep(LOOK_SECONDS)
        return monotonic() - began

    async def _lacks(self, done: Callable[[], Awaitable[str]]) -> str:
        try:
            return await done()
        except Unavailable as away:
            return f"the store is away: {away}"

    async def whole(self) -> float:
        """How long it took: all hosts serve, all VMs run once, where the store says, and write; no Job is left."""
        mark = len(self.ear.words)
        voting = [asyncio.to_thread(self.replicas.wait_for, number) for number in range(len(self.replicas.members))]

        async def lacking() -> str:
            nonlocal mark
            if why := await self._lacking():
                mark = len(self.ear.words)
                return why
            for vm, document in (await self.vms()).items():
                writes = self.writes_since(mark, vm)
                if len([word for word in writes if word.host == document.host]) < WRITES:
                    return f"{vm} has written {len(writes)} records on {document.host}"
            return ""

        began = monotonic()
        await asyncio.gather(*voting)
        await self.until(lacking, WHOLE_SECONDS)
        return monotonic() - began

    async def _lacking(self) -> str:
        if dead := self.supervisor.dead():
            return f"not running: {', '.join(dead)}"
        for name, host in (await self.operator.hosts()).items():
            if host.state is not HostState.ONLINE:
                return f"{name} is {host.state}: {host.story[-1] if host.story else ''}"
        for vm in (await self.vms()).values():
            if vm.state is not VMState.RUNNING:
                return f"{vm.id} is {vm.state}: {vm.story[-1] if vm.story else ''}"
            if (there := self.qemus(vm.id)) != [vm.host]:
                return f"{vm.id} is of {vm.host}, and has processes on {', '.join(there) or 'no host'}"
        for state in [state for state in WorkState if state not in ENDED]:
            for work in await self.operator.find(Work, {"state": state}):
                if work.job == work.id and work.operation.startswith("vm."):
                    return f"{work.id} is {work.state}"
        return ""

    def verdict(self) -> Verdict:
        """Of all that was heard so far. The logs are read after that."""
        words, pool = list(self.ear.words), Pool(self.bed.storage.pool)
        return judge(words, {number: records.read(pool.path(f"{vm}-disk-1")) for vm, number in VMS.items()})

    def said(self) -> str:
        return self.cluster.said()

    # The beginning

    async def furnish(self) -> None:
        """The VMs are made, their volumes boot and bear the mark of a probe writer, and they run."""
        await self.operator.all_online()
        new = tuple(NewVM(id=vm, vcpus=1, memory_mib=192, disks_gib=(1,), networks=(NETWORK,)) for vm in VMS)
        await self._done("vm.create", CreateVMs(vms=new, start=False))
        image, pool = guest_image(), Pool(self.bed.storage.pool)
        for vm, number in VMS.items():
            records.prepare(pool.path(f"{vm}-disk-1"), image.disk, number)
        await self._done("vm.start", StartVMs(vms=tuple(VMS)))
        await self.whole()

    async def _done(self, operation: str, request: object) -> None:
        job = await self.operator.ask(operation, request)
        if job.state is not WorkState.DONE:
            raise NotWhole(f"{operation}: {job.results}\n{self.said()}")


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    with Bed() as bed:
        names = next(record.names for record in registry.records() if record.root == str(bed.root))
        ear, refusals = Ear(names), Refusals(names)
        try:
            with replica_set_on(bed) as replicas, RealCluster(bed, folder, TIMES, store=replicas.uri) as cluster:
                supervisor = Supervisor(cluster, replicas)
                try:
                    async with operator_of(cluster) as operator:
                        made = Stage(cluster, replicas, operator, supervisor, ear, refusals)
                        await made.furnish()
                        yield made
                finally:
                    supervisor.close()
        finally:
            ear.close()
            refusals.close()
