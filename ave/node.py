"""What one host's process runs, put together. Both worlds call ``run_node`` and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from ave.ha.lease import LeaseKeeper
from ave.ha.monitor import Monitor
from ave.ha.rescue import RESCUE
from ave.ha.timing import PROFILES, Timing
from ave.jobs.crew import Crew
from ave.jobs.recovery import Recovery
from ave.jobs.verb import Function, Verb
from ave.jobs.worker import Worker
from ave.ports.together import Ports
from ave.scheduler.active import Scheduler
from ave.scheduler.role import ROLES, Leadership
from ave.scheduler.steps import PLACE
from ave.sync import together
from ave.vms.create import CREATE
from ave.vms.delete import DELETE
from ave.vms.migrate import MIGRATE
from ave.vms.power import POWEROFF, SHUTDOWN
from ave.vms.reconcile import reconcile_for_ever
from ave.vms.start import START_VERB

VERBS: Mapping[str, Verb] = {
    verb.operation: verb for verb in (CREATE, START_VERB, SHUTDOWN, POWEROFF, MIGRATE, DELETE, RESCUE)
}


async def run_node(ports: Ports, *, master: bool, timing: Timing = PROFILES["seed"]) -> None:
    """Every service of a host: lease keeper and worker everywhere, roles and Job Recovery on master hosts."""
    timing.require_safe()
    runtime = ports.runtime
    leadership = Leadership(ports)
    crew = Crew(ports)
    functions: dict[str, Function] = {name: f for verb in VERBS.values() for name, f in verb.functions.items()}
    worker: Worker | None = None

    def wake() -> None:
        if worker is not None:
            worker.wake()

    scheduler = Scheduler(ports, leadership, wake)
    functions[PLACE] = scheduler.place
    worker = Worker(ports, crew, VERBS, functions, lambda: tuple(scheduler.roles), ROLES if master else ())
    services = {
        "lease": LeaseKeeper(ports, timing, leadership).run(),
        "worker": worker.run(),
        "reconcile": reconcile_for_ever(ports),
    }
    if master:
        services["scheduler"] = scheduler.run()
        services["monitor"] = Monitor(ports, crew, timing, scheduler, leadership).run()
        services["recovery"] = Recovery(ports, crew, ROLES).run()
    await together(runtime, services)
