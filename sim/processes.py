"""Runs of one kind, spread over processes. A worker that dies is an error, not a silence."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from multiprocessing import get_context
from types import FrameType
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

LOOK_SECONDS = 0.5  # how soon an interruption is noticed
AHEAD = 2  # tasks given out beyond those that are worked on


class _Interruption:
    """Of this process; Ctrl-C on a terminal reaches the workers too."""

    asked = False


def interrupted() -> bool:
    """What a worker hands to its run as ``stop``."""
    return _Interruption.asked


def _listen() -> None:
    def hear(number: int, frame: FrameType | None) -> None:
        _Interruption.asked = True

    signal.signal(signal.SIGINT, hear)


def spread(
    work: Callable[[Task], Result], tasks: Iterable[Task], *, jobs: int, stop: Callable[[], bool] = lambda: False
) -> Iterator[Result]:
    """Results in the order in which they are ready; with one job in this process, in the order of the tasks."""
    waiting = iter(tasks)
    if jobs == 1:
        for task in waiting:
            if stop():
                return
            yield work(task)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_listen) as pool:
        futures: list[Future[Result]] = [pool.submit(work, task) for task in islice(waiting, jobs + AHEAD)]
        while futures and not stop():
            wait(futures, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
            for future in [future for future in futures if future.done()]:
                futures.remove(future)
                futures += [pool.submit(work, task) for task in islice(waiting, 1)]
                yield future.result()
        for future in futures:
            future.cancel()
