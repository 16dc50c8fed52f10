"""The VM Monitor's Leader: watches the leases, judges the hosts, and asks the Job Center to rescue what a dead one ran."""

from __future__ import annotations

from collections.abc import Iterable

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.ha.rescue import LOST
from ave.ha.timing import TICK_SECONDS, Timing
from ave.ha.verdict import Signs, Silence, Verdict, judge, weigh
from ave.jobs.crew import Crew
from ave.jobs.submit import submit
from ave.jobs.worker import BEAT_SECONDS
from ave.model.cluster import Handler, Lock, Role, lock_name
from ave.model.host import Host, HostState, Wish
from ave.model.states import move
from ave.model.vm import PRIORITIES, VM, VMState
from ave.model.work import ENDED, OnConflict, Work
from ave.operations import NameHosts, RescueVMs
from ave.ports.block import Lease
from ave.ports.store import Check, Conflict, Replace
from ave.ports.together import Ports
from ave.scheduler.active import Scheduler
from ave.scheduler.mirror import Mirror
from ave.scheduler.role import MONITOR, Leadership, still_held
from ave.sync import together

QUEUE = "ha"
EVACUATE_SECONDS = 30.0  # from one look at the evacuation of a host to the next
PAUSES = ((5, 10.0), (10, 60.0))  # after so many attempts wait so many seconds …
LAST_PAUSE_SECONDS = 100.0  # … and ever after this long, for as long as the VM is wanted


class Monitor:
    def __init__(self, ports: Ports, crew: Crew, timing: Timing, scheduler: Scheduler, leadership: Leadership) -> None:
        self._ports, self._crew, self._timing, self._scheduler = ports, crew, timing, scheduler
        self._leadership = leadership
        self._leases, self._beats = Silence(gap=3 * TICK_SECONDS), Silence(gap=3 * BEAT_SECONDS)
        self._beats_read = float("-inf")
        self._signs = Signs(gap=3 * BEAT_SECONDS)
        self._role: Role | None = None
        self._leaving: dict[
            str, tuple[str, float]
        ] = {}  # read-only host -> its evacuation, and when to look at it again
        self._looked_at = -1  # the mirror's changes at the last search for lost VMs
        self._job = ""  # the rescue under way
        self._tries: dict[str, tuple[int, float]] = {}  # VM -> attempts, and when the next is due

    async def run(self) -> None:
        """Two loops, because watching must not wait for the store: what is not looked at cannot be counted as silence."""
        await together(self._ports.runtime, {"watch": self._watch_for_ever(), "act": self._act_for_ever()})

    async def _watch_for_ever(self) -> None:
        runtime = self._ports.runtime
        while True:
            await runtime.sleep(TICK_SECONDS)
            if not self._leadership.term:
                continue  # only the meta leader's host is told; whoever begins to lead begins to count
            try:
                asked = runtime.now()
                leases = await self._ports.block.leases()
                self._leases.look(asked, runtime.now(), leases)
            except Unavailable:
                pass  # not watching: the gap will be seen

    async def _act_for_ever(self) -> None:
        while True:
            await self._ports.runtime.sleep(TICK_SECONDS)
            role, mirror = self._scheduler.roles.get(MONITOR), self._scheduler.mirror
            if role is None or mirror is None:
                continue
            if role is not self._role:
                self._role, self._job, self._tries, self._looked_at = role, "", {}, -1
            try:
                await self._judge(role, mirror)
                await self._rescue(mirror)
                await self._reopen(role, mirror)
                await self._evacuate(mirror)
            except (Unavailable, UnknownOutcome, Conflict):
                pass  # the next tick is the retry

    async def _judge(self, role: Role, mirror: Mirror) -> None:
        if self._ports.runtime.now() - self._beats_read >= BEAT_SECONDS:
            await self._read_beats()
        self._signs.look(self._ports.runtime.now(), mirror.reports.values())
        verdicts = self._verdicts(mirror)
        if any(verdict.state is HostState.UNMANAGED for verdict in verdicts):
            await self._read_beats()  # a host that has just come back beats again: look before saying that it is silent
            verdicts = self._verdicts(mirror)
        for verdict in verdicts:
            await self._carry_out(role, mirror.hosts[verdict.host], verdict)

    def _verdicts(self, mirror: Mirror) -> list[Verdict]:
        evidence = weigh(mirror.hosts, self._leases, self._beats, mirror.reports, self._signs)
        return judge(mirror.hosts, evidence, self._timing)

    async def _read_beats(self) -> None:
        runtime = self._ports.runtime
        asked = self._beats_read = runtime.now()
        handlers = await self._ports.store.find(Handler)
        self._beats.look(asked, runtime.now(), [Lease(handler.id, handler.beat, False) for handler in handlers])

    async def _carry_out(self, role: Role, host: Host, verdict: Verdict) -> None:
        """Revoke first: from then on the host cannot renew, whatever becomes of us. Then say so in the store."""
        if verdict.state is HostState.FENCED:
            try:
                await self._ports.block.revoke(host.id, verdict.counter)
            except Refused:
                return  # it renewed in the last moment
        await self._ports.store.commit(Replace(move(host, verdict.state, verdict.why)), still_held(role))
        self._ports.runtime.log("host judged", host=host.id, state=str(verdict.state), why=verdict.why)

    async def _reopen(self, role: Role, mirror: Mirror) -> None:
        """A host that is being emptied by nobody (its Job was cancelled between two steps, or could not undo) takes VMs."""
        for host in list(mirror.hosts.values()):
            if host.state is HostState.ENTERING_MAINTENANCE:
                lock = await self._ports.store.get(Lock, lock_name(Host, host.id))
                if lock is not None and not lock.job:
                    opened = move(host, HostState.ONLINE, "nobody empties it any more", wish=Wish.SERVE, away=())
                    free = Check(Lock, lock.id, {"version": lock.version})
                    await self._ports.store.commit(Replace(opened), free, still_held(role))

    async def _evacuate(self, mirror: Mirror) -> None:
        """One Job after the other, per host that is read-only while VMs run there. Another leader begins one more, which
        waits behind that in the host's Job Queue and then finds nothing left to do."""
        now = self._ports.runtime.now()
        for host in list(mirror.hosts.values()):
            if host.state is not HostState.READ_ONLY:
                self._leaving.pop(host.id, None)
                continue
            job, due = self._leaving.get(host.id, ("", now))
            if now < due or not any(mirror.vms[vm].state is VMState.RUNNING for vm in mirror.on.get(host.id, ())):
                continue
            known = await self._ports.store.get(Work, job) if job else None
            if known is None or known.state in ENDED:
                asked = NameHosts(hosts=(host.id,))
                job = await submit(self._ports, self._crew, "ha.evacuate", asked, flag=f"leave {host.id}")
            self._leaving[host.id] = (job, now + EVACUATE_SECONDS)

    async def _rescue(self, mirror: Mirror) -> None:
        """One rescue Job at a time; what it could not save is tried again, ever more patiently."""
        if self._job:
            job = await self._ports.store.get(Work, self._job)
            if job is not None and job.state not in ENDED:
                return
            self._job = ""
        now = self._ports.runtime.now()
        if self._looked_at == mirror.changes and not any(due <= now for _, due in self._tries.values()):
            return
        self._looked_at = mirror.changes
        for host in doubtful_hosts(mirror):
            lost = sorted(lost_vms(mirror, host), key=lambda vm: (PRIORITIES.index(vm.priority), vm.id))
            due = [vm for vm in lost if self._tries.get(vm.id, (0, now))[1] <= now]
            if due:
                crashed = [vm for vm in due if _crashed(vm, host) and vm.id not in self._tries]
                await self._submit(host, crashed or due, now, here=bool(crashed))
                return
            if not lost and host.state is HostState.FENCED and self._role is not None:
                recovered = move(host, HostState.RECOVERED, "nothing of it is left to rescue")
                await self._ports.store.commit(Replace(recovered), still_held(self._role))
        self._tries = {id: t for id, t in self._tries.items() if id in mirror.vms}

    async def _submit(self, host: Host, vms: Iterable[VM], now: float, *, here: bool) -> None:
        names = tuple(vm.id for vm in vms)
        for name in names:
            attempts = self._tries.get(name, (0, 0.0))[0] + 1
            self._tries[name] = (attempts, now + _pause(attempts))
        request = RescueVMs(host=host.id, vms=names, here=here)
        self._job = await submit(
            self._ports,
            self._crew,
            "ha.rescue",
            request,
            flag=QUEUE,
            on_conflict=OnConflict.SKIP,
            lane=self._ports.host,  # alive, while another may be the next one lost
        )
        self._ports.runtime.log("rescue submitted", host=host.id, vms=len(names), job=self._job)


