"""Jobs that go on while somebody waits: a line of progress on stderr, and who leaves does not cancel."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ave.api.nouns import NOUNS
from ave.cli.remote.connection import Client
from ave.cli.remote.failures import Exit, Failure, printable
from ave.cli.remote.output import Look, show_data, show_list, show_table
from ave.cli.remote.picking import path_of
from ave.model.work import ENDED, WorkState

JOB = NOUNS["job"]
LINE = 78
LOOK_SECONDS = {True: 1.0, False: 20.0}  # how long each look waits for the end; somebody who watches sees it go on
LOST_SECONDS = 120.0  # for how long a cluster may be silent while one waits


def ended(job: Mapping[str, Any]) -> bool:
    return job["state"] in ENDED


class Line:
    """One line on a terminal, written over; elsewhere only what is new, line by line. No escape sequences."""

    def __init__(self) -> None:
        self._tty = sys.stderr.isatty()
        self._said = ""

    @property
    def live(self) -> bool:
        return self._tty

    def say(self, job: Mapping[str, Any], seconds: float) -> None:
        waits = f", waits for {job['waits']}" if job["waits"] else ""
        text = printable(f"{job['id']}: {job['state']}{waits}")
        if self._tty:
            full = f"{text}  {job['progress']:.0%}  {seconds:.0f}s"[:LINE]
            print(f"\r{full:<{LINE}}", end="", file=sys.stderr, flush=True)
        elif text != self._said:
            print(text, file=sys.stderr, flush=True)
        self._said = text

    def end(self) -> None:
        if self._tty and self._said:
            print("\r" + " " * LINE, end="\r", file=sys.stderr, flush=True)


def wait_for(client: Client, jobs: Sequence[Mapping[str, Any]], timeout: float) -> list[dict[str, Any]]:
    """Until all have ended. ``timeout``: seconds for all of them; 0: no limit. Raises Failure, which says how to come back."""
    began = time.monotonic()
    line = Line()
    found = [dict(job) for job in jobs]
    try:
        for place, job in enumerate(found):
            while not ended(job):
                line.say(job, time.monotonic() - began)
                left = timeout - (time.monotonic() - began) if timeout else LOST_SECONDS
                if left <= 0:
                    raise Failure(
                        Exit.TIMEOUT, f"{job['id']} is {job['state']} after {timeout:g} s, and goes on", again(found)
                    )
                wait = min(LOOK_SECONDS[line.live], left)
                path = path_of(JOB, job["id"])
                patience = min(LOST_SECONDS, left)
                job = client.ask("GET", path, query={"wait": round(wait, 3)}, wait=wait, patience=patience).body
            found[place] = client.ask("GET", path_of(JOB, job["id"])).body if "tasks" not in job else job
    except KeyboardInterrupt:
        line.end()
        raise Failure(Exit.INTERRUPTED, "the Job goes on without you", again(found)) from None
    finally:
        line.end()
    return found


def again(jobs: Sequence[Mapping[str, Any]]) -> str:
    left = " ".join(job["id"] for job in jobs if not ended(job))
    return f"ave job wait {left} comes back to it, ave job cancel {left} ends it"


def failed(job: Mapping[str, Any]) -> bool:
    return job["state"] != WorkState.DONE or not all(result["ok"] for result in job["results"].values())


def show_results(jobs: Sequence[dict[str, Any]], look: Look, now: float) -> Exit:
    """One line for each thing that was asked for. ``FAILED`` if one of them is not as it was to be."""
    if look.output == "table" and not look.columns:
        show_table(("NAME", "RESULT", "WHY"), [row for job in jobs for row in _rows(job)], look)
    elif not look.data or len(jobs) > 1:
        show_list(JOB, jobs, look, now)
    else:
        show_data(jobs[0], look)
    return Exit.FAILED if any(failed(job) for job in jobs) else Exit.OK


def _rows(job: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    rows = [(id, "ok" if result["ok"] else "failed", result["why"] or "-") for id, result in job["results"].items()]
    if not rows or (job["state"] != WorkState.DONE and all(result["ok"] for result in job["results"].values())):
        rows.append((job["id"], job["state"], job["why"] or "-"))
    return rows
