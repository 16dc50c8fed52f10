"""Recording how tasks ended, and folding them: ends of one plan that come together are written together.

Folding costs as much as the plan is long. So the ends take it with them, in one commit, if they are a fair part of it; or
else they are recorded alone, and folded a moment later with whatever has ended by then, here or elsewhere: whoever comes
first folds for all. A Job of a thousand tasks is then folded a few times, not a thousand times, and its siblings do not run
into each other.
"""

from __future__ import annotations

from ave.errors import Refused, Stale, Unavailable, UnknownOutcome
from ave.jobs.crew import Crew
from ave.jobs.folding import FINISHED, ended_group, fold, folding
from ave.model.work import Work, WorkState
from ave.ports.store import Conflict, Replace, Write
from ave.ports.together import Ports
from ave.runtime import Signal

BATCH_MAX = 100  # as many as one worker executes
FAIR_PART = 4  # a quarter of what was submitted is worth a folding of its own
PAUSE_SECONDS_PER_TASK = 0.0005  # before others are folded: about what folding costs, and jitter
PAUSE_SECONDS_MAX = 0.5


class _End:
    """One task's end on its way into the store."""

    def __init__(self, ended: Work, also: tuple[Write, ...], over: Signal) -> None:
        self.ended, self.also, self.over = ended, also, over
        self.error: BaseException | None = None


class _Carrier:
    """The Job or group in whose plan tasks end here, while they do."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.waiting: list[_End] = []
        self.recorded: dict[str, Work] = {}  # step -> its task, whose end is in the store, and not yet folded here
        self.seen: Work | None = None  # as we last saw or wrote it
        self.shared = False  # somebody else writes it too
        self.recording = self.folding = self.written = False  # one of its tasks is about it; and writes it right now
        self.tasks = 1  # that its plan had submitted, as far as we know

    def see(self, found: Work | None) -> None:
        self.seen = found
        if found is not None and found.plan is not None:
            self.tasks = max(1, len(found.plan.submitted))


class Ends:
    def __init__(self, ports: Ports, crew: Crew) -> None:
        self._ports, self._crew = ports, crew
        self._carriers: dict[str, _Carrier] = {}

    async def record(self, ended: Work, *also: Write) -> None:
        """Returns when the end is in the store. Raises what the store raises; a Conflict names this task, or it is
        worth trying again."""
        end = _End(ended, also, self._ports.runtime.signal())
        carrier = self._carriers.setdefault(ended.parent, _Carrier(ended.parent))
        carrier.waiting.append(end)
        try:
            if carrier.recording:
                await end.over.wait()
            else:
                await self._record(carrier)
            if carrier.recorded and not carrier.folding:
                await self._fold_soon(carrier)
        finally:
            if not (carrier.recording or carrier.folding) and self._carriers.get(carrier.id) is carrier:
                del self._carriers[carrier.id]
        if end.error is not None:
            raise end.error

    async def _record(self, carrier: _Carrier) -> None:
        """What waits, and what comes meanwhile."""
        carrier.recording = True
        try:
            while carrier.waiting:
                await self._look(carrier)
                batch, carrier.waiting[:] = carrier.waiting[:BATCH_MAX], carrier.waiting[BATCH_MAX:]
                await self._batch(carrier, batch)
        finally:
            carrier.recording = False
            for left in carrier.waiting:
                left.error = Stale("its recorder was stopped")
                left.over.set()
            carrier.waiting.clear()

    async def _look(self, carrier: _Carrier) -> None:
        """A look is no proof, and needs none: what is folded is conditional on it."""
        if carrier.seen is not None or carrier.shared or carrier.written:
            return
        try:
            found = await self._ports.store.find(Work, {"id": carrier.id})
        except Unavailable:
            return
        if not carrier.written:
            carrier.see(found[0] if found else None)

    async def _batch(self, carrier: _Carrier, batch: list[_End]) -> None:
        error: BaseException | None = None
        try:
            await self._commit(carrier, batch)
        except Conflict as conflict:
            lost = [end for end in batch if end.ended.id == conflict.id]
            if lost and len(batch) > 1:  # one that is no longer ours does not hold up the others
                carrier.waiting[:0] = [end for end in batch if end is not lost[0]]
                batch = lost
            error = conflict
        except Refused as refusal:
            if len(batch) > 1:  # neither does one that is too large to be stored
                for end in batch:
                    await self._batch(carrier, [end])
                return
            error = refusal
        except Exception as trouble:
            error = trouble
        for end in batch:
            end.error = error
            end.over.set()

    async def _commit(self, carrier: _Carrier, batch: list[_End]) -> None:
        ends: list[Write] = []
        for end in batch:
            ends += [Replace(end.ended, FINISHED), *end.also]
        ended = {**carrier.recorded, **{end.ended.step: end.ended for end in batch}}
        if await self._folded_too(carrier, ends, ended):
            return
        await self._ports.store.commit(*ends)
        carrier.recorded |= {end.ended.step: end.ended for end in batch}

    async def _folded_too(self, carrier: _Carrier, ends: list[Write], ended: dict[str, Work]) -> bool:
        """Record and fold in one commit, if that is worth it and nobody else is at this plan."""
        seen = carrier.seen
        if carrier.shared or carrier.written or seen is None or seen.plan is None:
            return False
        if seen.state is not WorkState.WAITING or len(ended) * FAIR_PART < len(seen.plan.submitted):
            return False
        carrier.written = True
        try:
            writes = await folding(self._ports.store, seen, seen.plan, list(ended.values()), self._crew)
            docs = await self._ports.store.commit(*ends, *writes)
        except Conflict as conflict:
            if any(isinstance(write, Replace) and write.doc.id == conflict.id for write in ends):
                raise
            carrier.shared = True
            carrier.see(None)
            return False
        except (Unavailable, UnknownOutcome):
            carrier.see(None)
            raise
        except Exception as trouble:  # no reason not to record the ends; ``fold`` knows what to do with the plan
            why = f"{type(trouble).__name__}: {trouble}"
            self._ports.runtime.log("plan is not folded", carrier=carrier.id, why=why)
            return False
        finally:
            carrier.written = False
        carrier.see(docs[len(ends)])
        carrier.recorded = {step: task for step, task in carrier.recorded.items() if step not in ended}
        await self._fold(ended_group(writes))
        return True

    async def _fold_soon(self, carrier: _Carrier) -> None:
        runtime = self._ports.runtime
        carrier.folding = True
        try:
            while carrier.recorded:
                pause = min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_PER_TASK * carrier.tasks)
                await runtime.sleep(pause * (0.5 + runtime.random.random()))
                if carrier.written:
                    continue
                mine, carrier.recorded = tuple(carrier.recorded), {}
                if mine:
                    await self._fold_recorded(carrier, mine)
        finally:
            carrier.folding = False

    async def _fold_recorded(self, carrier: _Carrier, steps: tuple[str, ...]) -> None:
        carrier.written = True
        carrier.see(None)
        try:
            carrier.see(await self._fold(carrier.id, steps))
        finally:
            carrier.written = False

    async def _fold(self, carrier_id: str, mine: tuple[str, ...] = ()) -> Work | None:
        try:
            return await fold(self._ports, self._crew, carrier_id, mine) if carrier_id else None
        except (Unavailable, UnknownOutcome):
            return None  # the ends are recorded: whoever looks after this plan folds them
