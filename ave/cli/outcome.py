"""What became of a Job, resource by resource."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ave.model.work import Work
    from ave.ports.together import Ports


async def show(ports: Ports, job: Work, output: str) -> int:
    """Results go to stdout, reasons of failure to stderr. Exit 0 all of it done, 1 some of it failed."""
    from ave.model.work import WorkState

    if output == "json":
        _print_json(job)
    else:
        for id, result in sorted(job.results.items()):
            if result.ok:
                print(await _now(ports, job, id) + (f": {result.why}" if result.why else ""))
            else:
                print(f"{id}: {result.why}", file=sys.stderr)
        if job.state is not WorkState.DONE:
            print(f"{job.id} is {job.state}: {job.story[-1] if job.story else ''}", file=sys.stderr)
    return 0 if job.state is WorkState.DONE else 1


async def _now(ports: Ports, job: Work, id: str) -> str:
    """A resource as it is after the Job."""
    from ave.kinds import KINDS

    kind = next((kind for kind in KINDS if kind.name == job.operation.partition(".")[0]), None)
    found: Any = await ports.store.get(kind.type, id) if kind is not None else None
    if kind is None or found is None:
        return f"{id} is gone" if job.operation.endswith(".delete") else f"{id}: done"
    state, host = getattr(found, "state", ""), getattr(found, "host", "")
    return f"{id} is {state}" + (f" on {host}" if host else "") if state else f"{id}: done"


def _print_json(job: Work) -> None:
    import msgspec

    answer = {"job": job.id, "state": job.state, "results": job.results}
    print(msgspec.json.format(msgspec.json.encode(answer), indent=1).decode())
