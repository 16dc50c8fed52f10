"""What one host's process runs, put together. Both worlds call ``run_node`` and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from ave.ha.lease import LeaseKeeper
from ave.ha.monitor import Monitor
from ave.ha.said import Said
from ave.ha.timing import PROFILES, Timing
from ave.jobs.crew import Crew
from ave.jobs.recovery import Recovery
from ave.jobs.timetable import Timetable
from ave.jobs.verb import TaskKind, Verb
from ave.jobs.worker import Worker
from ave.model.services import SERVICES
from ave.placement.plugged import NONE, Plugged
from ave.ports.together import Ports
from ave.scheduler.active import Scheduler
from ave.scheduler.role import ROLES, Leadership
from ave.sync import together
from ave.verbs import VERBS
from ave.vms.reconcile import reconcile_at_start, reconcile_when_told


async def run_node(
    ports: Ports,
    *,
    master: bool,
    timing: Timing = PROFILES["seed"],
    services: Sequence[str] = tuple(SERVICES),
    verbs: Mapping[str, Verb] = VERBS,
    plugged: Plugged = NONE,
) -> None:
    """The named services of a host; some of them are on master hosts only. ``plugged``: placement rules of others."""
    timing.require_safe()
    runtime = ports.runtime
    leadership = Leadership(ports)
    said = Said(ports, timing)
    crew = Crew(ports)
    kinds: dict[str, TaskKind] = {name: kind for verb in verbs.values() for name, kind in verb.tasks.items()}
    worker: Worker | None = None

    def wake() -> None:
        if worker is not None:
            worker.wake()

    scheduler = Scheduler(ports, leadership, wake, plugged)
    kinds |= scheduler.tasks
    worker = Worker(ports, crew, verbs, kinds, lambda: tuple(scheduler.roles), ROLES if master else ())
    running: dict[str, dict[str, Callable[[], Coroutine[Any, Any, None]]]] = {
        "lease": {
            "life": ports.machine.live,
            "lease": LeaseKeeper(ports, timing, leadership, said).run,
            "said": said.run,
            "reconcile": lambda: reconcile_at_start(ports),
            "ends": lambda: reconcile_when_told(ports),
        },
        "jobs": {"worker": worker.run},
        "scheduler": {},
        "monitor": {},
    }
    if master:
        running["jobs"]["recovery"] = Recovery(ports, crew, ROLES).run
        running["jobs"]["timetable"] = Timetable(ports, crew).run
        running["scheduler"]["scheduler"] = scheduler.run
        running["monitor"]["monitor"] = Monitor(ports, crew, timing, scheduler, leadership).run
    await together(runtime, {name: run() for service in services for name, run in running[service].items()})
