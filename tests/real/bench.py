"""``python -m tests.real.bench [--rounds N]``: what AVE adds to libvirt, both in turns on one bed, and how long a fence takes.

The bare guest is the same: AVE's own domain, without its record and with a LUN of its own. Exits 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic
from uuid import NAMESPACE_DNS, uuid5

import libvirt
import msgspec

from ave.model.work import WorkState
from ave.operations import CreateVMs, MigrateVMs, NameVMs, NewVM, StartVMs
from drivers.iscsi.pool import Pool
from drivers.libvirt.record import uuid_of
from tests.bench.row import Row
from tests.real.bed import Bed, Host
from tests.real.bed.guest_image import guest_image
from tests.real.cluster import NETWORK, RealCluster
from tests.real.guests import libvirt_of, wait_for_agent
from tests.real.operator import Operator, operator_of

NAME, BARE = "bench", "bare"
TARGET, TID = "iqn.2026-01.bench:bare", 30000  # not AVE's: the storage box leaves it alone
BARE_FLAGS = (
    libvirt.VIR_MIGRATE_LIVE
    | libvirt.VIR_MIGRATE_PEER2PEER
    | libvirt.VIR_MIGRATE_PERSIST_DEST
    | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
    | libvirt.VIR_MIGRATE_AUTO_CONVERGE
)
FENCES = 40
FENCE = """
import asyncio, json, sys
from pathlib import Path
from time import monotonic
from ave.ports.hypervisor import Stamp
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.iscsi.block import IscsiBlock
from drivers.iscsi.secret import read_secret
from drivers.urls import endpoint
host, box, portal, secret, times = sys.argv[1:]
async def main():
    block = IscsiBlock(host, endpoint(box), portal, read_secret(Path(secret)), AsyncioRuntime(host), may_lead=False)
    await block.create("fenced", 1, Stamp())
    took = []
    for epoch in range(1, int(times) + 1):
        began = monotonic()
        await block.attach("fenced", f"h{1 + epoch % 2}", Stamp(epoch=epoch))
        took.append(monotonic() - began)
    await block.detach("fenced", Stamp(epoch=epoch + 1))
    await block.delete("fenced", Stamp())
    print(json.dumps(took[1:]))