def doubtful_hosts(mirror: Mirror) -> list[Host]:
    """Hosts that may have left VMs behind: those judged dead, and those that are the last ones of stale VMs."""
    dead = [host for host in mirror.hosts.values() if host.state is HostState.FENCED]
    names = dict.fromkeys([host.id for host in dead] + [mirror.vms[vm].host for vm in mirror.stale])
    return [mirror.hosts[name] for name in names]


def lost_vms(mirror: Mirror, host: Host) -> list[VM]:
    """VMs that this host is proved not to run, though they are recorded there, and that need something done."""
    dead = host.state is HostState.FENCED
    names = mirror.on.get(host.id, {}) if dead else [vm for vm in mirror.stale if mirror.vms[vm].host == host.id]
    found = [mirror.vms[name] for name in names]
    # What nobody wants started is settled when its host returns.
    settled = [
        vm.id for vm in found if vm.state is VMState.UNKNOWN and not (vm.ha and vm.on) and vm.id not in mirror.stale
    ]
    return [vm for vm in found if vm.state in LOST and vm.id not in settled]


def _crashed(vm: VM, host: Host) -> bool:
    """Did it end where all else goes on? Then it is first tried there."""
    return host.state is HostState.ONLINE and vm.state is VMState.UNKNOWN and not vm.host_epoch


def _pause(attempts: int) -> float:
    return next((seconds for most, seconds in PAUSES if attempts <= most), LAST_PAUSE_SECONDS)
