"""The Job Center on three simulated hosts that run workers and Job Recovery and nothing else, with verbs that only count."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ave.errors import Refused, Unavailable
from ave.jobs.cancel import cancel
from ave.jobs.crew import Crew
from ave.jobs.recovery import LEASE_SECONDS, SWEEP_SECONDS, Recovery
from ave.jobs.submit import submit
from ave.jobs.timetable import Entry, Timetable
from ave.jobs.verb import Split, TaskKind, Verb, each
from ave.jobs.worker import Worker
from ave.kinds import KINDS
from ave.model.alarm import Alarm
from ave.model.cluster import Handler, JobQueue, Lock
from ave.model.host import Host, HostState
from ave.model.states import move
from ave.model.vm import VM
from ave.model.work import ENDED, LEAD, Plan, Step, Work, WorkState
from ave.operations import NameVMs
from ave.ports.store import Insert, Write
from ave.ports.together import Ports
from ave.sync import together
from drivers.sim.network import Network
from drivers.sim.runtime import SimRuntime, World
from drivers.sim.store import ReplicaSet, SimStore
from tests.unit.jobs.test_dag import NINE

HOSTS = ("one", "two", "three")
STEP_SECONDS = 0.5
# A worker that is gone is known to be by the second sweep after its lease; then what it held begins again.
RECOVERED_SECONDS = 3 * (LEASE_SECONDS + 2 * SWEEP_SECONDS)
DAG = "vm.start"  # the operation whose Jobs have the steps that the test wants
EACH = "vm.delete"  # the operation whose Jobs have one step per VM

# The whitepaper's nine tasks: some bound to a host, some for any.
NINE_STEPS = {
    name: Step(function="do", resource=name, needs=needs, host={"4": "one", "6": "two"}.get(name, ""))
    for name, needs in NINE.items()
}


class Effect(msgspec.Struct, frozen=True):
    """A step's function ran to its end."""

    at: float
    job: str
    step: str
    host: str


