"""A live cluster, asked from the shell: what is wanted becomes a Job in its store, what is shown is read from there."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from cyclopts import Parameter

from ave.errors import AveError, Refused, Unavailable, UnknownOutcome

if TYPE_CHECKING:
    from ave.model.work import Work
    from ave.ports.together import Ports
    from drivers.config import StoreConfig

CONFIG = Path("/etc/ave/node.toml")
NOT_FOUND, UNREACHABLE, LATE, INTERRUPTED = 3, 6, 7, 130  # exit codes, see ave.cli.main
LOOK_SECONDS = 0.2

Output = Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"])]
Deed = Callable[["Ports"], Awaitable[int]]


@Parameter(name="*")
@dataclass(frozen=True)
class Where:
    """Which cluster.

    Parameters
    ----------
    config
        The TOML file of one of its nodes, of which only [store] is read. /etc/ave/node.toml if absent and there.
    store
        sqlite:FILE or mongodb://one,two,three/?replicaSet=… instead.
    """

    config: Path | None = None
    store: str = ""


@Parameter(name="*")
@dataclass(frozen=True)
class Patience:
    """How long to wait for a Job.

    Parameters
    ----------
    no_wait
        Not at all: print the Job's id.
    timeout
        Seconds. The Job goes on after that, and after Ctrl-C.
    """

    no_wait: Annotated[bool, Parameter(name="--no-wait", negative="")] = False
    timeout: float = 600.0


HERE, PATIENT = Where(), Patience()


def visit(where: Where, deed: Deed) -> int:
    """Do something with the store; the exit code. What goes wrong is said on stderr."""
    import asyncio

    try:
        return asyncio.run(_opened(where, deed))
    except Refused as problem:
        return _said(problem, 2)
    except (Unavailable, UnknownOutcome) as problem:
        return _said(problem, UNREACHABLE)
    except AveError as problem:
        return _said(problem, 1)
    except KeyboardInterrupt:
        return INTERRUPTED


async def _opened(where: Where, deed: Deed) -> int:
    from ave.ports.together import Ports
    from drivers.asyncio_runtime import AsyncioRuntime
    from drivers.stores import open_store

    runtime = AsyncioRuntime("ave")
    store = await open_store(known_store(where), runtime)
    nobody = cast("Any", None)  # whoever only asks has no VMs, no volumes and no machine
    try:
        return await deed(Ports("", runtime, store, nobody, nobody, nobody))
    finally:
        await store.close()


def known_store(where: Where) -> StoreConfig:
    """Of a cluster that is there. Refused if none is named, or its file is not there: to look makes none."""
    from drivers.config import load_store
    from drivers.urls import SQLITE

    file = where.config or (None if where.store or not CONFIG.is_file() else CONFIG)
    found = load_store(file, os.environ, where.store)
    if found.url.startswith(SQLITE) and not Path(found.url.removeprefix(SQLITE)).is_file():
        raise Refused(f"there is no store {found.url}")
    return found


def ask(where: Where, patience: Patience, output: str, operation: str, request: Any) -> int:
    """Hand in a Job, wait for its end and say what became of each resource. Exit 0 all of it done, 1 some of it failed."""
    from ave.cli.outcome import show

    async def deed(ports: Ports) -> int:
        from ave.jobs.crew import Crew
        from ave.jobs.submit import job_id, submit

        id = job_id(operation, ports.runtime.random)
        await submit(ports, Crew(ports), operation, request, id=id)
        if patience.no_wait:
            print(id)
            return 0
        job = await ended(ports, id, patience.timeout)
        return late(id) if job is None else await show(ports, job, output)

    return visit(where, deed)


async def ended(ports: Ports, id: str, seconds: float) -> Work | None:
    """The Job when it has ended; None if it goes on. A store that is away for a moment is waited for as well."""
    from ave.model.work import ENDED, Work

    deadline = ports.runtime.now() + seconds
    said = f"{id} is at work; Ctrl-C leaves it, and `ave job wait {id}` comes back to it"
    while True:
        try:
            job = await ports.store.get(Work, id)
            if job is None or job.table.noun != "Job":
                raise Refused(f"there is no Job {id}: Jobs are forgotten after their retention")
            if job.state in ENDED:
                return job
        except Unavailable as away:
            said = f"the store is away: {away}"
        if said and sys.stderr.isatty():
            print(said, file=sys.stderr)
            said = ""
        if ports.runtime.now() >= deadline:
            return None
        await ports.runtime.sleep(LOOK_SECONDS)


def late(id: str) -> int:
    return _said(f"{id} goes on: ave job wait {id}", LATE)


def not_found(noun: str, id: str) -> int:
    return _said(f"there is no {noun} {id}", NOT_FOUND)


def sure(deed: str, of: list[str], yes: bool) -> bool:
    """Does whoever asks want just this? Without a terminal only ``--yes`` says so. Refused if nobody can be asked."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise Refused(f"to {deed} {', '.join(of)} needs --yes where nobody can be asked")
    print(f"This will {deed}: {', '.join(of)}", file=sys.stderr)
    return input("Go on? [y/N] ").strip().lower() in ("y", "yes")


def _said(problem: object, code: int) -> int:
    print(problem, file=sys.stderr)
    return code
