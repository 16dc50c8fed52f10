"""The VM Monitor's Leader: watches the leases, judges the hosts, and asks the Job Center to rescue what a dead one ran."""

from __future__ import annotations

from typing import NamedTuple

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.ha.brake import Brake
from ave.ha.dispatch import GATHER_SECONDS, Dispatch
from ave.ha.evacuation import Evacuation
from ave.ha.fitness import ASIDE_SECONDS, Fitness
from ave.ha.flapping import Standing
from ave.ha.guests import Guests
from ave.ha.holding import Holding
from ave.ha.timing import TICK_SECONDS, Timing
from ave.ha.unfinished import Unfinished
from ave.ha.verdict import Signs, Silence, Starts, Verdict, doubtful, judge, weigh
from ave.jobs.crew import Crew
from ave.jobs.worker import BEAT_SECONDS
from ave.model.cluster import Handler, Lock, Role, lock_name
from ave.model.host import Host, HostState, Wish
from ave.model.states import move
from ave.ports.block import Lease
from ave.ports.store import Check, Conflict, Replace
from ave.ports.together import Ports
from ave.scheduler.active import Scheduler
from ave.scheduler.mirror import Mirror
from ave.scheduler.role import MONITOR, Leadership, still_held
from ave.sync import together


class Office(NamedTuple):
    """One holding of the role: what is known by its virtue, and ends with it."""

    role: Role
    mirror: Mirror
    dispatch: Dispatch
    holding: Holding
    evacuation: Evacuation
    guests: Guests
    unfinished: Unfinished


