"""``ave sim serve``: the API before a simulated cluster."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from ave.cli.screen import complain


def serve(
    what: str,
    /,
    *,
    port: int = 0,
    speed: str = "60",
    host: str = "",
    paused: bool = False,
    seed: int | None = None,
    out: Path | None = None,
    replay: Path | None = None,
) -> int:
    """Put the API before a simulated cluster that goes on by itself, until Ctrl-C. Exit 0 stopped, 2 invalid.

    Parameters
    ----------
    what
        A scenario file; or sim:6-host, a cluster of six hosts (1 to 64) with a small workload.
    port
        On 127.0.0.1; 0 chooses one that is free.
    speed
        Simulated seconds per real one, or max; 0 is paused. PUT /v1/clock changes it.
    host
        Whose API it is: gone while that host is down. If absent, that of a host that is up.
    paused
        Let time stand still until PUT /v1/clock lets it go.
    seed
        Instead of the scenario's own.
    out
        Write a recording of the run, and a journal of all that was done to it, into this directory.
    replay
        The journal of an earlier run: do again all that was done to it then, with its seed and host, and go on from there.
    """
    from ave.errors import AveError
    from sim.scenario.problem import Invalid
    from sim.serve import Wish

    try:
        pace = "max" if speed == "max" else float(speed)
    except ValueError:
        return complain(f"--speed {speed}: a number, or max")
    try:
        wish = Wish(what=what, port=port, speed=pace, host=host, paused=paused, seed=seed, out=out, replay=replay)  # type: ignore[arg-type]
        asyncio.run(_until_told(wish))
    except (AveError, Invalid, OSError) as problem:
        return complain(problem)
    return 0


async def _until_told(wish: object) -> None:
    from sim.serve import Wish
    from sim.serve import serve as run

    assert isinstance(wish, Wish)
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)

    def begun(url: str, hosts: int) -> None:
        print(url, flush=True)
        print(f"{wish.what}: {hosts} hosts, speed {wish.speed}; Ctrl-C ends it. {url}/openapi.json", file=sys.stderr)

    try:
        await run(wish, lambda url, served: begun(url, served.story.scenario.topology.size))
    except asyncio.CancelledError:
        print("stopped", file=sys.stderr)
