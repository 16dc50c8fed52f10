"""A scenario that is served: its story goes on by itself, and before one of its hosts stands the API, a process of that host.

The host may die. If a host was named, its API is then gone until it is back, as it would be; else another one that is up
takes over, as if a balancer stood before them all. Nothing here knows real time, a socket or who asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from math import inf
from typing import Any, TypeVar

import msgspec

from ave.api.desk import Answer, Desk, Manner, open_desk
from ave.api.problems import Taken
from ave.api.questions import QUESTIONS
from ave.api.view import View
from ave.errors import Refused, Unavailable
from ave.model.access import Caller
from ave.operations import OPERATIONS
from ave.ports.together import Ports
from ave.runtime import Task
from drivers.sim.machine import Machine
from drivers.sim.runtime import Crash, SimRuntime
from sim.injected import Injected, Injections, table
from sim.journal import Ask, Entry, Journal, Leave, Pause, Relieve, Strike
from sim.record import Mark
from sim.recorder import Recorder
from sim.scenario.model import Scenario
from sim.story import SLICE_SECONDS, Story, Tell, of_crash
from sim.traces import Workload
from sim.violation import Violation

API = "api"
T = TypeVar("T")


class Door:
    """The API's process on one host."""

    def __init__(self, machine: Machine, runtime: SimRuntime, ports: Ports, hurried: Callable[[], bool]) -> None:
        self.machine, self.runtime, self.ports = machine, runtime, ports
        self.desk, self.view = open_desk(ports, hurried=hurried)
        self.feeding = runtime.spawn(self.view.run(), name="view")

    @property
    def open(self) -> bool:
        return not self.runtime.dead and self.machine.works(API)