class Monitor:
    def __init__(self, ports: Ports, crew: Crew, timing: Timing, scheduler: Scheduler, leadership: Leadership) -> None:
        self._ports, self._crew, self._timing, self._scheduler = ports, crew, timing, scheduler
        self._leadership = leadership
        self._leases, self._beats = Silence(gap=3 * TICK_SECONDS), Silence(gap=3 * BEAT_SECONDS)
        self._beats_read = float("-inf")
        self._signs, self._starts = Signs(gap=3 * BEAT_SECONDS), Starts()
        self._brake = Brake(ports.host, timing)
        self._standing = Standing()
        self._fitness = Fitness(ports.host, gap=3 * TICK_SECONDS)
        self._office: Office | None = None

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
                await self._step_aside_if_unfit()
            except (Unavailable, UnknownOutcome):
                pass  # not watching: the gap will be seen

    async def _step_aside_if_unfit(self) -> None:
        now = self._ports.runtime.now()
        if why := self._fitness.look(now, self._leadership.term, self._leases):
            self._fitness.aside(now)
            self._ports.runtime.log("meta leader steps aside", why=why)
            try:
                await self._ports.block.step_aside(ASIDE_SECONDS)
            except Refused as refusal:
                self._ports.runtime.log("meta leader stays", why=str(refusal))

    async def _act_for_ever(self) -> None:
        while True:
            await self._ports.runtime.sleep(TICK_SECONDS)
            role, mirror = self._scheduler.roles.get(MONITOR), self._scheduler.mirror
            if role is None or mirror is None:
                await self._ask_the_store()
                continue
            if self._office is None or self._office.role is not role:
                self._office = self._take_office(role, mirror)
            try:
                await self._judge(self._office)
                await self._office.dispatch.go_on(mirror, self._brake.expects(GATHER_SECONDS, self._leases))
                await self._trust(role, mirror)
                await self._reopen(role, mirror)
                await self._office.evacuation.go_on(mirror, self._signs)
                await self._office.guests.go_on(mirror)
                await self._office.unfinished.go_on(mirror)
            except (Unavailable, UnknownOutcome, Conflict):
                pass  # the next tick is the retry

    async def _ask_the_store(self) -> None:
        """Whether it answers, while this host leads and has not come to do anything yet."""
        if not self._leadership.term:
            return
        try:
            await self._ports.store.get(Role, MONITOR)
            self._fitness.answered(self._ports.runtime.now())
        except (Unavailable, UnknownOutcome):
            pass

    def _take_office(self, role: Role, mirror: Mirror) -> Office:
        dispatch, holding = Dispatch(self._ports, self._crew, role), Holding(self._ports, role)
        evacuation = Evacuation(self._ports, self._crew, self._timing)
        guests, unfinished = Guests(self._ports, self._crew, role), Unfinished(self._ports, self._crew)
        return Office(role, mirror, dispatch, holding, evacuation, guests, unfinished)

    async def _judge(self, office: Office) -> None:
        mirror = office.mirror
        if self._ports.runtime.now() - self._beats_read >= BEAT_SECONDS:
            await self._read_beats()
        self._signs.look(self._ports.runtime.now(), mirror.reports.values())
        verdicts = self._verdicts(mirror)
        if any(verdict.state is HostState.UNMANAGED for verdict in verdicts):
            await self._read_beats()  # a host that has just come back beats again: look before saying that it is silent
            verdicts = self._verdicts(mirror)
        held = self._held(mirror, verdicts)
        # As they were judged: while one verdict is carried out, others may have moved the next host.
        for host, verdict in [
            (mirror.hosts[verdict.host], verdict) for verdict in verdicts if verdict.host not in held
        ]:
            await self._carry_out(office, host, verdict)
        await office.holding.tell(mirror.hosts, held)

    def _held(self, mirror: Mirror, verdicts: list[Verdict]) -> list[str]:
        """Hosts that are not judged now, because too many fell silent together and nothing else speaks against them."""
        self._brake.look(self._ports.runtime.now(), mirror.hosts, self._leases, self._beats)
        return [verdict.host for verdict in verdicts if verdict.silence_alone and self._brake.holds(verdict.host)]

    def _verdicts(self, mirror: Mirror) -> list[Verdict]:
        known = self._leases, self._beats, self._signs, self._starts
        hosts = doubtful(mirror.hosts, mirror.odd, *known)
        return judge(hosts, weigh(hosts, mirror.reports, *known), self._timing)

    async def _read_beats(self) -> None:
        runtime = self._ports.runtime
        asked = self._beats_read = runtime.now()
        handlers = await self._ports.store.find(Handler)
        self._fitness.answered(runtime.now())
        self._starts.look(runtime.now(), {handler.id: handler.uuid for handler in handlers})
        self._beats.look(asked, runtime.now(), [Lease(handler.id, handler.beat, False) for handler in handlers])

    async def _carry_out(self, office: Office, host: Host, verdict: Verdict) -> None:
        """Revoke first: from then on the host cannot renew, whatever becomes of us. Then say so in the store."""
        if verdict.state is HostState.FENCED:
            try:
                await self._ports.block.revoke(host.id, verdict.counter)
            except Refused:
                return  # it renewed in the last moment
        judged = move(host, verdict.state, verdict.why)
        office.mirror.learn_host((await self._ports.store.commit(Replace(judged), still_held(office.role)))[0])
        self._ports.runtime.log("host judged", host=host.id, state=str(verdict.state), why=verdict.why)

    async def _trust(self, role: Role, mirror: Mirror) -> None:
        """Hosts that had come back again and again, and have stood long enough since."""
        for host in self._standing.look(mirror.hosts, self._ports.runtime.now()):
            await self._ports.store.commit(Replace(host), still_held(role))
            self._ports.runtime.log("host trusted", host=host.id, epoch=host.epoch)

    async def _reopen(self, role: Role, mirror: Mirror) -> None:
        """A host that is being emptied by nobody (its Job was cancelled between two steps, or could not undo) takes VMs."""
        for host in [mirror.hosts[name] for name in sorted(mirror.odd)]:
            if host.state is HostState.ENTERING_MAINTENANCE:
                lock = await self._ports.store.get(Lock, lock_name(Host, host.id))
                if lock is not None and not lock.job:
                    opened = move(host, HostState.ONLINE, "nobody empties it any more", wish=Wish.SERVE, away=())
                    free = Check(Lock, lock.id, {"version": lock.version})
                    await self._ports.store.commit(Replace(opened), free, still_held(role))
