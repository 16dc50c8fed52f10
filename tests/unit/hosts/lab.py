"""A simulated cluster of three hosts with every invariant on, and a user who asks and waits."""

from collections.abc import Callable, Sequence
from typing import Any

from ave.errors import Refused
from ave.jobs.cancel import cancel
from ave.jobs.submit import submit
from ave.model.cluster import Lock
from ave.model.host import Host
from ave.model.settings import DEFAULTS, Settings
from ave.model.vm import VM
from ave.model.work import ENDED, LEAD, Fact, Work
from ave.operations import OPERATIONS, JobType
from ave.ports.hypervisor import DomainState
from ave.ports.store import Insert, Write
from drivers.sim.network import Plane
from drivers.sim.runtime import SimRuntime
from sim.cluster import GIB, SimCluster
from sim.oracle import Oracle
from sim.scenario.model import Fleet, Forever, Group, Shape, Topology

GIB_IN_MIB = 1024
BEGIN = 20.0
ALL = (Plane.MANAGEMENT, Plane.STORAGE)


class Lab(SimCluster):
    """``fleets``: name -> (VMs, GiB of memory each, HA?). Close it, or use it as a context manager."""

    def __init__(
        self,
        *,
        hosts: int = 3,
        gib: int = 32,
        fleets: dict[str, tuple[int, int, bool]] | None = None,
        seed: int = 1,
        topology: Topology | None = None,
        more: Sequence[Fleet] = (),
        groups: Sequence[Group] = (),
        settings: Settings = DEFAULTS,
    ) -> None:
        topology = topology or Topology(
            shapes=(Shape(hosts, 16, gib * GIB_IN_MIB, 0),), masters=3, zones={}, networks=("vm",)
        )
        super().__init__(topology, seed=seed)
        self.oracle = Oracle(self)
        self.log: list[tuple[float, str, dict[str, Any]]] = []
        self.world.tell = self._told
        self._user = SimRuntime(self.world, "user")
        self.power_on(
            [
                Fleet(name, count, 1, each * GIB_IN_MIB, GIB, ha, "medium", Forever())
                for name, (count, each, ha) in (fleets or {}).items()
            ]
            + list(more),
            groups,
            settings,
        )
        self.advance(BEGIN)

    def __enter__(self) -> "Lab":
        return self

    def advance(self, seconds: float) -> None:
        self.world.advance(self.world.now + seconds)

    def until(self, done: Callable[[], Any], limit: float = 600.0) -> None:
        end = self.world.now + limit
        while not done():
            assert self.world.peek() <= end, f"not so after {limit:g} s"
            self.world.step()

    def settle(self, seconds: float = 120.0) -> None:
        """Let everything come to rest, and judge."""
        self.advance(seconds)
        self.oracle.end()
        assert self.locked() == []

    # What a user does

    def ask(self, call: Any) -> Any:
        task = self._user.spawn(_outcome(call), name="call")
        self.until(task.done)
        answer, error = task.value or (None, None)
        if error is not None:
            raise error
        return answer

    def submit(self, operation: str, request: Any, door: str = "host-1", **options: Any) -> str:
        ports, crew = self.client(door, self._user)
        if operation in OPERATIONS and OPERATIONS[operation].type is JobType.SCHEDULED:
            options.setdefault("id", f"{operation}@{int(self.world.now)}")  # as a cycle of the timetable is called
        return str(self.ask(submit(ports, crew, operation, request, **options)))

    def cancel(self, job: str, door: str = "host-1") -> None:
        """Unless it has ended by then."""
        ports, crew = self.client(door, self._user)
        try:
            self.ask(cancel(ports, crew, job))
        except Refused:
            assert self.work(job).state in ENDED

    def finish(self, job: str, limit: float = 900.0) -> Work:
        self.until(lambda: self.work(job).state in ENDED, limit)
        return self.work(job)

    def do(self, operation: str, request: Any, door: str = "host-1", *, limit: float = 900.0, **options: Any) -> Work:
        return self.finish(self.submit(operation, request, door, **options), limit)

    # What is so

    def commit(self, *writes: Write) -> None:
        self.store.ledger.commit(list(writes), self.world.now)

    def put(self, *docs: Any) -> None:
        self.commit(*(Insert(doc) for doc in docs))

    def doc(self, kind: type[Any], id: str) -> Any:
        return self.store.ledger.get(kind, id)

    def all(self, kind: type[Any]) -> list[Any]:
        return list(self.store.ledger.shelves[kind].docs.values())

    def work(self, id: str) -> Work:
        found: Work = self.doc(Work, id)
        return found

    def jobs(self, operation: str) -> list[Work]:
        return [work for work in self.all(Work) if work.function == LEAD and work.operation == operation]

    def host(self, id: str) -> Host:
        found: Host = self.doc(Host, id)
        return found

    def vm(self, id: str) -> VM:
        found: VM = self.doc(VM, id)
        return found

    def on(self, host: str) -> list[str]:
        """VMs that run there in the world."""
        guests = self.machines[host].guests.values()
        return sorted(guest.vm for guest in guests if guest.state is DomainState.RUNNING)

    def locked(self) -> list[str]:
        return [lock.id for lock in self.all(Lock) if lock.job]

    def told(self, event: str) -> list[dict[str, Any]]:
        return [fields for _, what, fields in self.log if what == event]

    def _told(self, process: str, event: str, fields: dict[str, Any]) -> None:
        self.log.append((self.world.now, event, fields))
        self.oracle.told(process, event, fields)

    def disturb(self, fault: str, job: str) -> None:
        """One of ``power`` (of one host), ``worker`` (of all hosts), ``store`` and ``cancel``, while this Job is at work."""
        match fault:
            case "power":
                self.machines["host-3"].power_off()
            case "worker":
                for machine in self.machines.values():
                    machine.kill("node")
            case "store":
                self.store.step_down()
            case "cancel":
                self.cancel(job)
            case _:
                raise ValueError(fault)


def whys(work: Work) -> dict[str, str]:
    """Why each resource failed that did."""
    return {name: result.why for name, result in work.results.items() if not result.ok}


def facts(work: Work) -> dict[str, Fact]:
    """What its tasks found out."""
    assert work.plan is not None
    return work.plan.facts


async def _outcome(call: Any) -> tuple[Any, Exception | None]:
    try:
        return await call, None
    except Exception as error:
        return None, error