class Served:
    """Close it, or use it as a context manager. Should the world break, ``broken`` says why; it then stands still for ever."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        seed: int | None = None,
        host: str = "",
        arrivals: Sequence[Workload] = (),
        recorder: Recorder | None = None,
        journal: Journal | None = None,
        tell: Tell | None = None,
    ) -> None:
        """``host``: whose API is served; "": of one that is up. Raises Refused."""
        if scenario.mode != "cluster":
            raise Refused(
                f"{scenario.metadata.name} is a capacity replay, which has no hosts to ask: serve one of mode cluster"
            )
        seed = scenario.seed if seed is None else seed
        self._tell = tell
        self._door: Door | None = None
        self.story = Story(scenario, seed=seed, arrivals=arrivals, recorder=recorder, tell=self._told)
        self.broken = ""
        self._world = self.story.cluster.world
        self._machines = self.story.cluster.machines
        self._journal = journal or Journal()
        self._injections = Injections(self.story)
        self._asking: dict[Any, int] = {}  # tasks of requests -> their number in the journal
        self._left: dict[int, bool] = {}  # those that nobody waits for, and that have not ended yet
        self._paused = False
        self._sampled = 0.0
        self._pinned = host
        try:
            if host and host not in self._machines:
                raise Refused(f"there is no host {host}: {', '.join(self._machines)}")
            self.story.cluster.processes[API] = self._launch
            self.story.begin()
        except Violation as refused:
            self.close()
            raise Refused(refused.what) from None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._door is not None:
            self._door.runtime.on_stop.pop(self, None)  # nobody takes over
        self.story.cluster.close()

    # Time

    extensions: tuple[str, ...] = ("clock", "faults")
    past, jumps, damage, partial, begin = False, 0, "", True, 0.0

    @property
    def end(self) -> float:
        return self._world.now

    def seek(self, at: float | str) -> None:
        raise Taken("this world keeps no recording, so there is no way back in it")

    @property
    def now(self) -> float:
        return self._world.now

    def peek(self) -> float:
        return inf if self.broken else self._world.peek()

    def advance(self, until: float) -> None:
        """All that falls due by then happens. Raises nothing: see ``broken``."""
        if self.broken:
            return
        try:
            self._world.advance(until)
            if until >= self._sampled + SLICE_SECONDS:
                self._sampled = until
                self.story.sample()
        except (Violation, Crash, Exception) as error:
            self._break(error)

    def pause(self, paused: bool) -> None:
        """While it stands still nobody waits for the end of a Job."""
        if paused == self._paused or self.broken:
            return
        self._journal.write(Pause(n=self._journal.number(), t=self.now, paused=paused))
        self._paused = paused
        if paused and self._door is not None:
            self._door.view.changed.set()

    def _break(self, error: BaseException) -> None:
        found = of_crash(error) if isinstance(error, Crash) else error
        self.broken = f"{found}" if isinstance(found, Violation) else f"a bug: {type(found).__name__}: {found}"
        self._world.tell("served world", "broken", {"why": self.broken})

    # The API

    @property
    def host(self) -> str:
        return self._door.machine.name if self._door is not None else self._pinned

    @property
    def desk(self) -> Served:
        return self

    @property
    def view(self) -> View:
        """One that is not fed, if no API answers."""
        door = self._door
        assert door is not None, "each host that is powered on has one"
        return door.view if door.open else View(door.ports)

    def runtime(self) -> SimRuntime:
        return self._opened().runtime

    async def ask(self, caller: Caller, name: str, request: Any, manner: Manner) -> Answer:
        """As of a desk; runs on ``runtime``."""
        desk: Desk = self._opened().desk
        n, t = self._journal.number(), self.now
        asked = Ask(n=n, t=t, caller=caller, name=name, request=msgspec.to_builtins(request), manner=manner)
        task = self._world.current
        assert task is not None, "a request is a task of its own"
        self._asking[task] = n
        try:
            return await desk.ask(caller, name, request, manner)
        finally:
            del self._asking[task]
            if self.now > t or self._left.pop(n, False):
                self._journal.write(asked)

    def drop(self, task: Task[Any]) -> None:
        """Nobody waits for that request any more."""
        n = self._asking.get(task)
        if n is not None:
            self._left[n] = True
            self._journal.write(Leave(n=self._journal.number(), t=self.now, ask=n))
        task.cancel()

    def _opened(self) -> Door:
        """Raises Unavailable."""
        if self.broken:
            raise Unavailable(f"the simulated world has broken: {self.broken}")
        door = self._door
        if door is None or not door.open:
            why = "has no power, or boots" if door is None or not door.machine.powered else "does not run"
            raise Unavailable(f"the API of {self.host} does not answer: it {why}")
        return door

    def _launch(self, machine: Machine, runtime: SimRuntime) -> None:
        """Called whenever a host boots, or the API's process there begins again."""
        if self._pinned not in ("", machine.name):
            return
        if self._door is None or not self._door.open:
            self._move(machine, runtime)

    def _move(self, machine: Machine, runtime: SimRuntime) -> None:
        if self._door is not None:
            self._door.runtime.on_stop.pop(self, None)
            self._door.feeding.cancel()
        ports, _ = self.story.cluster.client(machine.name, runtime)
        self._door = Door(machine, runtime, ports, lambda: self._paused)
        runtime.on_stop[self] = self._lost

    def _lost(self) -> None:
        """The API's process is about to die or to stand still."""
        assert self._door is not None
        if self._pinned:
            return
        names = list(self._machines)
        here = names.index(self._door.machine.name)
        for name in (*names[here + 1 :], *names[:here]):
            machine = self._machines[name]
            if machine.powered and machine.works(API):
                self._move(machine, machine.running[API])
                return

    # Faults

    def marks(self) -> Sequence[Mark]:
        return self.story.marks

    def _told(self, at: float, process: str, event: str, fields: dict[str, Any]) -> None:
        """That something befell the cluster is told to whoever looks, though no host knows it."""
        if self._tell is not None:
            self._tell(at, process, event, fields)
        if process == "fault" and self._door is not None:
            self._door.view.projection.log(at, process, event, {**fields, "level": "fault"})

    def faults(self) -> Mapping[str, Any]:
        return {"items": table(), "under_way": list(self._injections.under_way.values())}

    def begin_fault(self, said: Any) -> Injected:
        """Raises Invalid, Taken, Unavailable."""
        self._require_whole()
        event, names = self._injections.read(said)
        self._journal.write(Strike(n=self._journal.number(), t=self.now, fault=said))
        return self._do(lambda: self._injections.begin(event, names))

    def end_fault(self, id: str) -> Injected:
        """Raises NotFound, Unavailable."""
        self._require_whole()
        self._injections.require_under_way(id)
        self._journal.write(Relieve(n=self._journal.number(), t=self.now, id=id))
        return self._do(lambda: self._injections.end(id))

    def _require_whole(self) -> None:
        if self.broken:
            raise Taken(f"the simulated world has broken: {self.broken}")

    def _do(self, deed: Callable[[], T]) -> T:
        try:
            return deed()
        except (Violation, Exception) as error:
            self._break(error)
            raise Unavailable(f"the simulated world has broken: {self.broken}") from error


def replay(served: Served, entries: Iterable[Entry], until: float) -> None:
    """Do again what a journal says was done, each at its moment, and go on until then. A world that broke breaks again."""
    asked: dict[int, Task[None]] = {}
    for entry in entries:
        served.advance(entry.t)
        if served.broken:
            return
        match entry:
            case Ask():
                asked[entry.n] = served.runtime().spawn(_ask(served, entry), name="request")
            case Leave():
                served.drop(asked[entry.ask])
            case Strike():
                with suppress(Unavailable):  # it broke by this
                    served.begin_fault(entry.fault)
            case Relieve():
                with suppress(Unavailable):
                    served.end_fault(entry.id)
            case Pause():
                served.pause(entry.paused)
        served.advance(entry.t)
    served.advance(until)


async def _ask(served: Served, entry: Ask) -> None:
    known = QUESTIONS.get(entry.name) or OPERATIONS[entry.name]
    try:
        await served.ask(entry.caller, entry.name, msgspec.convert(entry.request, known.request), entry.manner)
    except Exception:
        return  # whoever asked was told, the first time