asyncio.run(main())
"""


class Times(msgspec.Struct):
    """Seconds, one of each round."""

    booted: list[float] = []
    moved: list[float] = []


class Bench:
    def __init__(self, bed: Bed, cluster: RealCluster, operator: Operator) -> None:
        self.bed, self.cluster, self.operator = bed, cluster, operator
        self.ours, self.bare = Times(), Times()
        self._hosts = {host.name: host for host in bed.hosts}
        self._xml = ""

    async def run(self, rounds: int) -> list[Row]:
        await self.operator.all_online()
        await self._make()
        await self._with_ave()  # not counted: its domain is what the bare one is made of
        self.ours = Times([], [])
        for number in range(rounds):
            if number % 2:
                await self._with_ave()
            await asyncio.to_thread(self._with_libvirt_alone)
            if not number % 2:
                await self._with_ave()
        fences = await asyncio.to_thread(self._fences)
        booted = median(self.ours.booted) / median(self.bare.booted)
        moved = median(self.ours.moved) / median(self.bare.moved)
        added = median(self.ours.moved) - median(self.bare.moved)
        return [
            Row("BOOT", "a start until the agent answers, libvirt alone", median(self.bare.booted), "s", None, "less"),
            Row("BOOT", "… from the Job's submission", median(self.ours.booted), "s", None, "less"),
            Row("BOOT", "… with AVE ÷ without", booted, "×", 1.3, "less"),
            Row("MOVE", "a live migration, libvirt alone", median(self.bare.moved), "s", None, "less"),
            Row("MOVE", "… from the Job's submission to its end", median(self.ours.moved), "s", None, "less"),
            Row("MOVE", "… what AVE adds", added, "s", None, "less"),
            Row("MOVE", "… with AVE ÷ without", moved, "×", 1.1, "less"),
            Row(
                "FENCE",
                f"an attach that fences, {len(fences)} in a row, median",
                1e3 * median(fences),
                "ms",
                None,
                "less",
            ),
            Row("FENCE", "… the slowest", 1e3 * max(fences), "ms", 100.0, "less"),
        ]

    async def _make(self) -> None:
        new = NewVM(id=NAME, vcpus=1, memory_mib=256, disks_gib=(1,), networks=(NETWORK,))
        await self._done("vm.create", CreateVMs(vms=(new,), start=False))
        boots = guest_image().disk.read_bytes()
        own = self.bed.storage.pool / "bare.img"  # beside AVE's volumes
        for path in (Pool(self.bed.storage.pool).path(f"{NAME}-disk-1"), own):
            with path.open("r+b" if path.exists() else "w+b") as file:
                file.write(boots)
                file.truncate(2**30)
        storage = self.bed.storage
        storage.tgtadm("target", "new", tid=TID, targetname=TARGET)
        storage.tgtadm("logicalunit", "new", tid=TID, lun=1, backing_store=str(own))
        storage.tgtadm("target", "bind", tid=TID, initiator_address="ALL")

    async def _done(self, operation: str, request: object) -> float:
        """How long the Job took, by the store's clock."""
        job = await self.operator.ask(operation, request)
        assert job.state is WorkState.DONE, f"{operation}: {job.results}\n{self.cluster.said()}"
        return job.finished - job.submitted

    async def _with_ave(self) -> None:
        began = monotonic()
        await self._done("vm.start", StartVMs(vms=(NAME,)))
        host = self._hosts[(await self.operator.vm(NAME)).host]
        await asyncio.to_thread(self._wait_for_agent, host)
        self.ours.booted.append(monotonic() - began)
        self.ours.moved.append(await self._done("vm.migrate", MigrateVMs(vms=(NAME,))))
        await self._done("vm.poweroff", NameVMs(vms=(NAME,)))

    def _wait_for_agent(self, host: Host) -> None:
        with libvirt_of(host) as connection:
            domain = connection.lookupByUUIDString(uuid_of(NAME))
            wait_for_agent(domain)
            self._xml = self._xml or self._bared(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))

    def _bared(self, text: str) -> str:
        root = ET.fromstring(text)
        for found, value in (("name", BARE), ("uuid", str(uuid5(NAMESPACE_DNS, BARE)))):
            element = root.find(found)
            assert element is not None
            element.text = value
        for parent, child in ((root, "metadata"), (root.find("devices"), "interface/mac")):
            holder = parent.find(child) if parent is not None else None
            if holder is not None and child == "metadata":
                root.remove(holder)
            elif holder is not None:
                holder.set("address", "52:54:00:be:0c:01")
        source = root.find("devices/disk[@device='disk']/source")
        assert source is not None
        source.set("name", f"{TARGET}/1")
        for auth in source.findall("auth"):
            source.remove(auth)
        return ET.tostring(root, encoding="unicode")

    def _with_libvirt_alone(self) -> None:
        source, target, *_ = self.bed.hosts
        with libvirt_of(source) as here, libvirt_of(target) as there:
            domain = here.defineXML(self._xml)
            began = monotonic()
            domain.create()
            wait_for_agent(domain)
            self.bare.booted.append(monotonic() - began)
            began = monotonic()
            where = {libvirt.VIR_MIGRATE_PARAM_URI: f"tcp://{target.address}"}
            domain.migrateToURI3(target.libvirt_uri, where, BARE_FLAGS)
            self.bare.moved.append(monotonic() - began)
            moved = there.lookupByName(BARE)
            moved.destroy()
            moved.undefine()

    def _fences(self) -> list[float]:
        """As a host sees them: over the storage network, with what the box writes down and tgtd does."""
        host, storage = self.bed.hosts[0], self.bed.storage
        words = [host.name, self.cluster.box, storage.portal, str(self.cluster.secret), str(FENCES + 1)]
        took: list[float] = json.loads(host.ask([sys.executable, "-c", FENCE, *words]))
        return took


async def measured(rounds: int) -> list[Row]:
    with TemporaryDirectory() as folder, Bed() as bed, RealCluster(bed, Path(folder)) as cluster:
        async with operator_of(cluster) as operator:
            return await Bench(bed, cluster, operator).run(rounds)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.real.bench", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=5, help="starts and migrations of each kind, in turns; 5 if not said"
    )
    rows = asyncio.run(measured(parser.parse_args().rounds))
    for row in rows:
        goal = "" if row.goal is None else f"≤ {row.goal:g}  {'ok' if row.ok else 'MISSED'}"
        print(f"{row.id:<6}{row.what:<56}{row.measured:>9.2f} {row.unit:<4}{goal}")
    return int(not all(row.ok for row in rows))


if __name__ == "__main__":
    sys.exit(main())