class JobCenter:
    """Close it, or use it as a context manager."""

    def __init__(
        self,
        steps: dict[str, Step] | None = None,
        *,
        groups: dict[str, dict[str, Step]] | None = None,
        groups_need: tuple[str, ...] = (),
        seconds: float = STEP_SECONDS,
        seed: int = 1,
        kinds: Mapping[str, TaskKind] | None = None,
        verbs: Sequence[Verb] = (),
        timetable: Sequence[Entry] = (),
        largest: int = 0,
    ) -> None:
        self.world = World(seed)
        self.network = Network(HOSTS)
        self.store = ReplicaSet(self.world, self.network, HOSTS, KINDS)
        self.effects: list[Effect] = []
        self.late: list[Effect] = []  # those whose Job had already ended
        self.began: list[str] = []  # Jobs, in order
        self.most = 0  # steps at once
        self.processes: dict[str, SimRuntime] = {}
        self.undone: list[str] = []  # steps whose undo ran
        self.told: list[tuple[str, dict[str, Any]]] = []  # what was logged
        self._seconds, self._busy, self._starts = seconds, 0, 0
        self._timetable, self._largest = timetable, largest
        self.kinds = {
            "do": TaskKind(function=self._do),
            "fail": TaskKind(function=_fail),
            "boom": TaskKind(function=_boom),
            "kill": TaskKind(function=self._kill),
            "stuck": TaskKind(function=_stuck, seconds=5.0),
            "stoppable": TaskKind(function=_stuck, stoppable=True),
            "unavailable": TaskKind(function=_unavailable, tries=3),
            "undo": TaskKind(function=self._undo),
            **(kinds or {}),
        }
        split = Split(steps=steps or {}, groups=groups or {}, groups_need=groups_need)
        table = (
            self._verb(DAG, lambda names: split),
            self._verb(EACH, lambda names: Split(steps={n: Step(function="do", resource=n) for n in names})),
            *verbs,
        )
        self.verbs = {verb.operation: verb for verb in table}
        for verb in verbs:
            self.kinds.update(verb.tasks)
        self._user = SimRuntime(self.world, "user")
        self.world.tell = self._told
        for host in HOSTS:
            online = move(Host(id=host, cpus=8, memory_mib=1024), HostState.ONLINE, "there from the start")
            self.store.ledger.commit([Insert(online)], 0.0)
            self.launch(host)
        self.world.advance(1.0)

    def __enter__(self) -> "JobCenter":
        return self

    def __exit__(self, *_: object) -> None:
        self.world.close()

    def launch(self, host: str) -> None:
        """Start the host's process."""
        self._starts += 1
        runtime = self.processes[host] = SimRuntime(self.world, f"{host}/node-{self._starts}")
        ports = self._ports(host, runtime)
        crew = Crew(ports)
        worker = Worker(ports, crew, self.verbs, self.kinds, lambda: (), ())
        services = {"worker": worker.run(), "recovery": Recovery(ports, crew).run()}
        if self._timetable:
            services["timetable"] = Timetable(ports, crew, self._timetable).run()
        runtime.spawn(together(runtime, services), name="main")

    def kill(self, host: str) -> None:
        self.processes.pop(host).kill()

    def at(self, moment: float, deed: Callable[[], object]) -> None:
        def then(_: object) -> None:
            deed()

        self.world.timeout(moment - self.world.now).callbacks.append(then)

    # What a user does and sees

    def submit(self, operation: str, *names: str, door: str = "two", **options: Any) -> str:
        ports = self._ports(door, self._user)
        return self.ask(submit(ports, Crew(ports), operation, NameVMs(vms=names), **options))

    def cancel(self, job: str, door: str = "three") -> None:
        ports = self._ports(door, self._user)
        self.ask(cancel(ports, Crew(ports), job))

    def ask(self, call: Any) -> Any:
        """Let the world go on until the call answers."""
        answer = self.begin(call)
        self.until(answer.done)
        result, error = answer.value or (None, None)
        if error is not None:
            raise error
        return result

    def begin(self, call: Any) -> Any:
        """A call whose answer nobody waits for yet: see ``value``, an (answer, error), when it is ``done``."""
        return self._user.spawn(_outcome(self._user.spawn(call, name="call")), name="answer")

    def ports(self, door: str = "two") -> Ports:
        return self._ports(door, self._user)

    def until(self, done: Callable[[], bool], limit: float = RECOVERED_SECONDS) -> None:
        end = self.world.now + limit
        while not done():
            assert self.world.peek() <= end, f"not so after {limit:g} s"
            self.world.step()

    def finish(self, *jobs: str, limit: float = RECOVERED_SECONDS) -> tuple[Work, ...]:
        self.until(lambda: all(self.work(job).state in ENDED for job in jobs), limit)
        return tuple(self.work(job) for job in jobs)

    # What is so

    def run_on(self, seconds: float) -> None:
        self.world.advance(self.world.now + seconds)

    def put(self, doc: Any) -> None:
        """As if it had always been in the store."""
        self.store.ledger.commit([Insert(doc)], self.store.now())

    def work(self, id: str) -> Work:
        found: Work = self.store.ledger.get(Work, id)
        return found

    def plan(self, id: str) -> Plan:
        plan = self.work(id).plan
        assert plan is not None
        return plan

    def all(self, kind: type[Any]) -> list[Any]:
        return list(self.store.ledger.shelves[kind].docs.values())

    def locked(self) -> list[str]:
        return [lock.id for lock in self.all(Lock) if lock.job]

    def alarms(self) -> list[str]:
        return [alarm.id for alarm in self.all(Alarm)]

    def waiting(self) -> list[str]:
        """What is not over: Jobs, groups and tasks."""
        return [work.id for work in self.all(Work) if work.state not in ENDED]

    def running(self, id: str) -> bool:
        work = self.work(id)
        return work is not None and work.state is WorkState.RUNNING

    def busy(self, host: str) -> int:
        """Tasks of that host that are claimed and not over."""
        tasks = [work for work in self.all(Work) if work.function != LEAD and work.lane == host]
        return sum(task.state is WorkState.RUNNING for task in tasks)

    def ran(self, *jobs: str) -> list[str]:
        return [effect.step for effect in self.effects if not jobs or effect.job in jobs]

    def order(self) -> list[str]:
        """Jobs in the order of their first effects."""
        return list(dict.fromkeys(effect.job for effect in self.effects))

    def _ports(self, host: str, runtime: SimRuntime) -> Ports:
        store = (
            NarrowStore(self.store, runtime, host, self._largest)
            if self._largest
            else SimStore(self.store, runtime, host)
        )
        return Ports(host, runtime, store, None, None, None)  # type: ignore[arg-type]

    def _verb(self, operation: str, split: Callable[[tuple[str, ...]], Split]) -> Verb:
        return Verb(
            operation=operation,
            resources=lambda request: each(VM, request.vms),
            split=lambda request, found: split(tuple(n for n in request.vms if n in found.of(VM))),
            tasks=self.kinds,
        )

    async def _do(self, ports: Ports, task: Work) -> None:
        self._busy += 1
        self.most = max(self.most, self._busy)
        await ports.runtime.sleep(self._seconds)
        self._busy -= 1
        effect = Effect(self.world.now, task.job, task.step, ports.host)
        self.effects.append(effect)
        if self.work(task.job).state in ENDED:
            self.late.append(effect)

    async def _undo(self, ports: Ports, task: Work) -> None:
        await ports.runtime.sleep(self._seconds)
        self.undone.append(task.step)
        if self.work(task.job).state in ENDED:
            self.late.append(Effect(self.world.now, task.job, task.step, ports.host))

    async def _kill(self, ports: Ports, task: Work) -> None:
        """Take the whole process down; it is started again."""
        self.at(self.world.now + 2.0, lambda: self.launch(ports.host))
        self.kill(ports.host)
        await ports.runtime.sleep(1.0)

    def _told(self, process: str, event: str, fields: dict[str, Any]) -> None:
        self.told.append((event, fields))
        if event == "job begins":
            self.began.append(fields["job"])


