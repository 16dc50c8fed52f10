"""A cluster whose nodes are counted, and a user who asks through them: where the request is served may be struck as well."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ave.errors import AveError, Refused
from ave.jobs.cancel import cancel
from ave.jobs.crew import Crew
from ave.jobs.submit import submit
from ave.ports.together import Ports
from drivers.sim.runtime import SimRuntime
from sim.cluster import SimCluster
from sim.crashpoints.points import CountedRuntime, Counter
from sim.scenario.model import Topology

ANSWER_SECONDS = 6.0
RETRY_SECONDS = 1.0
Call = Callable[[Ports], Awaitable[Any]]
MARK = "/asked by "  # behind a Job's id, in the name of a task that asks something for it


class CountedCluster(SimCluster):
    def __init__(self, topology: Topology, counter: Counter, *, seed: int) -> None:
        super().__init__(topology, seed=seed)
        self._counter = counter
        self._user = SimRuntime(self.world, "user")

    def ports(self, host: str, runtime: SimRuntime) -> Ports:
        whole = super().ports(host, runtime)
        return Ports(
            host, CountedRuntime(runtime, self._counter), whole.store, whole.hypervisor, whole.block, whole.machine
        )

    # What a user does

    def submit(self, id: str, operation: str, request: Any, flag: str, acknowledged: dict[str, None]) -> None:
        """In the background, with one id, until some host says that the Job is there."""

        async def ask() -> None:
            await self._ask(id, lambda ports: submit(ports, Crew(ports), operation, request, id=id, flag=flag))
            acknowledged[id] = None

        self._user.spawn(ask(), name=f"submit {id}")

    def cancel(self, id: str, after: float) -> None:
        async def ask() -> None:
            await self._user.sleep(after)
            try:
                await self._ask(id, lambda ports: cancel(ports, Crew(ports), id))
            except Refused:
                pass  # it has ended, or is not there yet

        self._user.spawn(ask(), name=f"cancel {id}")

    async def _ask(self, id: str, call: Call) -> Any:
        while True:
            for host in reversed(self.machines):  # the first leads the storage: its loss is a case of its own
                if (runtime := self.machines[host].running.get("node")) is None:
                    continue
                counted = CountedRuntime(runtime, self._counter)
                ports = self.client(host, runtime)[0]
                ports = Ports(host, counted, ports.store, None, None, None)  # type: ignore[arg-type]
                task = counted.spawn(_answer(call, ports), name=f"{id}{MARK}{host}")
                try:
                    async with self._user.timeout(ANSWER_SECONDS):
                        answer, error = await task.join()
                except TimeoutError:
                    continue  # its host is lost: ask another
                if error is None:
                    return answer
                if isinstance(error, Refused):
                    raise error
            await self._user.sleep(RETRY_SECONDS)


async def _answer(call: Call, ports: Ports) -> tuple[Any, AveError | None]:
    try:
        return await call(ports), None
    except AveError as error:
        return None, error
