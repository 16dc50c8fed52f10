"""The deeds behind the table of faults. Each strikes, heals what does not heal by itself, and says what may have followed."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from time import monotonic, sleep

import libvirt

from ave.model.vm import VM, VMState
from ave.operations import MigrateVMs
from drivers.libvirt.record import NAMESPACE, decoded_element, uuid_of
from drivers.phases import Phase
from tests.real.bed import Host
from tests.real.bed.names import Plane
from tests.real.bed.processes import namespace, of_namespace, program
from tests.real.faults.stage import TIMES, Stage
from tests.real.faults.words import Life

RESCUE_SECONDS = 120.0
PHASE_SECONDS = 30.0
MIGRATE_SECONDS = 240.0  # a target that does not answer is waited for, for a minute and a half
COPY_MIB = 6  # per second, so that there is a middle of the copying …
FAST_MIB = 2**20  # … and all that there is
OVERLAP_SECONDS = 5.0  # in which an old owner may run, if all of its host stood still: from its first QEMU to the rest
OVERLAP_WORDS = 8  # of each old guest: five are a second
HURRY_SECONDS = 0.3
QUICK, SHORT = 0.005, (4.0, 11.0)  # seconds; SHORT is well below give_up


@dataclass
class Struck:
    """What was done, and to whom. A VM that is in neither must not have booted."""

    what: str
    may_boot: set[str] = field(default_factory=set)
    must_boot: set[str] = field(default_factory=set)
    overlap: float = 0.0  # seconds in which two may run: only if the whole host stood still, and wakes


libvirt.registerErrorHandler(lambda *_: None, None)  # or each error is also printed

Strike = Callable[[Stage], Awaitable[Struck]]


# One process dies


async def kill_qemu(stage: Stage) -> Struck:
    vm = await stage.some_vm()
    stage.kill([stage.qemu(stage.host(vm.host), vm.id)])
    return Struck(f"the QEMU of {vm.id} on {vm.host}", must_boot={vm.id})


async def kill_service(what: str, stage: Stage) -> Struck:
    host = stage.random.choice(stage.bed.hosts)
    stage.kill(host.pids("libvirtd") if what == "libvirtd" else [stage.cluster.pid(host, what)])
    return Struck(f"{what} of {host.name}")


async def kill_everything_of_ave(stage: Stage) -> Struck:
    host = stage.random.choice(stage.bed.hosts)
    stage.kill([*(stage.cluster.pid(host, what) for what in ("node", "guard")), *host.pids("libvirtd")])
    return Struck(f"node, guard and libvirtd of {host.name}")


async def kill_nodes(stage: Stage) -> Struck:
    stage.kill(stage.cluster.pid(host, "node") for host in stage.bed.hosts)
    return Struck("every node")


async def kill_storage(which: tuple[str, ...], stage: Stage) -> Struck:
    pids = {"tgtd": stage.bed.storage.pid, "ave storage": stage.cluster.box_pid}
    stage.kill(pids[each] for each in which)
    return Struck(" and ".join(which))


# Something stands still


async def stop_qemu(stage: Stage) -> Struck:
    vm = await stage.some_vm()
    pid, seconds = stage.qemu(stage.host(vm.host), vm.id), stage.random.uniform(*SHORT)
    stage.signal([pid], signal.SIGSTOP)
    await asyncio.sleep(seconds)
    stage.signal([pid], signal.SIGCONT)
    return Struck(f"the QEMU of {vm.id} on {vm.host} for {seconds:.0f} s")


async def stop_tgtd(stage: Stage) -> Struck:
    seconds = stage.random.uniform(*SHORT)
    stage.bed.storage.freeze()
    await asyncio.sleep(seconds)
    stage.bed.storage.thaw()
    return Struck(f"tgtd for {seconds:.0f} s")


async def stop_node(stage: Stage) -> Struck:
    """Its guard ends it."""
    host = stage.random.choice(stage.bed.hosts)
    pid = stage.cluster.pid(host, "node")
    stage.signal([pid], signal.SIGSTOP)

    async def ended() -> str:
        return f"the node of {host.name} stands still" if stage.cluster.pid(host, "node") == pid else ""

    await stage.until(ended, RESCUE_SECONDS)
    return Struck(f"the node of {host.name}")


async def stop_owner(whole: bool, stage: Stage) -> Struck:
    """Over the verdict, until its VMs run elsewhere; then their old QEMUs go on first, as if nothing had been."""
    host = stage.random.choice(await stage.steady_hosts())
    vms = await stage.vms_on(host)
    qemus = [stage.qemu(host, vm) for vm in vms]
    rest = [pid for pid in _all_of(host) if pid not in qemus]
    if not whole:
        rest = [stage.cluster.pid(host, what) for what in ("guard", "node")]
    lives = stage.lives()
    stage.signal([*rest, *qemus], signal.SIGSTOP)
    try:
        await rescued(stage, vms, host)
        woken, mark = monotonic(), len(stage.ear.words)
        stage.signal(qemus, signal.SIGCONT)
        await _have_tried(stage, host, {vm: lives[vm] for vm in vms}, woken, mark)
    finally:
        stage.signal([*qemus, *rest], signal.SIGCONT)
    tries = sum(stage.refusals.of(host.storage_address, f"{vm}-disk-1", woken) for vm in vms)
    what = f"{host.name} with {_listed(vms)}, whose old QEMUs were turned away {tries} times"
    return Struck(what, must_boot=vms, overlap=OVERLAP_SECONDS)


async def _have_tried(stage: Stage, host: Host, lives: dict[str, Life], woken: float, mark: int) -> None:
    """Until each old guest has run for a while, beside the new one, and its QEMU has asked for the volume again and was turned
    away."""

    async def lacking() -> str:
        heard = Counter(word.life for word in stage.ear.since(mark) if word.host == host.name)
        for vm, life in lives.items():
            if heard[life] < OVERLAP_WORDS:
                return f"the old {vm} on {host.name} has woken, and said but {heard[life]} words"
            if not stage.refusals.of(host.storage_address, f"{vm}-disk-1", woken):
                return f"the old {vm} on {host.name} has not tried to reach its volume"
        return ""

    await stage.until(lacking, OVERLAP_SECONDS - 1.0)


def _all_of(host: Host) -> list[int]:
    """But process 1."""
    own = namespace(f"/proc/{host.pid}/ns/pid")
    return [pid for pid in of_namespace("pid", [own]) if pid != host.pid and program(pid)]


async def rescued(stage: Stage, vms: set[str], lost: Host) -> None:
    async def lacking() -> str:
        for id, vm in (await stage.vms()).items():
            if id in vms and (vm.host == lost.name or vm.state is not VMState.RUNNING):
                return f"{id} is {vm.state} on {vm.host}: {vm.story[-1] if vm.story else ''}"
        return ""

    await stage.until(lacking, TIMES.verdict + RESCUE_SECONDS)


# Cables


async def cut_short(plane: Plane, stage: Stage) -> Struck:
    host, seconds = stage.random.choice(stage.bed.hosts), stage.random.uniform(*SHORT)
    host.cut(plane)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(host.heal, plane)
    return Struck(f"{host.name} for {seconds:.0f} s")


async def cut_management_long(stage: Stage) -> Struck:
    host = stage.random.choice(stage.bed.hosts)
    host.cut("management")
    await asyncio.sleep(TIMES.verdict + 5.0)
    await asyncio.to_thread(host.heal, "management")
    return Struck(f"{host.name} for {TIMES.verdict + 5.0:.0f} s")


async def cut_storage_between(stage: Stage) -> Struck:
    """Longer than give_up: its VMs are paused; shorter than the verdict would be, or just not."""
    host = stage.random.choice(await stage.steady_hosts())
    seconds = stage.random.uniform(TIMES.give_up + 1.0, TIMES.verdict - 2.0)
    vms = await stage.vms_on(host)
    host.cut("storage")
    await asyncio.sleep(seconds)
    await asyncio.to_thread(host.heal, "storage")
    return Struck(f"{host.name} with {_listed(vms)} for {seconds:.0f} s", may_boot=vms)


async def cut_storage_long(stage: Stage) -> Struck:
    host = stage.random.choice(await stage.steady_hosts())
    vms = await stage.vms_on(host)
    host.cut("storage")
    try:
        await rescued(stage, vms, host)
    finally:
        await asyncio.to_thread(host.heal, "storage")
    return Struck(f"{host.name} with {_listed(vms)} until they ran elsewhere", must_boot=vms)


async def lose_packets(stage: Stage) -> Struck:
    host, seconds = stage.random.choice(stage.bed.hosts), stage.random.uniform(*SHORT)
    share = stage.random.choice((0.02, 0.1, 0.25))
    rule = ["INPUT", "-i", "stor0", "-m", "statistic", "--mode", "random", "--probability", str(share), "-j", "DROP"]
    host.ask(["iptables", "-A", *rule])
    await asyncio.sleep(seconds)
    host.ask(["iptables", "-D", *rule])
    return Struck(f"{share:.0%} of what the storage sends to {host.name}, for {seconds:.0f} s")


# Power


async def lose_power(stage: Stage) -> Struck:
    host = stage.random.choice(await stage.steady_hosts())
    vms = await stage.vms_on(host)
    stage.power_off(host)
    try:
        await rescued(stage, vms, host)
    finally:
        await stage.power_on(host)
    return Struck(f"{host.name} with {_listed(vms)}", must_boot=vms)


async def reboot(stage: Stage) -> Struck:
    host, seconds = stage.random.choice(await stage.steady_hosts()), stage.random.uniform(1.0, 8.0)
    vms = await stage.vms_on(host)
    stage.power_off(host)
    await asyncio.sleep(seconds)
    await stage.power_on(host)
    return Struck(f"{host.name} with {_listed(vms)}, back after {seconds:.0f} s", must_boot=vms)


# Migrations


async def migrate(stage: Stage) -> Struck:
    vm = await stage.some_vm()
    job = await stage.operator.ask("vm.migrate", MigrateVMs(vms=(vm.id,)))
    return Struck(f"{vm.id} from {vm.host} to {(await stage.operator.vm(vm.id)).host}: {job.state}")


@dataclass(frozen=True)
class Way:
    """A migration under way, as libvirt on both sides shows it."""

    vm: VM
    source: Host
    target: Host


async def migrate_cut(phase: str, deed: str, stage: Stage) -> Struck:
    """The deed is done as soon as the migration is in this phase: begin, copy, finish."""
    vm = await stage.some_vm()
    source = stage.host(vm.host)
    steady = await stage.steady_hosts(busy=False)
    targets = [host for host in (steady if DEEDS[deed] is _lose_power else stage.bed.hosts) if host is not source]
    if not targets:
        return Struck(f"nothing: only {source.name} may go away now, and {vm.id} is there")
    way = Way(vm, source, stage.random.choice(targets))
    there = await stage.vms_on(way.target)
    await asyncio.to_thread(_set_speed, way, COPY_MIB if phase == "copy" else FAST_MIB)
    job = await stage.operator.submit("vm.migrate", MigrateVMs(vms=(vm.id,), host=way.target.name))
    seen = await asyncio.to_thread(_wait_for, way, phase)
    struck = await DEEDS[deed](stage, way, there)
    hurrying = asyncio.create_task(_hurry(way))
    try:
        ended = await stage.operator.end_of(job, MIGRATE_SECONDS)
    finally:
        hurrying.cancel()
    how = "" if seen else "too late, "
    struck.what = f"{vm.id} from {source.name} to {way.target.name}: {how}Job {ended.state}"
    return struck


async def _hurry(way: Way) -> None:
    """Again and again: a libvirt that gives up a copy takes back what was said meanwhile.

    The longer an emulated guest is copied while it runs, the likelier a write of its is lost (docs/real-bed.md).
    """
    while True:
        with suppress(libvirt.libvirtError):  # it has gone, or its libvirtd has
            await asyncio.to_thread(_set_speed, way, FAST_MIB)
        await asyncio.sleep(HURRY_SECONDS)


def _set_speed(way: Way, mib: int) -> None:
    connection = libvirt.open(way.source.local_uri)
    try:
        connection.lookupByUUIDString(uuid_of(way.vm.id)).migrateSetMaxSpeed(mib)
    finally:
        connection.close()


def _wait_for(way: Way, phase: str) -> bool:
    """Was it seen? Blocks, and looks as often as it can."""
    source, target = libvirt.open(way.source.local_uri), libvirt.open(way.target.local_uri)
    ends = monotonic() + PHASE_SECONDS
    uuid = uuid_of(way.vm.id)
    try:
        while monotonic() < ends:
            if _in_phase(source, target, uuid, phase):
                return True
            sleep(QUICK)
        return False
    finally:
        source.close()
        target.close()


def _in_phase(source: libvirt.virConnect, target: libvirt.virConnect, uuid: str, phase: str) -> bool:
    try:
        there = target.lookupByUUIDString(uuid)
    except libvirt.libvirtError:
        there = None
    try:
        if phase == "finish":  # the copy is complete: the source has no process any more
            return there is not None and not source.lookupByUUIDString(uuid).isActive()
        if phase == "copy":
            stats = source.lookupByUUIDString(uuid).jobStats()
            return stats.get("data_processed", 0) > 2**20
        told = source.lookupByUUIDString(uuid).metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE)
        record = decoded_element(told)
        return record is not None and record.phase is Phase.LEAVING
    except libvirt.libvirtError:
        return phase == "finish" and there is not None


async def _kill_node(side: str, stage: Stage, way: Way, there: set[str]) -> Struck:
    stage.kill([stage.cluster.pid(getattr(way, side), "node")])
    return Struck("")


async def _kill_libvirtd(side: str, stage: Stage, way: Way, there: set[str]) -> Struck:
    stage.kill(getattr(way, side).pids("libvirtd"))
    return Struck("", may_boot={way.vm.id})


async def _kill_qemu(side: str, stage: Stage, way: Way, there: set[str]) -> Struck:
    stage.kill([stage.qemu(getattr(way, side), way.vm.id)])
    return Struck("", may_boot={way.vm.id})


async def _cut(plane: Plane, stage: Stage, way: Way, there: set[str]) -> Struck:
    way.source.cut(plane)
    await asyncio.sleep(stage.random.uniform(*SHORT))
    await asyncio.to_thread(way.source.heal, plane)
    return Struck("", may_boot={way.vm.id})


async def _lose_power(stage: Stage, way: Way, there: set[str]) -> Struck:
    stage.power_off(way.target)
    await asyncio.sleep(stage.random.uniform(1.0, 8.0))
    await stage.power_on(way.target)
    return Struck("", may_boot={way.vm.id}, must_boot=there)


DEEDS: dict[str, Callable[[Stage, Way, set[str]], Awaitable[Struck]]] = {
    "the source's node is killed": partial(_kill_node, "source"),
    "the target's node is killed": partial(_kill_node, "target"),
    "the source's libvirtd is killed": partial(_kill_libvirtd, "source"),
    "the target's libvirtd is killed": partial(_kill_libvirtd, "target"),
    "the source's QEMU is killed": partial(_kill_qemu, "source"),
    "the target's QEMU is killed": partial(_kill_qemu, "target"),
    "the source's management cable is pulled": partial(_cut, "management"),
    "the source's storage cable is pulled": partial(_cut, "storage"),
    "the target loses power": _lose_power,
}


def _listed(vms: set[str]) -> str:
    return ", ".join(sorted(vms))


assert SHORT[1] < TIMES.give_up - 4.0, "a short fault ends no lease, also if the last renewal was just before it"