class NarrowStore(SimStore):
    """It refuses documents that are too large, as the real ones do."""

    def __init__(self, replica_set: ReplicaSet, runtime: SimRuntime, host: str, largest: int) -> None:
        super().__init__(replica_set, runtime, host)
        self._largest = largest

    async def commit(self, *writes: Write) -> list[Any]:
        for write in writes:
            doc = getattr(write, "doc", None)
            if doc is not None and (size := len(msgspec.json.encode(doc))) > self._largest:
                raise Refused(f"{doc.id} has {size:,} bytes, and a document may have {self._largest:,}")
        return await super().commit(*writes)


async def _boom(ports: Ports, task: Work) -> None:
    raise ValueError("a bug")


async def _stuck(ports: Ports, task: Work) -> None:
    await ports.runtime.sleep(100_000.0)


async def _unavailable(ports: Ports, task: Work) -> None:
    raise Unavailable("not now")


async def _fail(ports: Ports, task: Work) -> None:
    raise Refused(f"{task.step} will not")


async def _outcome(task: Any) -> tuple[Any, Exception | None]:
    try:
        return await task.join(), None
    except Exception as error:
        return None, error


def holds_what_was_promised(center: JobCenter, job: Work, steps: dict[str, Step]) -> None:
    """However a Job ended: nothing is locked, nothing happened after its end, nothing before what it needs."""
    assert job.state in ENDED
    assert center.locked() == []
    assert center.late == []
    ran = center.ran(job.id)
    for position, step in enumerate(ran):
        assert set(steps[step].needs) <= set(ran[:position])
    if job.state is WorkState.DONE:
        assert set(ran) == set(steps)
        assert all(result.ok for result in job.results.values())
    open_tasks = [w.id for w in center.all(Work) if w.job == job.id and w.state not in ENDED]
    assert open_tasks == []


def nothing_is_left(center: JobCenter) -> None:
    """All is over: no lock is held, no Job has a turn, every execution unit is free."""
    center.run_on(10.0)  # beats have told how busy the workers are
    assert center.waiting() == []
    assert center.locked() == []
    assert center.late == []
    assert [(queue.running, queue.length) for queue in center.all(JobQueue)] == [("", 0)] * len(center.all(JobQueue))
    assert {handler.id: handler.busy for handler in center.all(Handler)} == dict.fromkeys(HOSTS, 0)
