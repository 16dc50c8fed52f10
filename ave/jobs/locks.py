"""Locks: all resources of a Job in one atomic step, and none that outlives its Job.

A lock is a document that is never deleted, so its version is a fencing token: whoever locks later has the larger one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ave.errors import Refused
from ave.model.cluster import Lock
from ave.model.states import move
from ave.model.work import Work, WorkState
from ave.ports.store import In, Insert, Replace, Store, Write

QUEUE_MAX = 100  # Jobs that may wait for one resource


async def read(store: Store, names: Sequence[str]) -> dict[str, Lock]:
    """The locks of these resources; one that nobody ever held is new."""
    known = {lock.id: lock for lock in await store.find(Lock, {"id": In(tuple(names))})}
    return {name: known.get(name) or Lock(id=name) for name in sorted(names)}


def held_by_others(locks: Mapping[str, Lock], job: str) -> dict[str, str]:
    """Resource -> the Job that holds it."""
    return {name: lock.job for name, lock in locks.items() if lock.job not in ("", job)}


def take(locks: Mapping[str, Lock], job: str) -> tuple[list[Write], dict[str, int]]:
    """The writes that lock all of them for this Job, and the tokens it will then hold."""
    writes: list[Write] = []
    tokens: dict[str, int] = {}
    for name, lock in locks.items():
        queue = tuple(waiting for waiting in lock.queue if waiting != job)
        writes.append(_write(msgspec.structs.replace(lock, job=job, queue=queue)))
        tokens[name] = lock.version + 1
    return writes, tokens


def wait_for(lock: Lock, job: str) -> Write:
    """The write that puts this Job at the end of the lock's queue."""
    if job in lock.queue:
        return _write(lock)
    if len(lock.queue) >= QUEUE_MAX:
        raise Refused(f"{lock.id} is locked by {lock.job} and {QUEUE_MAX} Jobs already wait for it: try again later")
    return _write(msgspec.structs.replace(lock, queue=(*lock.queue, job)))


async def leave(store: Store, name: str, job: str) -> list[Write]:
    """The writes that take a Job which will never lock it out of the queue of this lock."""
    lock = await store.get(Lock, name)
    if lock is None or job not in lock.queue:
        return []
    return [Replace(msgspec.structs.replace(lock, queue=tuple(waiting for waiting in lock.queue if waiting != job)))]


async def release(store: Store, job: str, names: Sequence[str] | None = None) -> list[Write]:
    """The writes that free every lock of this Job, or these of them, and wake who waits first for each."""
    woken: dict[str, None] = {}
    writes: list[Write] = []
    held = await store.find(Lock, {"job": job} if names is None else {"id": In(tuple(names))})
    for lock in (lock for lock in held if lock.job == job):
        writes += await _wake_next(store, msgspec.structs.replace(lock, job=""), woken)
    return writes


async def pass_on(store: Store, locks: Mapping[str, Lock], job: str) -> list[Write]:
    """The writes for a Job that was woken for a lock and, as it turns out, does not need it: the next one's turn."""
    woken: dict[str, None] = {}
    writes: list[Write] = []
    for lock in locks.values():
        if job in lock.queue and not lock.job:
            rest = tuple(waiting for waiting in lock.queue if waiting != job)
            writes += await _wake_next(store, msgspec.structs.replace(lock, queue=rest), woken)
    return writes


async def _wake_next(store: Store, lock: Lock, woken: dict[str, None]) -> list[Write]:
    """The writes for a lock that is free now: the first of its queue that still waits for it is woken, and stays in it
    until it takes the lock."""
    writes: list[Write] = []
    queue = lock.queue
    while queue and queue[0] not in woken:
        next = await store.get(Work, queue[0])
        if next is not None and next.state is WorkState.QUEUED and next.waits == lock.id:
            woken[next.id] = None
            writes.append(Replace(move(next, WorkState.READY, f"{lock.id} is free", waits="")))
        else:
            queue = queue[1:]  # it ended, or waits for something else by now
    return [*writes, Replace(msgspec.structs.replace(lock, queue=queue))]


def _write(lock: Lock) -> Write:
    return Replace(lock) if lock.version else Insert(lock)
