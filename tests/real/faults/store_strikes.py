"""Deeds against the store: MongoDB's replica set loses its primary or its majority, and no VM is touched."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from time import monotonic
from typing import Any

from tests.real.faults.stage import TIMES, Stage
from tests.real.faults.strikes import Struck
from tests.real.replica_set import HostMember

LONG = (TIMES.give_up, TIMES.verdict + 5.0)  # seconds: more than an election takes
SILENCE_SECONDS = 4.0  # of a guest that speaks five times a second, on a busy machine


async def kill_primary(stage: Stage) -> Struck:
    leader = await asyncio.to_thread(stage.replicas.leader)
    return await _without_store(stage, f"the primary, on {leader.host.name}", _killed(stage, leader))


async def _killed(stage: Stage, leader: HostMember) -> str:
    """Who is primary by then."""
    began = monotonic()
    stage.kill(leader.host.pids("mongod"))
    return await _elected(stage, began)


async def stop_primary(stage: Stage) -> Struck:
    leader, seconds = await asyncio.to_thread(stage.replicas.leader), stage.random.uniform(*LONG)
    return await _without_store(
        stage, f"the primary, on {leader.host.name}, for {seconds:.0f} s", _stopped(stage, [leader], seconds)
    )


async def stop_majority(stage: Stage) -> Struck:
    """Nothing can be written, and nobody judges."""
    two = stage.random.sample(stage.replicas.on_hosts, 2)
    seconds = TIMES.verdict + 5.0
    names = " and ".join(sorted(member.host.name for member in two))
    return await _without_store(stage, f"mongod on {names}, for {seconds:.0f} s", _stopped(stage, two, seconds))


async def _stopped(stage: Stage, members: Sequence[HostMember], seconds: float) -> str:
    began, elected = monotonic(), "nobody is primary meanwhile"
    for member in members:
        member.freeze()
    try:
        if len(members) == 1:
            elected = await _elected(stage, began)
        await asyncio.sleep(max(0.0, began + seconds - monotonic()))
    finally:
        for member in members:
            member.thaw()
    return elected


async def _elected(stage: Stage, began: float) -> str:
    leader = await asyncio.to_thread(stage.replicas.leader)
    return f"{leader.host.name} is primary after {monotonic() - began:.1f} s"


async def _without_store(stage: Stage, what: str, deed: Coroutine[Any, Any, str]) -> Struck:
    """No VM is touched: not moved, not fenced, not even paused."""
    before, mark = await stage.vms(), len(stage.ear.words)
    elected = await deed
    await stage.whole()
    for id, vm in (await stage.vms()).items():
        assert (vm.host, vm.epoch) == (before[id].host, before[id].epoch), f"{id} was touched: {vm.story[-1]}"
    silence = stage.silence_since(mark)
    assert silence < SILENCE_SECONDS, f"a guest stood still for {silence:.1f} s"
    return Struck(f"{what}; {elected}; no guest was silent for more than {silence:.1f} s")
