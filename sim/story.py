"""Play a cluster scenario: power on, let the workload and the timeline happen, and judge."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from ave.errors import NoFit, Refused
from ave.ha.timing import Timing
from ave.operations import CreateVMs, NameVMs, NewVM
from drivers.sim.runtime import Crash, SimRuntime
from sim import faults
from sim.actions import ACTIONS, listed
from sim.answers import Asking
from sim.chance import exponential, lognormal
from sim.cluster import SimCluster
from sim.collecting import uncollected
from sim.expect import Met, Observer
from sim.metrics import Metrics
from sim.oracle import Oracle
from sim.outcome import Broken, Outcome, judge, kept
from sim.profiles import PROFILES
from sim.record import Mark
from sim.recorder import Recorder
from sim.scenario.catalogue import Value
from sim.scenario.model import Event, Exponential, Fixed, Fleet, Lognormal, Scenario, Target
from sim.traces import Workload
from sim.user import User
from sim.violation import Violation

SLICE_SECONDS = 10.0  # between two looks at the outside: progress, samples, Ctrl-C
STEPS_UNCOLLECTED = 1_000_000  # of the world, between two looks for cycles: failures leave some 70,000 objects in them

Tell = Callable[[float, str, str, dict[str, Any]], None]


class Story:
    """One run. Close it, or use it as a context manager."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        seed: int,
        arrivals: Sequence[Workload] = (),
        recorder: Recorder | None = None,
        tell: Tell | None = None,
        timing: Timing | None = None,
    ) -> None:
        """``timing``: instead of the scenario's profile."""
        self.scenario, self.seed = scenario, seed
        self._arrivals = tuple(arrivals)
        self.cluster = SimCluster(scenario.topology, seed=seed, timing=timing or PROFILES[scenario.profile])
        self.oracle = Oracle(self.cluster)
        self.metrics = Metrics(self.cluster)
        self.observer = Observer(self.cluster)
        self.user = User(self.cluster, self.oracle.stage.acknowledged)
        self.marks: list[Mark] = []  # faults so far
        self._recorder, self._tell = recorder, tell
        self._met: dict[int, Met] = {}  # what was expected before the end
        self._director = SimRuntime(self.cluster.world, "director")
        self._fleets = {w.fleet: w for w in scenario.workload if isinstance(w, Fleet)}
        self.cluster.world.tell = self._told
        if recorder is not None:
            self.cluster.store.ledger.listeners.append(recorder.apply)

    def __enter__(self) -> Story:
        return self

    def __exit__(self, *_: object) -> None:
        self.cluster.close()

    def play(
        self,
        *,
        progress: Callable[[float, float], None] = lambda now, end: None,
        stop: Callable[[], bool] = lambda: False,
        slice_seconds: float = SLICE_SECONDS,
    ) -> Outcome:
        """Run to the end of the scenario, to the first violation, or until ``stop`` says so."""
        world, end = self.cluster.world, self.scenario.duration
        violation: Broken | None = None
        try:
            self.begin()
            with uncollected():
                looked = world.steps
                while world.now < end and not stop():
                    world.advance(min(end, world.now + slice_seconds))
                    progress(world.now, end)
                    self.sample()
                    if world.steps - looked > STEPS_UNCOLLECTED:
                        looked = world.steps
                        gc.collect()
            if world.now >= end:
                self.oracle.end()
        except Violation as found:
            violation = self._broken(found)
        except Crash as crash:
            violation = self._broken(of_crash(crash))
        return self._outcome(violation, partial=world.now < end and violation is None)

    def begin(self) -> None:
        """Power on; from now on all that the scenario says happens by itself. Raises Violation if it cannot begin."""
        standing = [fleet for fleet in self._fleets.values() if fleet.arrive is None]
        try:
            self.cluster.power_on(standing, self.scenario.groups, self.scenario.settings)
        except (NoFit, Refused) as refusal:
            raise Violation("scenario", f"the fleets that exist at time 0 do not fit: {refusal}") from refusal
        for place, expected in enumerate(self.scenario.expect):
            if expected.at is not None:
                self._director.spawn(self._expect(place, expected.at), name=f"expectation-{place}")
        for number, event in enumerate(self.scenario.timeline):
            self._director.spawn(self._happen(event, number), name=f"{event.name}-{number}")
        for fleet in self._fleets.values():
            if fleet.arrive is not None:
                self._director.spawn(self._arrive(fleet), name=f"arrivals of {fleet.fleet}")
            else:
                for number in range(1, fleet.count + 1):
                    self._end_life(fleet, f"{fleet.fleet}-{number}")
        for workload in self._arrivals:
            self._director.spawn(self._replay(workload), name="arrivals")

    def sample(self) -> None:
        """One point of every chart, if it is recorded."""
        if self._recorder is not None:
            self._recorder.sample(self.cluster.world.now, self.metrics.series())

    async def _expect(self, place: int, at: float) -> None:
        await self._director.sleep(at)
        self._met[place] = self.observer.judge(self.scenario.expect[place])

    # What happens

    async def _happen(self, event: Event, number: int) -> None:
        await self._director.sleep(event.at)
        if event.kind == "action":
            self._act(event, number)
            return
        names = self.hit(event, f"target/{number}")
        end = self.strike(event, names, lasting=event.lasts is not None)
        if event.lasts is not None:
            await self._director.sleep(event.lasts)
            end()

    def strike(self, event: Event, names: tuple[str, ...], *, lasting: bool) -> faults.Undo:
        """A fault begins; ``lasting``: its end will be told, and is what is answered."""
        end = faults.begin(self.cluster, event.name, names, event.parameters, lasting=lasting)
        mark = Mark(self.cluster.world.now, f"{event.name} {' '.join(names)}".strip())
        self.marks.append(mark)
        if self._recorder is not None:
            self._recorder.mark(mark.t, mark.text)
        return end

    def hit(self, event: Event, draw: str) -> tuple[str, ...]:
        """Whom a fault finds now; ``draw`` names the stream of chance that chooses."""
        target = event.target
        if target is None:
            return ()
        if faults.FAULTS[event.name].kind.target == "vm":
            candidates = self.user.running(target.fleet)
        else:
            hosts = self.cluster.topology.hosts()
            candidates = tuple(host.name for host in hosts if target.zone in (None, host.zone))
        return target.choose(candidates, self.cluster.world.random_for(draw))

    def _act(self, event: Event, number: int) -> None:
        if event.name == "vm.create":
            self._create(event.parameters)
            return
        if event.name == "job.cancel":
            self.user.cancel(str(event.parameters.get("operation", "")), int(event.parameters["count"]))
            return
        target = event.target or Target()
        candidates = target.names or self.user.candidates(event.name, target.fleet)
        names = target.choose(candidates, self.cluster.world.random_for(f"target/{number}"))
        if names:
            self.user.spawn(event.name, ACTIONS[event.name].request(names, event.parameters))

    def _create(self, given: Mapping[str, Value]) -> None:
        for number in range(1, int(given.get("jobs", 1)) + 1):
            key = f"{given['key']}-{number}" if given.get("key") else ""
            asking = Asking(str(given.get("flag", "")), key, int(given.get("asks", 1)))
            self.user.create(self._fleets[str(given["fleet"])], int(given["count"]), asking, listed(given, "groups"))

    async def _arrive(self, fleet: Fleet) -> None:
        arrive = fleet.arrive
        assert arrive is not None
        source = self.cluster.world.random_for(f"arrivals/{fleet.fleet}")
        left = fleet.count
        while left > 0:
            await self._director.sleep(exponential(source, 1.0 / arrive.batches_per_second))
            count = min(left, arrive.batch)
            for name in self.user.create(fleet, count):
                self._end_life(fleet, name)
            left -= count

    def _end_life(self, fleet: Fleet, vm: str) -> None:
        seconds = _lifetime(fleet, self.cluster.world.random_for(f"life/{vm}"))
        if seconds is not None:
            self._director.spawn(self._delete_after(seconds, vm), name=f"end of {vm}")

    async def _delete_after(self, seconds: float, vm: str) -> None:
        await self._director.sleep(seconds)
        self.user.spawn("vm.delete", NameVMs(vms=(vm,)))

    async def _replay(self, workload: Workload) -> None:
        """A trace's VMs, each batch as one Job, at its moment."""
        networks = self.scenario.topology.networks[:1]
        for (at, _), rows in groupby(workload.rows(), key=lambda row: (row[1], row[2])):
            await self._director.sleep(at - self.cluster.world.now)
            vms = []
            for id, _, _, vcpu, memory_mib, life in rows:
                vms.append(NewVM(id=id, vcpus=vcpu, memory_mib=memory_mib, networks=networks))
                if life is not None:
                    self._director.spawn(self._delete_after(life, id), name=f"end of {id}")
            self.user.spawn("vm.create", CreateVMs(vms=tuple(vms)))

    # What is said

    def _told(self, process: str, event: str, fields: dict[str, Any]) -> None:
        now = self.cluster.world.now
        self.oracle.told(process, event, fields)
        if self._recorder is not None:
            self._recorder.log(process, event, fields)
        if self._tell is not None:
            self._tell(now, process, event, fields)

    def _broken(self, found: Violation) -> Broken:
        return Broken(found.invariant, found.what, self.cluster.world.now, tuple(self.oracle.slice(found)))

    def _outcome(self, violation: Broken | None, *, partial: bool) -> Outcome:
        metrics = self.metrics.values(self.user.given_up)
        judged = tuple(judge(threshold, metrics) for threshold in self.scenario.thresholds)
        armed = self.oracle.armed()
        met = tuple(
            self._met.get(place) or self.observer.judge(expected) for place, expected in enumerate(self.scenario.expect)
        )
        unarmed = tuple(id for id in self.scenario.arms if not armed[id])
        return Outcome(
            name=self.scenario.metadata.name,
            description=self.scenario.metadata.description,
            seed=self.seed,
            mode="cluster",
            simulated_seconds=self.cluster.world.now,
            partial=partial,
            passed=violation is None and kept(judged) and all(m.passed for m in met) and not unarmed and not partial,
            metrics=metrics,
            thresholds=judged,
            expected=met,
            armed=armed,
            unarmed=unarmed,
            violation=violation,
        )


def once(scenario: Scenario, seed: int, *, stop: Callable[[], bool] = lambda: False) -> Outcome:
    """One run to its end, with nobody watching."""
    with Story(scenario, seed=seed) as story:
        return story.play(stop=stop)


def _lifetime(fleet: Fleet, source: Any) -> float | None:
    match fleet.life:
        case Fixed(seconds):
            return seconds
        case Exponential(mean_seconds):
            return exponential(source, mean_seconds)
        case Lognormal(median_seconds, sigma):
            return lognormal(source, median_seconds, sigma)
    return None


def of_crash(crash: Crash) -> Violation:
    words = crash.error.replace(":", " ").replace(",", " ").split()
    names = (crash.task, crash.process, *(word for word in words if "-" in word))
    return Violation("crash", f"an error that nobody handles: {crash}", names)
